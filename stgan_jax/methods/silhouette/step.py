"""The training step of the silhouette anonymiser: (state, batch) -> (state, metrics)."""

from stgan_jax.methods.silhouette import losses
from stgan_jax.methods.silhouette.examples import SilhouetteBatch
from stgan_jax.methods.silhouette.networks import SilhouetteNets
from stgan_jax.training.gradients import Metrics, StepOptions
from stgan_jax.training.state import Optimizers, TrainState


def silhouette_step(
    state: TrainState,
    batch: SilhouetteBatch,
    *,
    nets: SilhouetteNets,
    optimizers: Optimizers,
    adversarial_weight: float,
    options: StepOptions,
) -> tuple[TrainState, Metrics]:
    """One alternation of discriminator and generator.

    Args:
      state: as `SilhouetteNets.init` and `TrainState.create` make it.
      batch: pairs of walks.
      nets: the modules.
      optimizers: for "gen" and "spatial_disc".
      adversarial_weight: weight of D_S's term in the generator's loss; at 0 D_S is not trained.
      options: additions.
    """
    own, wanted, noise = batch.floats()

    def disc_loss(disc, own, wanted, noise):
        return losses.discriminator(disc, state.params["gen"], own, wanted, noise, nets)

    def gen_loss(gen, own, wanted, noise):
        disc = state.params["spatial_disc"]
        return losses.generator(gen, disc, own, wanted, noise, nets, adversarial_weight)

    metrics: Metrics = {}
    norms: Metrics = {}
    if adversarial_weight:
        grads, metrics = options.gradients(
            disc_loss, state.params["spatial_disc"], own, wanted, noise
        )
        state, norms = state.apply_gradients({"spatial_disc": grads}, optimizers)
    grads, terms = options.gradients(gen_loss, state.params["gen"], own, wanted, noise)
    state, more = state.finish_step("gen", grads, optimizers, options.ema)
    return state, {**metrics, **terms, **norms, **more}

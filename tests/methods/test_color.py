"""Colour networks: their output, their gradients, and what they learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import bodies

from stgan_jax.data.walkers import color_walks
from stgan_jax.methods import catalog
from stgan_jax.methods.color import examples, networks
from stgan_jax.methods.color.anonymizer import Recolorer
from stgan_jax.methods.color.examples import ColorBatch
from stgan_jax.methods.color.losses import ColorLoss
from stgan_jax.methods.color.settings import ColorSettings
from stgan_jax.methods.color.step import augmented, color_loss
from stgan_jax.shapes import cropping
from stgan_jax.training import sweep
from stgan_jax.training.gradients import StepOptions
from stgan_jax.util.errors import InputError


def test_slices_of_a_batch_give_the_gradients_of_the_whole_in_less_memory():
    four_times = [jnp.asarray(np.concatenate([x] * 4)) for x in bodies(np.random.default_rng(5))]
    own, new, colors, pseudo = four_times
    colors, pseudo = (x + 0.01 * jnp.arange(8.0).reshape(8, 1, 1, 1) for x in (colors, pseudo))
    net = networks.ColorNet(widths=(8,))
    params = jax.jit(net.init)(jax.random.key(0), colors[:1], new[:1])

    def loss(params, *batch):
        return color_loss(net, ColorLoss("pseudo"), params, 0.2, *batch)

    results, memory = {}, {}
    for slices in (1, 4):

        @jax.jit
        def gradients(*batch, slices=slices):
            return StepOptions(accumulate=slices).gradients(loss, *batch, unrolled=True)

        compiled = gradients.lower(params, colors, pseudo, new, own).compile()
        results[slices] = compiled(params, colors, pseudo, new, own)
        memory[slices] = compiled.memory_analysis().temp_size_in_bytes
    for whole, sliced in zip(*map(jax.tree.leaves, results.values()), strict=True):
        np.testing.assert_allclose(whole, sliced, rtol=1e-3, atol=1e-5)
    assert memory[4] < 0.7 * memory[1]  # two slices of four at a time


@pytest.mark.parametrize("form", networks.FORMS)
def test_output_has_the_shape_of_the_anonymised_silhouette(form):
    _, new, colors, _ = map(jnp.asarray, bodies(np.random.default_rng(5)))
    net = networks.ColorNet(form, (8, 12))
    params = net.init(jax.random.key(0), colors, new)
    drawn, kept = net.apply(params, colors, new)
    output = networks.blended(colors, new, drawn, kept)
    assert output.shape == colors.shape
    np.testing.assert_array_equal(np.asarray(output)[new == 0], 0)
    assert (np.asarray(output)[new > 0] > 0).all()
    assert bool(kept.any()) == (form == "transfer")


def rendered(walks=2, size=32):
    """Examples of rendered walks, of which the next person's silhouette stands for x_bi."""
    parts = []
    for seed in range(51, 51 + walks):
        walk = color_walks.render(seed, 90, "nm", 2, True, True, frames=8)
        other = color_walks.render(seed, 90, "nm", 2, True, True, frames=8, body_of=seed + 1)
        places = examples.squares(walk.silhouettes)
        cut = cropping.crop_masks(other.masks, places)
        crop = examples.crops(walk, cut, places, np.arange(8), size)
        masks = crop.anonymized * np.uint8(255), crop.own * np.uint8(255)
        parts.append(ColorBatch(crop.colors, examples.nearest_colors(crop), *masks))
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Folder of a sweep of small colour networks over alpha, ended."""
    folder = tmp_path_factory.mktemp("color")
    config = ColorSettings(
        validation_subjects=(),
        widths=(8, 16),
        steps=60,
        batch_size=8,
        alpha=0.1,
        radius=1,
        learning_rate=1e-2,
        log_every=10,
        save_every=60,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples, "examples", lambda data, seed=0: rendered())
        assert sweep.sweep(config, catalog.prepare, {"alpha": [0.0, 0.1]}, [0], folder)
    return folder


def test_colour_is_learnt_and_alpha_weighs_the_style(swept):
    """Before and after training, on the same examples."""
    config = Recolorer.load(swept / "alpha=0.1,seed=0").settings
    net, loss = config.net(), config.loss()
    batch = jax.tree.map(jnp.asarray, rendered())
    inputs = augmented(jax.random.key(0), batch, 0.0, StepOptions())
    untrained = jax.jit(net.init)(jax.random.key(0), inputs[0], inputs[2])
    trained = [Recolorer.load(swept / f"alpha={alpha},seed=0").params for alpha in ("0", "0.1")]
    first, plain, last = (
        color_loss(net, loss, params, 0.1, *inputs)[1] for params in (untrained, *trained)
    )
    assert last["loss/gen_rec"] < 0.5 * first["loss/gen_rec"]
    assert last["loss/gen_style"] < 0.8 * first["loss/gen_style"]
    assert last["loss/gen_style"] < 0.9 * plain["loss/gen_style"]


def test_other_kinds_are_refused_in_a_sentence(swept):
    with pytest.raises(InputError, match="a 'color' model, which anonymises nothing by itself"):
        catalog.load(swept / "alpha=0.1,seed=0")
    with pytest.raises(InputError, match="holds a 'retarget' model where a 'color' model"):
        Recolorer.load("retarget")

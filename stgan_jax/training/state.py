"""The state of a training run: one struct for every model."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

Optimizers = Mapping[str, optax.GradientTransformation]


class TrainState(struct.PyTreeNode):
    """Everything that a step reads and writes, and that a checkpoint holds.

    Attributes:
      step: () int32, number of updates so far.
      seed: () uint32, root of all of the run's randomness, folded with `step` in the step.
      params: variables of every network by name, the frozen ones too.
      opt_state: optimiser state by name, of the trained networks only.
    """

    step: Any
    seed: Any
    params: dict[str, Any]
    opt_state: dict[str, Any]

    @classmethod
    def create(cls, seed: int, params: Mapping[str, Any], optimizers: Optimizers) -> "TrainState":
        """A state at step 0. `optimizers` names the networks that are trained."""
        return cls(
            step=jnp.zeros((), jnp.int32),
            seed=jnp.asarray(seed, jnp.uint32),
            params=dict(params),
            opt_state={name: tx.init(params[name]) for name, tx in optimizers.items()},
        )

    def key(self) -> jax.Array:
        """This step's random key: a function of (seed, step), so that resuming needs no other."""
        return jax.random.fold_in(jax.random.key(self.seed), self.step)

    def apply_gradients(
        self, grads: Mapping[str, Any], optimizers: Optimizers
    ) -> tuple["TrainState", dict[str, Any]]:
        """Updates the networks named in `grads`; `step` stays.

        Returns:
          the new state, and each network's gradient and update norms (Euclidean).
        """
        params, opt_state, norms = dict(self.params), dict(self.opt_state), {}
        for name, grad in grads.items():
            updates, opt_state[name] = optimizers[name].update(grad, opt_state[name], params[name])
            params[name] = optax.apply_updates(params[name], updates)
            norms[f"gradient_norm/{name}"] = optax.tree.norm(grad)
            norms[f"update_norm/{name}"] = optax.tree.norm(updates)
        return self.replace(params=params, opt_state=opt_state), norms

    def finish_step(
        self, name: str, grads: Any, optimizers: Optimizers, decay: float
    ) -> tuple["TrainState", dict[str, Any]]:
        """Applies the step's last update, moves the network's EMA and increments `step`.

        Args:
          name: the network's name.
          grads: gradients of its parameters.
          optimizers: see `apply_gradients`.
          decay: decay of `NAME_ema`, the moving average of its weights, if there is one.
        """
        state, norms = self.apply_gradients({name: grads}, optimizers)
        params, average = dict(state.params), f"{name}_ema"
        if average in params:
            params[average] = optax.incremental_update(params[name], params[average], 1.0 - decay)
        return state.replace(step=self.step + 1, params=params), norms


def inference_params(params: Mapping[str, Any]) -> Any:
    """The generator's weights for inference: their moving average if there is one."""
    return params["gen_ema"] if "gen_ema" in params else params["gen"]


def with_average(params: dict[str, Any], ema: float) -> dict[str, Any]:
    """Initial parameters with room for the generator's moving average, if its decay is not 0."""
    average = {"gen_ema": jax.tree.map(jnp.copy, params["gen"])} if ema else {}
    return {**params, **average}

"""How far each piece of an ST-GAN step is from what the machine can do:

    python benchmarks/roofline.py [--batch=8] [--frames=50] [--dtype=bfloat16]
        [--convolution=pallas] [--out=FILE.json]

A piece's floor is the longer of its least arithmetic at the machine's rate of matrix products
and its least traffic at its rate of copies (`counts`), both rates measured in the same run. Of
pieces and rates alike the fastest turn counts: it is the one that other work disturbed least.
"""

import dataclasses
from typing import Any

import cases
import counts
import jax
import jax.numpy as jnp
import optax
import timing
from absl import flags

from stgan_jax.ops.convolution import CONVOLUTIONS

_BATCH = flags.DEFINE_integer("batch", 8, "Sequences a step.", lower_bound=1)
_FRAMES = flags.DEFINE_integer("frames", 50, "Frames a sequence.", lower_bound=1)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ("float32", "bfloat16"), "Computed in.")
_CONVOLUTION = flags.DEFINE_enum("convolution", "auto", CONVOLUTIONS, "How G and D_S are computed.")
timing.define_flags()

_MATRIX, _COPIED = 2048, 2**26  # a matrix' side; numbers to copy, far more than fit in a cache


def main():
    case = cases.stgan(_BATCH.value, _FRAMES.value, _DTYPE.value)
    case = dataclasses.replace(case, nets=cases.convolved(case.nets, _CONVOLUTION.value))
    run = case.run
    batch, frames, coordinates = case.shape
    number = jnp.dtype(run.compute_dtype).itemsize
    size = counts.Size(batch, frames, coordinates, run.features, run.kernel, run.lstm_units, number)
    calls = pieces(case)
    kind = jnp.dtype(_DTYPE.value)
    matrix = jnp.ones((_MATRIX, _MATRIX), kind)
    calls["matrix product"] = timing.piece(jnp.matmul, matrix, matrix)
    # In place: new pages would cost the system's time and not the memory's.
    calls["copy"] = timing.Step(lambda x: (x + 1, ()), jnp.ones(_COPIED, jnp.float32))
    seconds = timing.spreads(timing.interleaved(calls, flags.FLAGS.runs))
    rates = {
        "flops_per_second": 2 * _MATRIX**3 / seconds["matrix product"]["least"],
        "bytes_per_second": 2 * 4 * _COPIED / seconds["copy"]["least"],
    }
    least = {
        "G forward": counts.gen_forward(size),
        "G gradients": counts.gen_gradients(size),
        "D_S gradients": counts.spatial_gradients(size),
        "D_S inputs": counts.spatial_inputs(size),
        "D_T gradients": counts.temporal_gradients(size),
        "D_T inputs": counts.temporal_inputs(size),
        "optimiser": counts.optimizer(size),
        "whole step": counts.step(size),
    }
    rows = {name: row(work, seconds[name]["least"], rates) for name, work in least.items()}
    print(table(rows))
    timing.report(
        {
            "shape": case.shape,
            "dtype": _DTYPE.value,
            "convolution": _CONVOLUTION.value,
            "rates": rates,
            "seconds": seconds,
            "pieces": rows,
        },
        {f"floor / {name}": each["floor"] / each["seconds"] for name, each in rows.items()},
    )


def pieces(case: cases.Case) -> dict[str, Any]:
    """A call of each piece alone, by the package's networks, inputs and results in memory."""
    nets, params = case.nets, case.params()
    real = jnp.asarray(case.batch.unit()[0])
    noise, both = jnp.asarray(case.noise), jnp.concatenate([real, 1.0 - real])
    gen, spatial, temporal = nets.gen, nets.spatial_disc, nets.temporal_disc

    def weighted(net, change):  # what gradients are taken of: any change of the result
        return lambda params, *inputs: jnp.vdot(change, net.apply(params, *inputs))

    def gradients(net, name, inputs, change, by=0):
        function = jax.grad(weighted(net, change), argnums=by)
        return timing.piece(function, params[name], *inputs)

    calls = {
        "G forward": timing.piece(gen.apply, params["gen"], real, noise),
        "G gradients": gradients(gen, "gen", (real, noise), real),
    }
    discs = (("D_S", spatial, "spatial_disc"), ("D_T", temporal, "temporal_disc"))
    for title, net, name in discs:
        logits = net.apply(params[name], both)
        calls[f"{title} gradients"] = gradients(net, name, (both,), jnp.ones_like(logits))
        half = jnp.ones_like(logits[: len(real)])
        calls[f"{title} inputs"] = gradients(net, name, (real,), half, by=1)
    calls["optimiser"] = _optimizer(case)
    calls["whole step"] = timing.Step(case.step(), case.state(), case.batch, case.run.alpha)
    return calls


def _optimizer(case: cases.Case) -> timing.Step:
    state, rules = case.state(), case.run.optimizers()
    grads = {name: jax.tree.map(jnp.ones_like, state.params[name]) for name in rules}

    def update(state, grads):
        params, moments = {}, {}
        for name, rule in rules.items():
            updates, moments[name] = rule.update(grads[name], state[1][name], state[0][name])
            params[name] = optax.apply_updates(state[0][name], updates)
        return (params, moments), ()

    trained = {name: state.params[name] for name in rules}
    return timing.Step(update, (trained, state.opt_state), grads)


def row(work: counts.Work, seconds: float, rates: dict[str, float]) -> dict[str, float]:
    """A piece's floor, its distance from it, and the shares of both rates that it reaches."""
    arithmetic = work.flops / rates["flops_per_second"]
    traffic = work.bytes / rates["bytes_per_second"]
    floor = max(arithmetic, traffic)
    return {
        "flops": work.flops,
        "bytes": work.bytes,
        "floor": floor,
        "seconds": seconds,
        "distance": seconds / floor,
        "flops_share": arithmetic / seconds,
        "bytes_share": traffic / seconds,
    }


def table(rows: dict[str, dict[str, float]]) -> str:
    """The pieces as lines."""
    lines = ["piece            GFLOP      MB   floor, ms   measured  distance  FLOPs  bandwidth"]
    lines += [
        f"{name:14s} {x['flops'] / 1e9:7.3f} {x['bytes'] / 1e6:7.1f} {1e3 * x['floor']:11.3f} "
        f"{1e3 * x['seconds']:10.3f} {x['distance']:9.1f} {x['flops_share']:6.1%} "
        f"{x['bytes_share']:10.1%}"
        for name, x in rows.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    timing.run(main)

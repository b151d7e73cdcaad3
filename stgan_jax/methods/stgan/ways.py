"""How ST-GAN's and WIFS's pieces are computed on this device, chosen for a run by measuring.

What is left to `auto` is measured on random contours of the run's shapes, values and gradients
as its step takes them; what a setting names is taken as it is.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from stgan_jax.methods.stgan.step import StganNets
from stgan_jax.ops.convolution import CONVOLUTIONS
from stgan_jax.ops.lstm import RECURRENCES, has_cudnn
from stgan_jax.shapes import contour
from stgan_jax.training import tuning
from stgan_jax.training.settings import DTYPES, dtype_of

Nets = Mapping[str, nn.Module]
# (networks, penalty, params, contours, ...) -> what each sequence gives, sums over sequences.
Work = Callable[..., tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What a step's pieces are measured at.

    Attributes:
      lanes: runs side by side on a device, of a sweep.
      sequences: how many a device computes at a time, of each of them.
      frames: T.
      still: whether a sequence's noise is one contour for all frames.
      penalty: whether discriminators are differentiated twice, as R1 does.
      compared: whether types are compared, so that also a single way is timed.
    """

    lanes: int
    sequences: int
    frames: int
    still: bool
    penalty: bool
    compared: bool

    @classmethod
    def of(cls, settings: Any, lanes: int, still: bool) -> "Sizes":
        """Those of a run with so many lanes on all devices."""
        devices = jax.device_count()
        together = settings.batch_size // (devices if lanes == 1 else 1)
        return cls(
            -(-lanes // devices),
            max(1, together // settings.accumulate),
            settings.data.frames,
            still,
            bool(getattr(settings, "r1", 0.0)),
            settings.compute_dtype == "auto",
        )

    def contours(self, seed: int, still: bool = False) -> jax.Array:
        """Random ones in [0, 1], (lanes, B, T, 4000), without the first axis if it is 1.

        Without the frames' axis, too, if they are `still`.
        """
        shape = (
            (self.sequences, contour.DIM) if still else (self.sequences, self.frames, contour.DIM)
        )
        shape = (self.lanes, *shape) if self.lanes > 1 else shape
        return jax.random.uniform(jax.random.key(seed), shape)


def fastest_nets(settings: Any, nets: StganNets, lanes: int = 1) -> StganNets:
    """ST-GAN's networks, every piece that is left to `auto` as is fastest on this device.

    Args:
      settings: the run's `StganSettings`.
      nets: its networks.
      lanes: runs that a step trains.
    """
    sizes = Sizes.of(settings, lanes, still=settings.noise != "gait")
    convolved = {"gen": nets.gen, "spatial_disc": nets.spatial_disc}
    recurrent = {"temporal_disc": nets.temporal_disc}

    def chosen(dtype):
        conv, seconds = fastest_convolution(convolved, sizes, dtype)
        loop, more = fastest_recurrence(recurrent, sizes, dtype)
        return dataclasses.replace(nets, **conv, **loop), seconds + more

    return fastest_dtype(settings, chosen)


def fastest_generator(settings: Any, gen: nn.Module, lanes: int = 1) -> Any:
    """The same for a network that is G alone, with noise of as many frames."""

    def chosen(dtype):
        sizes = Sizes.of(settings, lanes, still=False)
        nets, seconds = fastest_convolution({"gen": gen}, sizes, dtype)
        return nets["gen"], seconds

    return fastest_dtype(settings, chosen)


def of_one_device(settings: Any) -> str:
    """See `Experiment.one_device`."""
    if settings.convolution == "pallas":
        return "convolution=pallas"
    return "recurrence=cudnn" if getattr(settings, "recurrence", "") == "cudnn" else ""


def fastest_dtype(settings: Any, chosen: Callable[[str], tuple[Any, float]]) -> Any:
    """What `chosen(dtype)` gives with the fewest seconds, of all types that it may compute in."""
    asked = settings.compute_dtype
    found = [chosen(dtype) for dtype in (DTYPES if asked == "auto" else [asked])]
    return min(found, key=itemgetter(1))[0]


def fastest_convolution(nets: Nets, sizes: Sizes, dtype: str) -> tuple[dict[str, Any], float]:
    """G, and D_S if it is among the networks, their convolutions as is fastest; the seconds."""
    names = [name for name in CONVOLUTIONS if name != "auto"]
    if jax.device_count() > 1:  # which the compiler cannot share kernels over
        names.remove("pallas")
    return _fastest("convolution", sorted(names, key="plain".__ne__), nets, sizes, dtype)


def fastest_recurrence(nets: Nets, sizes: Sizes, dtype: str) -> tuple[dict[str, Any], float]:
    """D_T, its LSTM as is fastest; the seconds."""
    names = [name for name in RECURRENCES if name != "auto"]
    alone = sizes.lanes == 1 and jax.device_count() == 1
    if not (has_cudnn() and alone and dtype == "float32" and not sizes.penalty):
        names.remove("cudnn")
    return _fastest("recurrence", names, nets, sizes, dtype)


def _fastest(
    name: str, ways: Sequence[str], nets: Nets, sizes: Sizes, dtype: str
) -> tuple[dict[str, Any], float]:
    nets = {key: net.clone(dtype=dtype_of(dtype)) for key, net in nets.items()}
    asked = getattr(next(iter(nets.values())), name)
    names = ways if asked == "auto" else [asked]
    if len(names) == 1 and not sizes.compared:
        return nets, 0.0
    inputs = sizes.contours(0), sizes.contours(1, sizes.still and "gen" in nets)
    work, params = _WORK[name], _params(nets, sizes, inputs)

    def of(way: str, dtype: Any) -> Callable:
        own = {key: net.clone(**{name: way, "dtype": dtype}) for key, net in nets.items()}
        return functools.partial(work, own, sizes.penalty)

    def build(way: str) -> tuning.Call:
        one = of(way, dtype_of(dtype))
        return tuning.compiled(one if sizes.lanes == 1 else jax.vmap(one), params, *inputs)

    def reference():
        with jax.default_matmul_precision("highest"):
            one = functools.partial(_one_by_one, of(ways[0], None))
            mapped = functools.partial(_each_lane, one)
            return tuning.compiled(one if sizes.lanes == 1 else mapped, params, *inputs)()

    choice = tuning.fastest(
        tuning.Piece(
            name,
            {way: functools.partial(build, way) for way in names},
            reference,
            f"{sizes.lanes} x {sizes.sequences} x {sizes.frames} x {contour.DIM}, {dtype}",
            f"{sizes} {nets}",
            tuning.TOLERANCE[dtype],
        )
    )
    return {key: net.clone(**{name: choice.way}) for key, net in nets.items()}, choice.seconds


def _params(nets: Nets, sizes: Sizes, inputs: Sequence[Any]) -> dict[str, Any]:
    def init(key):
        shapes = [x[0] if sizes.lanes > 1 else x for x in inputs]
        return {
            name: net.init(key, *(shapes if name == "gen" else shapes[:1]))
            for name, net in nets.items()
        }

    if sizes.lanes == 1:
        return jax.jit(init)(jax.random.key(2))
    return jax.jit(jax.vmap(init))(jax.random.split(jax.random.key(2), sizes.lanes))


def _one_by_one(work: Callable, params: Any, *inputs: jax.Array) -> tuple[Any, Any]:
    """A work's result, sequence by sequence: in little memory, and no batch can mislead it."""
    each, sums = jax.lax.map(lambda one: work(params, *(x[None] for x in one)), inputs)
    return jax.tree.map(lambda x: x[:, 0], each), jax.tree.map(lambda x: x.sum(0), sums)


def _each_lane(one: Callable, params: Any, *inputs: jax.Array) -> Any:
    return jax.lax.map(lambda lane: one(*lane), (params, *inputs))


def _convolution(nets: Nets, penalty: bool, params: Any, own: jax.Array, noise: jax.Array):
    """G's and D_S's results; gradients of G's weights, and of D_S's weights and contours."""

    def total(params, contours):
        results = {"gen": nets["gen"].apply(params["gen"], own, noise)}
        value = jnp.vdot(results["gen"], own)
        if "spatial_disc" in nets:
            results["spatial_disc"] = nets["spatial_disc"].apply(params["spatial_disc"], contours)
            value += _logit_sum(nets["spatial_disc"], penalty, params["spatial_disc"], contours)
        return value, results

    (by_weights, by_contours), results = jax.grad(total, (0, 1), has_aux=True)(params, own)
    return (results, by_contours), by_weights


def _recurrence(nets: Nets, penalty: bool, params: Any, real: jax.Array, fake: jax.Array):
    """D_T's result for fakes, and gradients of its weights, of real ones' and fakes' logits."""
    net = nets["temporal_disc"]

    def total(params, real, fake):
        logits = net.apply(params["temporal_disc"], real, fake)
        value = jnp.sum(logits)
        if penalty:
            value += _logit_sum(net, penalty, params["temporal_disc"], real)
        return value, logits[len(real) :]

    (by_weights, by_fake), logits = jax.grad(total, (0, 2), has_aux=True)(params, real, fake)
    return (logits, by_fake), by_weights


def _logit_sum(disc: nn.Module, penalty: bool, params: Any, contours: jax.Array) -> jax.Array:
    """The sum of a discriminator's logits, and of their squared gradients if R1 takes them."""

    def logits(x):
        return jnp.sum(disc.apply(params, x))

    value = logits(contours)
    return value + jnp.sum(jnp.square(jax.grad(logits)(contours))) if penalty else value


_WORK: dict[str, Work] = {"convolution": _convolution, "recurrence": _recurrence}

"""How Pallas kernels over frames of coordinates are cut into programs, and what a program reads.

A program has some frames of a sequence and a tile of their coordinates. Convolutions make it look
at its tile's neighbours too, so arrays that it reads lie between zeros, and blocks overlap.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array, Float

_LANES = 128  # a TPU's blocks are as many numbers wide, or a multiple
_WIDEST = 256  # no tile is wider; arrays are filled up to it, so that kernels share them


class Operand(NamedTuple):
    """An array that a kernel reads, and which block of it is a program's."""

    array: Array
    spec: pl.BlockSpec


class Result(NamedTuple):
    """An array that a kernel writes, and which block of it is a program's."""

    shape: tuple[int, ...]
    dtype: Any
    spec: pl.BlockSpec


class Tiles(NamedTuple):
    """The cut: programs by sequence, chunk of frames, tile of coordinates.

    Attributes:
      batch, chunks, tiles: number of programs along each axis.
      frames, width: size of a program's block; `width` is a power of two, as Triton wants it.
      reach: number of neighbours on each side that two convolutions after each other read.
      size: number of coordinates.
    """

    batch: int
    chunks: int
    tiles: int
    frames: int
    width: int
    reach: int
    size: int

    @classmethod
    def of(cls, shape: tuple[int, ...], kernel: Float[Array, "taps C"], sums: bool = False):
        """For frames (B, N, D), convolved; `sums` where programs keep sums over their frames.

        Widths and numbers of frames are guesses: nothing was measured on a GPU or TPU.
        """
        taps, channels = kernel.shape
        batch, count, size = shape
        if jax.default_backend() == "tpu":
            frames, width = 8, _WIDEST
        else:  # 8 numbers a thread and array, 4 where there are many sums
            frames = -(-count // -(-count // 64)) if sums else 1
            width = max(32, (512 if sums else 1024) // filled(channels))
        chunks, tiles = -(-count // frames), -(-size // width)
        return cls(batch, chunks, tiles, frames, width, 2 * (taps // 2), size)

    # What a kernel reads.

    def near(self, x: Float[Array, "B N D"]) -> Operand:
        """Frames' tiles with their neighbours."""
        return Operand(
            self._wide(self._whole_chunks(x)),
            pl.BlockSpec(
                (pl.squeezed, pl.Element(self.frames), pl.Element(self.width + self._margin)),
                lambda b, i, j: (b, i * self.frames, j * self.width),
            ),
        )

    def tiled(self, x: Float[Array, "B N D"]) -> Operand:
        """Frames' tiles without neighbours; one frame alone stands for all."""
        every = x.shape[1] == 1
        x = x if every else self._whole_chunks(x)
        missing = self.tiles * self.width - self.size
        return Operand(
            jnp.pad(x, [(0, 0), (0, 0), (0, missing)]),
            pl.BlockSpec(
                (pl.squeezed, 1 if every else self.frames, self.width),
                lambda b, i, j: (b, 0 if every else i, j),
            ),
        )

    def each(self, x: Float[Array, "B N"]) -> Operand:
        """A number of each frame."""
        block = pl.BlockSpec((pl.squeezed, self.frames, 1), lambda b, i, j: (b, i, 0))
        return Operand(self._whole_chunks(x)[..., None], block)

    def columns(self, *weights: Float[Array, "... C"]) -> list[Operand]:
        """Weights by channel, whole, in columns to stand beside coordinates."""
        every = (_filled_up(x[..., None], -2) for x in weights)
        return [
            Operand(x, pl.BlockSpec(x.shape, lambda b, i, j, n=x.ndim: (0,) * n)) for x in every
        ]

    def rows(self, kernel: Float[Array, "C D"]) -> Operand:
        """Tiles with their neighbours of channels that are the same in all frames."""
        x = self._wide(_filled_up(kernel, 0))
        block = (pl.Element(len(x)), pl.Element(self.width + self._margin))
        return Operand(x, pl.BlockSpec(block, lambda b, i, j: (0, j * self.width)))

    @property
    def _margin(self) -> int:
        """By how much a tile with neighbours is wider, or more."""
        return -(-2 * self.reach // _LANES) * _LANES

    def _wide(self, x: Float[Array, "*_ D"]) -> Array:
        """Coordinates between zeros."""
        widest = max(_WIDEST, self.width)
        after = -(-self.size // widest) * widest + self._margin - self.reach - self.size
        return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(self.reach, after)])

    def _whole_chunks(self, x: Float[Array, "B N *_"]) -> Array:
        """Frames in whole chunks; on a TPU in full width, for no half's frame is read singly."""
        x = x.astype(jnp.float32) if jax.default_backend() == "tpu" else x
        missing = self.chunks * self.frames - x.shape[1]
        return jnp.pad(x, [(0, 0), (0, missing)] + [(0, 0)] * (x.ndim - 2))

    # What a kernel writes.

    def result(self, dtype: Any) -> Result:
        """Frames, (B, N or more, D or more); on a TPU in full width."""
        return Result(
            (self.batch, self.chunks * self.frames, self.tiles * self.width),
            jnp.float32 if jax.default_backend() == "tpu" else dtype,
            pl.BlockSpec((pl.squeezed, self.frames, self.width), lambda b, i, j: (b, i, j)),
        )

    def parts(self, *shape: int) -> Result:
        """Each program's own numbers, (batch, chunks, tiles, *shape)."""
        block = (pl.squeezed,) * 3 + shape
        return Result(
            (self.batch, self.chunks, self.tiles, *shape),
            jnp.float32,
            pl.BlockSpec(block, lambda b, i, j: (b, i, j, *(0 for _ in shape))),
        )

    def channels(self, count: int) -> Result:
        """Each chunk's channels by coordinates, (batch, chunks, C or more, D or more)."""
        block = (pl.squeezed, pl.squeezed, filled(count), self.width)
        return Result(
            (self.batch, self.chunks, filled(count), self.tiles * self.width),
            jnp.float32,
            pl.BlockSpec(block, lambda b, i, j: (b, i, 0, j)),
        )

    def run(self, kernel: Callable, inputs: Sequence[Operand], outputs: Sequence[Result]):
        """Calls a kernel with references to inputs, then to outputs; gives the outputs."""
        backend, params = jax.default_backend(), None
        if backend == "gpu":
            from jax.experimental.pallas import triton

            params = triton.CompilerParams(num_warps=4, num_stages=1)
        return pl.pallas_call(
            kernel,
            [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in outputs],
            grid=(self.batch, self.chunks, self.tiles),
            in_specs=[x.spec for x in inputs],
            out_specs=[x.spec for x in outputs],
            compiler_params=params,
            interpret=backend == "cpu",
        )(*(x.array for x in inputs))

    # Within a kernel.

    def at(self, ref: Any, frame: Any, offset: int) -> Float[Array, "1 width"]:
        """A frame's coordinates i + offset, of a reference to `near`."""
        place = pl.ds(self.reach + offset, self.width)
        return ref[pl.ds(frame, 1), place].astype(jnp.float32)

    def all_at(self, ref: Any, offset: int) -> Float[Array, "C width"]:
        """All channels' coordinates i + offset, of a reference to `rows`."""
        return ref[:, pl.ds(self.reach + offset, self.width)]

    def within(self, offset: int) -> Float[Array, "1 width"]:
        """1 where i + offset is a coordinate, 0 beyond the ends, where no channel is."""
        place = jax.lax.broadcasted_iota(jnp.int32, (1, self.width), 1)
        place = place + (pl.program_id(2) * self.width + offset)
        return jnp.where((place >= 0) & (place < self.size), 1.0, 0.0)

    def each_frame(self, body: Callable, start: Any = None) -> Any:
        """body(frame, carry) -> carry, over the program's frames."""
        return jax.lax.fori_loop(0, self.frames, body, start)


def frame_of(ref: Any, frame: Any) -> Float[Array, "1 _"]:
    """One frame, of a reference to `tiled` or to `each`."""
    return ref[pl.ds(frame, 1), :].astype(jnp.float32)


def write_frame(ref: Any, frame: Any, x: Float[Array, "1 _"]) -> None:
    """Writes one frame, of a reference to `result` or to parts of frames."""
    ref[pl.ds(frame, 1), :] = x.astype(ref.dtype)


def filled(channels: int) -> int:
    """How many channels are computed: a power of two; those beyond are 0."""
    return max(8, pl.next_power_of_2(channels))


def _filled_up(x: Array, axis: int) -> Array:
    zeros = [(0, 0)] * x.ndim
    zeros[axis] = 0, filled(x.shape[axis]) - x.shape[axis]
    return jnp.pad(x, zeros)

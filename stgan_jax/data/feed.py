"""tf.data: stored contours in, shuffled batches out, as a pure function of (seed, step)."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, Shaped
from tqdm import tqdm

from stgan_jax.data.batches import GaitPairs, Gaits
from stgan_jax.data.datasets.built import Sequences
from stgan_jax.data.datasets.names import WalkName
from stgan_jax.shapes import contour
from stgan_jax.util.errors import InputError

# TensorFlow only feeds data here: its messages about how it computes are of no interest.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import tensorflow as tf

# (indices of examples, positions in the endless stream) -> the examples, a pytree of arrays
Fetch = Callable[[Int[np.ndarray, " B"], Int[np.ndarray, " B"]], Any]


@dataclasses.dataclass(frozen=True)
class ExampleSource:
    """Examples that batches are drawn from.

    Attributes:
      count: N, the number of examples.
      example: what one looks like, a pytree of `jax.ShapeDtypeStruct`.
      fetch: gets some of them.
      walks: what each is called, if it is a walk.
    """

    count: int
    example: Any
    fetch: Fetch
    walks: Sequence[WalkName] = ()

    def everything(self) -> Any:
        """All examples, with a progress bar."""
        parts = np.array_split(np.arange(self.count), -(-self.count // 64))
        bar = tqdm(parts, "taking examples into memory", unit="64 examples", disable=None)
        every = [self.fetch(part, part) for part in bar]
        return jax.tree.map(lambda *x: np.concatenate(x), *every)

    def indices(self) -> "ExampleSource":
        """A source of the examples' indices instead of them, for steps that hold the examples."""
        index = jax.ShapeDtypeStruct((), np.int32)
        return ExampleSource(self.count, index, lambda index, _: index.astype(np.int32), self.walks)

    def batches(
        self,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        process: int = 0,
        processes: int = 1,
    ) -> Iterator[Any]:
        """Endless shuffled batches; every example comes once an epoch.

        Batch number s holds the examples s B .. (s + 1) B - 1 of an endless sequence of
        permutations, one an epoch, each a function of (seed, epoch) alone. So a run that
        resumes at step s asks for `start_step=s` and gets what it would have got. Of several
        processes each gets its share of every batch.

        Args:
          batch_size: B, examples of all processes together.
          seed: decides the order of the examples.
          start_step: number of the first batch.
          process: number of this process, from 0; its share is B / processes examples.
          processes: number of processes.
        """
        share, rest = divmod(batch_size, processes)
        if rest:
            raise ValueError(f"a batch of {batch_size} cannot be shared by {processes} processes")
        leaves, form = jax.tree.flatten(self.example)

        def fetch(index, position):
            return jax.tree.leaves(self.fetch(index, position))

        @tf.autograph.experimental.do_not_convert  # there is no control flow in it
        def gather(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
            position = step * batch_size + process * share + tf.range(share, dtype=tf.int64)
            epoch, number = position // self.count, position % self.count
            seeds = tf.fill([share], tf.cast(seed, tf.int64))
            key = tf.stack([tf.zeros_like(epoch), seeds, epoch], -1)
            # The raw operation: tf.random.experimental.index_shuffle takes one key alone.
            index = tf.raw_ops.RandomIndexShuffle(
                index=number, seed=key, max_index=tf.constant(self.count - 1, tf.int64), rounds=4
            )
            arrays = tf.numpy_function(fetch, [index, position], [leaf.dtype for leaf in leaves])
            return tuple(
                tf.ensure_shape(array, (share, *leaf.shape))
                for array, leaf in zip(arrays, leaves, strict=True)
            )

        steps = tf.data.Dataset.range(start_step, tf.int64.max)
        dataset = steps.map(gather, num_parallel_calls=2, deterministic=True)
        options = tf.data.Options()
        options.threading.private_threadpool_size = 2  # leave the cores to the step
        arrays = dataset.prefetch(2).with_options(options).as_numpy_iterator()
        return (jax.tree.unflatten(form, each) for each in arrays)


def array_source(examples: Any) -> ExampleSource:
    """Examples in memory, or memory-mapped: a pytree of arrays (N, ...) as a step takes them."""
    example = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), examples)
    count = len(jax.tree.leaves(examples)[0])
    return ExampleSource(count, example, lambda i, _: jax.tree.map(lambda x: x[i], examples))


def sequence_source(
    sequences: Sequences,
    *,
    frames: int = 50,
    codec: str = "resampled",
    window: str = "last",
    mirror: bool = False,
    seed: int = 0,
) -> ExampleSource:
    """Walks of a built dataset, as `Gaits`.

    Args:
      sequences: none shorter than `frames`.
      frames: T, the length to take.
      codec: one of `contour.CODECS`.
      window: "last" takes the last frames of a recording (ST-GAN 4), "random" others each time.
      mirror: half of the examples, other ones each time, are mirrored: view v becomes 180 - v.
      seed: decides windows and mirroring.
    """
    if window not in ("last", "random"):
        raise ValueError(f'unknown window {window!r}: choose "last" or "random"')
    if min(walk.frames for walk in sequences.walks) < frames:
        raise ValueError(f"sequences must have {frames} frames: select with least_frames")
    dtype = np.uint8 if codec == "padded" else np.uint16

    def fetch(index, position):
        out = np.empty((len(index), frames, contour.DIM), dtype)
        for row, (i, number) in enumerate(zip(index, position, strict=True)):
            outlines = sequences.outlines(int(i))
            rng = np.random.default_rng([seed, 0xF1, number])
            spare = len(outlines) - frames
            start = spare if window == "last" else int(rng.integers(spare + 1))
            outlines = outlines[start : start + frames]
            if mirror and rng.random() < 0.5:
                outlines = [contour.mirror_outline(points) for points in outlines]
            out[row] = contour.to_fixed(contour.encode_outlines(outlines, codec), codec)
        return Gaits(out)

    example: Any = jax.ShapeDtypeStruct((frames, contour.DIM), dtype)
    return ExampleSource(len(sequences), Gaits(example), fetch, sequences.walks)


def paired_source(source: ExampleSource, subject: int) -> ExampleSource:
    """`GaitPairs` of an original gait and a noise gait: the WIFS rule (III-E, IV).

    Everybody else's noise gait is this subject's gait in the same view: of the same walk if
    there is one, else of the first walk in that view.

    Args:
      source: sequences, with their `walks` known.
      subject: number of the noise subject.

    Raises:
      InputError: nobody else is left, or the subject is missing in all views.
    """
    of_subject: dict[tuple[int, str], int] = {}
    in_view: dict[int, int] = {}
    for i, walk in enumerate(source.walks):
        if walk.subject == subject:
            of_subject[walk.view, walk.name] = i
            in_view.setdefault(walk.view, i)
    pairs = np.array(
        [
            (i, of_subject.get((walk.view, walk.name), in_view[walk.view]))
            for i, walk in enumerate(source.walks)
            if walk.subject != subject and walk.view in in_view
        ]
    )
    if not len(pairs):
        raise InputError(
            f"subject {subject} has no noise gait for anybody: name another as --config."
            "noise_subject, or more subjects and views"
        )

    def fetch(index, position):
        each = [source.fetch(pairs[index, side], position).contours for side in (0, 1)]
        return GaitPairs(np.stack(each, axis=1))

    walks = [source.walks[i] for i in pairs[:, 0]]
    return ExampleSource(len(pairs), _pair_of(source), fetch, walks)


def noise_gait_source(
    source: ExampleSource,
    make: Callable[[int, Shaped[np.ndarray, "T 4000"]], Shaped[np.ndarray, "T 4000"]],
    keep: bool,
) -> ExampleSource:
    """`GaitPairs` of an original gait and a noise gait that is computed from it.

    Args:
      source: gaits.
      make: (index of the example, gait) -> noise gait, both fixed-point.
      keep: whether an example is the same each time, so that its noise gait is computed once.
    """
    kept: dict[int, Any] = {}

    def noise(i: int, own):
        if i in kept:
            return kept[i]
        gait = make(i, own)
        if keep:
            kept[i] = gait
        return gait

    def fetch(index, position):
        own = source.fetch(index, position).contours
        gaits = [noise(i, gait) for i, gait in zip(index.tolist(), own, strict=True)]
        return GaitPairs(np.stack([own, np.stack(gaits)], axis=1))

    return ExampleSource(source.count, _pair_of(source), fetch, source.walks)


def _pair_of(source: ExampleSource) -> GaitPairs:
    """What a pair of two of the source's gaits looks like."""
    gait = source.example.contours
    example: Any = jax.ShapeDtypeStruct((2, *gait.shape), gait.dtype)
    return GaitPairs(example)

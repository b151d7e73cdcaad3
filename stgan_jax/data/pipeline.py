"""tf.data: stored contours in, shuffled batches out, as a pure function of (seed, step)."""

import collections
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, Shaped
from tqdm import tqdm

from stgan_jax import contour
from stgan_jax.data.datasets import Sequences, Walk
from stgan_jax.errors import InputError

# TensorFlow only feeds data here: it need not tell at length how it would compute.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import tensorflow as tf

Batch = Shaped[np.ndarray, "B *shape"]
# (examples' indices, positions in the endless stream) -> the examples
Fetch = Callable[[Int[np.ndarray, " B"], Int[np.ndarray, " B"]], Batch]


@dataclasses.dataclass(frozen=True)
class Source:
    """Examples to draw from: how many, what they look like, how to get at them, who they are."""

    count: int
    shape: tuple[int, ...]
    dtype: type
    fetch: Fetch
    walks: Sequence[Walk] = ()

    def everything(self) -> Shaped[np.ndarray, "N *shape"]:
        """All examples, with a progress bar."""
        parts = np.array_split(np.arange(self.count), -(-self.count // 64))
        bar = tqdm(parts, "taking examples into memory", unit="64 examples", disable=None)
        return np.concatenate([self.fetch(part, part) for part in bar])

    def indices(self) -> "Source":
        """Numbers of the examples in place of them, for whoever holds them already."""
        return Source(self.count, (), np.int32, lambda index, _: index.astype(np.int32), self.walks)


def array_source(examples: Shaped[np.ndarray, "N *shape"]) -> Source:
    """Examples in memory, or memory-mapped, in the form that a step takes."""
    return Source(
        len(examples), examples.shape[1:], examples.dtype.type, lambda index, _: examples[index]
    )


def sequence_source(
    sequences: Sequences,
    *,
    frames: int = 50,
    codec: str = "resampled",
    window: str = "last",
    mirror: bool = False,
    seed: int = 0,
) -> Source:
    """Walks of a built dataset as fixed-point contours (frames, 4000), see `contour.to_fixed`.

    Args:
      sequences: none shorter than `frames`.
      frames: T, the length to take.
      codec: of `contour.CODECS`.
      window: "last" takes the last frames of a recording (ST-GAN 4), "random" others each time.
      mirror: half of the examples, other ones each time, are mirrored: view v becomes 180 - v.
      seed: of windows and mirrors.
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
        return out

    return Source(len(sequences), (frames, contour.DIM), dtype, fetch, sequences.walks)


def paired_source(source: Source, subject: int) -> Source:
    """Pairs (2, ...) of an original gait and a noise gait: the WIFS rule (III-E, IV).

    The noise gait of everybody else is the given subject's in the same view, of the same
    walk where there is one, else of the first one in that view.

    Args:
      source: sequences, with their `walks` known.
      subject: who is the noise.

    Raises:
      InputError: nobody else is left, or the subject is missing in all views.
    """
    of_subject: dict[tuple[int, str], int] = {}
    in_view: dict[int, int] = {}
    for i, walk in enumerate(source.walks):
        if walk.subject == subject:
            of_subject[walk.view, walk.name] = i
            in_view.setdefault(walk.view, i)
    pairs = np.array([
        (i, of_subject.get((walk.view, walk.name), in_view[walk.view]))
        for i, walk in enumerate(source.walks)
        if walk.subject != subject and walk.view in in_view
    ])  # fmt: skip
    if not len(pairs):
        raise InputError(
            f"subject {subject} has no noise gait for anybody: name another as --config."
            "noise_subject, or more subjects and views"
        )

    def fetch(index, position):
        return np.stack([source.fetch(pairs[index, side], position) for side in (0, 1)], axis=1)

    walks = [source.walks[i] for i in pairs[:, 0]]
    return Source(len(pairs), (2, *source.shape), source.dtype, fetch, walks)


def noise_gait_source(
    source: Source,
    make: Callable[[int, Shaped[np.ndarray, "T 4000"]], Shaped[np.ndarray, "T 4000"]],
    keep: bool,
) -> Source:
    """Pairs (2, ...) of an original gait and a noise gait that is made of it.

    Args:
      source: gaits.
      make: (number of the example, gait) -> noise gait, both fixed-point.
      keep: examples are the same whenever they are drawn: their noise is made once and kept.
    """
    made: dict[int, Any] = {}

    def noise(i: int, own):
        if i in made:
            return made[i]
        gait = make(i, own)
        if keep:
            made[i] = gait
        return gait

    def fetch(index, position):
        own = source.fetch(index, position)
        gaits = [noise(i, gait) for i, gait in zip(index.tolist(), own, strict=True)]
        return np.stack([own, np.stack(gaits)], axis=1)

    return Source(source.count, (2, *source.shape), source.dtype, fetch, source.walks)


def batches(
    source: Source,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    process: int = 0,
    processes: int = 1,
) -> Iterator[Batch]:
    """Endless shuffled batches; every example comes once an epoch.

    Batch number s holds the examples s B .. (s + 1) B - 1 of an endless sequence of
    permutations, one an epoch, each a function of (seed, epoch) alone. So a run that
    resumes at step s asks for `start_step=s` and gets what it would have got. Of several
    processes each gets its share of every batch.

    Args:
      source: what to draw from.
      batch_size: B, of all processes together.
      seed: order of the examples.
      start_step: number of the first batch.
      process: which process this is, from 0; its share is B / processes examples.
      processes: how many there are.
    """
    share, rest = divmod(batch_size, processes)
    if rest:
        raise ValueError(f"a batch of {batch_size} cannot be shared by {processes} processes")

    @tf.autograph.experimental.do_not_convert  # there is no control flow in it
    def gather(step: tf.Tensor) -> tf.Tensor:
        position = step * batch_size + process * share + tf.range(share, dtype=tf.int64)
        epoch, number = position // source.count, position % source.count
        key = tf.stack([tf.zeros_like(epoch), tf.fill([share], tf.cast(seed, tf.int64)), epoch], -1)
        # The raw operation: tf.random.experimental.index_shuffle takes one key alone.
        index = tf.raw_ops.RandomIndexShuffle(
            index=number, seed=key, max_index=tf.constant(source.count - 1, tf.int64), rounds=4
        )
        (batch,) = tf.numpy_function(
            lambda i, p: [source.fetch(i, p)], [index, position], [source.dtype]
        )
        return tf.ensure_shape(batch, (share, *source.shape))

    steps = tf.data.Dataset.range(start_step, tf.int64.max)
    dataset = steps.map(gather, num_parallel_calls=2, deterministic=True)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 2  # leave the cores to the step
    return dataset.prefetch(2).with_options(options).as_numpy_iterator()


def stacked(feed: Iterator[Batch], count: int) -> Iterator[Batch]:
    """So many batches of an endless feed at a time, with a leading axis of them."""
    while True:
        yield np.stack(list(itertools.islice(feed, count)))


def on_device(
    feed: Iterator[Any], put: Callable[[Any], Any] = jax.device_put, depth: int = 2
) -> Iterator[Any]:
    """Sends batches ahead to the device, so that a step need not wait for its copy.

    Args:
      feed: of `batches`.
      put: sends a batch, without waiting for its arrival.
      depth: how many batches are on their way.
    """
    queue: collections.deque[Any] = collections.deque()
    for batch in feed:
        queue.append(put(batch))
        if len(queue) == depth:
            yield queue.popleft()
    yield from queue

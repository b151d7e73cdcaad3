"""tf.data: stored contours in, shuffled batches out, as a pure function of (seed, step)."""

import os
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt16

# TensorFlow only feeds data here: it need not tell at length how it would compute.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import tensorflow as tf


def batches(
    examples: UInt16[np.ndarray, "N *shape"], batch_size: int, seed: int, start_step: int = 0
) -> Iterator[UInt16[np.ndarray, "B *shape"]]:
    """Endless shuffled batches; every example comes once an epoch.

    Batch number s holds the examples s B .. (s + 1) B - 1 of an endless sequence of
    permutations, one an epoch, each a function of (seed, epoch) alone. So a run that
    resumes at step s asks for `start_step=s` and gets what it would have got.

    Args:
      examples: fixed-point contours, memory-mapped or not; frames (N, 4000) or
        sequences (N, T, 4000).
      batch_size: B.
      seed: order of the examples.
      start_step: number of the first batch.
    """
    count = len(examples)

    def pick(position: tf.Tensor) -> tf.Tensor:
        key = tf.stack([seed, position // count])
        return tf.random.experimental.index_shuffle(position % count, key, count - 1)

    def gather(index: tf.Tensor) -> tf.Tensor:
        (batch,) = tf.numpy_function(lambda i: [examples[i]], [index], [tf.uint16])
        return tf.ensure_shape(batch, (batch_size, *examples.shape[1:]))

    first = start_step * batch_size
    positions = tf.data.Dataset.range(first, tf.int64.max)
    dataset = positions.map(pick).batch(batch_size, drop_remainder=True).map(gather)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 2  # leave the cores to the step
    return dataset.prefetch(2).with_options(options).as_numpy_iterator()

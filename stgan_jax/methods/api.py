"""The interface that every anonymisation method offers.

Video, evaluation and study know a method by this class alone, never by its kind. A method of your
own subclasses `Anonymizer` and is registered with `catalog.register`.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from stgan_jax.shapes import contour
from stgan_jax.shapes.walker import Walker
from stgan_jax.util.errors import InputError

if TYPE_CHECKING:
    from stgan_jax.data.datasets.names import WalkName

Silhouettes = UInt8[np.ndarray, "T 240 240"]
Contours = Float[np.ndarray, "B T 4000"]


@runtime_checkable
class ReadsGaits(Protocol):
    """Reads a gait off silhouettes; an `Anonymizer` that can is one.

    Attributes:
      digest: changes whenever what is read may change.
    """

    digest: str

    def read_gait(self, silhouettes: Silhouettes) -> Float[np.ndarray, "T 12"]:
        """What each frame of one person's walk shows, as `gait.pose_vector` has it, unsmoothed."""
        ...


class Course(NamedTuple):
    """What a video shows of a walk beside its silhouettes.

    Attributes:
      fps: frames a second.
      steps: how far the person's place on the ground moves in the picture in each frame, (row,
        col), in heights of the person; None if it is unknown.
      pitch: degrees by which the camera looks down at the person; None if it is unknown.
      near: 1 / the camera's distance in statures; 0 if it is far away.
      facing: how far the left side of the trunk is to the right of its right side in the picture,
        1 in who faces the camera and -1 in who turns their back to it; NaN where it is unknown.
    """

    fps: float = 25.0
    steps: Float[np.ndarray, "T 2"] | None = None
    pitch: float | None = None
    near: float = 0.0
    facing: Float[np.ndarray, " T"] | None = None


class Drawn(NamedTuple):
    """A walk as bodies, frame by frame.

    Attributes:
      own: the person as read, in the own pose, phase by phase.
      new: the stranger, in the pose that is published.
    """

    own: Walker
    new: Walker


class Anonymizer:
    """Takes one person's walk and a random key, and returns another person's walk.

    A subclass implements `__call__`, and overrides the rest where it can do better.

    Attributes:
      kind: the method's name in `catalog`.
      name: what tables call this one; its folder's or its weights' name.
      codec: which contours `contours` works on, one of `contour.CODECS`.
      alpha: how far from the person's own shape to the new one, 0 to 1; None if not applicable.
      digest: changes whenever the output may change; "" if results must not be cached.
      context: how many frames before and after a frame decide its shape.
      whole: whether a frame's shape depends on the whole walk. If so, `in_pieces` serves long
        walks, otherwise a walk may be cut into pieces that overlap by `context`.
      draws: whether a walk is drawn as bodies, which `drawn` and `bodies` return; `whole`, too.
      OPTIONS: names of the options that `with_options` takes.
    """

    kind: ClassVar[str]
    OPTIONS: ClassVar[tuple[str, ...]] = ()

    name: str = ""
    codec: str = "resampled"
    alpha: float | None = None
    digest: str = ""
    context: int = 0
    whole: bool = False
    draws: bool = False

    def __call__(self, silhouettes: Silhouettes, key: jax.Array) -> Silhouettes:
        """Anonymises one person's walk.

        Args:
          silhouettes: consecutive frames, non-zero where the person is, cropped as
            `cropping.crop_mask` does.
          key: decides who the new person is. One for each person and video.

        Returns:
          1 inside, 0 outside. A frame without anybody stays empty.
        """
        raise NotImplementedError

    def many(self, walks: Sequence[np.ndarray], keys: Sequence[jax.Array]) -> list[np.ndarray]:
        """Anonymises several people's walks (each (T, 240, 240), T may differ), one key each."""
        return [self(walk, key) for walk, key in zip(walks, keys, strict=True)]

    def in_pieces(
        self,
        crops: Callable[[range], np.ndarray],
        frames: int,
        key: jax.Array,
        track: Course | None = None,
    ) -> Iterator[tuple[range, np.ndarray]]:
        """Anonymises a long walk without holding all of its silhouettes; needed if `whole`.

        Args:
          crops: range of frames -> their silhouettes, (n, 240, 240).
          frames: length of the walk.
          key: see `__call__`.
          track: what else the video shows of the walk.

        Yields:
          ranges of frames and their new silhouettes, in order.
        """
        raise NotImplementedError

    def drawn(self, silhouettes: Silhouettes, key: jax.Array, track: Course | None = None) -> Drawn:
        """The bodies behind a call, to be dressed; only of methods that draw bodies."""
        raise NotImplementedError

    def bodies(
        self,
        crops: Callable[[range], np.ndarray],
        frames: int,
        key: jax.Array,
        track: Course | None = None,
    ) -> Drawn:
        """`drawn` for a long walk, with the arguments of `in_pieces`; needed if `draws`."""
        raise NotImplementedError

    def with_options(self, **options: Any) -> "Anonymizer":
        """A copy that is used differently; an option that is None keeps its value.

        Raises:
          InputError: the method has no such option, or not this value.
        """
        changes = {name: value for name, value in options.items() if value is not None}
        unknown = [name for name in changes if name not in self.OPTIONS]
        if unknown:
            raise InputError(
                f"{self.name or self.kind}: a {self.kind!r} model has no --{unknown[0]}: leave it "
                "out, or choose another --checkpoint"
            )
        return self._changed(changes) if changes else self

    def _changed(self, options: dict[str, Any]) -> "Anonymizer":
        """`with_options` for options that the method has, none of them None."""
        raise NotImplementedError

    def require_video(self) -> None:
        """Raises `InputError` if this model cannot anonymise walks from a video."""

    def contours(self, own: Contours, walks: "Sequence[WalkName]", seed: int) -> Contours:
        """Anonymised contours of a dataset's walks, for evaluation.

        Args:
          own: original contours in [0, 1], of `codec`.
          walks: what each is called: name and seed decide its key, whatever else is in the batch.
          seed: decides the keys.

        Returns:
          contours in pixels; one that was empty stays empty.
        """
        pixels = contour.to_pixels(np.array(self.unit_contours(own, walks, seed)))
        pixels[~own.any(-1)] = 0.0
        return pixels

    def unit_contours(self, own: Contours, walks: "Sequence[WalkName]", seed: int) -> Contours:
        """`contours` in [0, 1]; by default each walk's silhouettes go through a call."""
        before = contour.decode(contour.to_pixels(own), self.codec)
        each = zip(before, walk_keys(walks, seed), walks, strict=True)
        after = np.stack([self.from_view(walk.view)(own, key) for own, key, walk in each])
        return contour.to_unit(contour.encode(after, self.codec))

    def from_view(self, degrees: float) -> "Anonymizer":
        """A copy for walks whose view a dataset names; by default the view is not used."""
        del degrees
        return self

    def named(self, name: str) -> "Anonymizer":
        """A copy that tables call by another name."""
        other = copy.copy(self)
        other.name = name
        return other


def walk_number(walk: "WalkName", seed: int) -> Int[np.ndarray, " 6"]:
    """A walk's name and a seed as numbers, to seed a random generator with."""
    condition = int.from_bytes(walk.condition.encode(), "big")
    return np.array([seed, walk.subject, condition, walk.repetition, walk.view, 0xA7])


def walk_keys(walks: "Sequence[WalkName]", seed: int) -> jax.Array:
    """A random key for each walk, a function of its name and the seed."""
    drawn = [np.random.default_rng(walk_number(walk, seed)).integers(2**31) for walk in walks]
    return jax.vmap(jax.random.key)(jnp.array(drawn))

"""A clip's source and its options: a video or a folder of pictures, and how it is anonymised."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stgan_jax.media import background, containers, pictures
from stgan_jax.media.sound import Audio
from stgan_jax.util import files
from stgan_jax.util.errors import InputError
from stgan_jax.video import keys
from stgan_jax.video.render import head

COLORS = ("atlas", "nearest", "transfer")
_ENOUGH = 30  # if there are as many key frames over the video, they stand for all frames


@dataclasses.dataclass(frozen=True)
class ClipOptions:
    """How a clip is anonymised; the command's flags have the same names.

    Attributes:
      keep_audio: copies the sound into the output. (A voice identifies its speaker, too.)
      codec: name in `containers.CODECS`; None for the container's own.
      crf: constant rate factor of the codec.
      start, end: seconds; frames before and after are left out.
      max_resolution: larger frames are scaled down to this many pixels on the shorter side.
      silhouettes_only: draws white people on black.
      color: source of the new bodies' colours, one of `COLORS`: the clothes by body part, from the
        whole clip; the nearest pixel (ST-GAN, Eq. 9), as with "atlas" where no body is drawn; or
        the colour-transfer network (Colour 2020).
      face: what is done to the original heads before that, one of `head.HOW`.
      people: "networks" finds people with networks, where they can be had, see `people.finding`;
        "difference" takes whatever moves for people, and nothing is fetched.
      things: what moves and is no person: "keep" shows it, unless it touches somebody; "remove"
        shows the empty scene in its place, as is always done without networks and with masks.
      stabilize: steadies a camera that moves; the frames are enlarged by up to 1.2.
      models: folder with the networks' files; None for the user's cache, which is filled.
      masks: folder with a PNG for every frame, whose values are people's ids, 0 nobody.
      segmenter: ONNX file, see `masks.Segmenter`.
      segmenter_input: height and width of its input, and the class (channel) of people.
      background: picture of the empty scene, or a video or folder with one for every frame.
      seed: decides everybody's random numbers; by default a random one.
      alpha: how far bodies move to the stranger's, 0 to 1; None for the model's own.
      in_step: draws every pose as it is read, at the moment when it was recorded, by which two
        results of one recording can be linked; None for the model's own, which keeps a person's
        gait parameters only.
      store_seed: puts the seed into the report. Whoever has it can repeat the random numbers.
      preview: PNG to write: a few frames of the result.
      contact_sheet: PNG to write: before and after. It shows the original people.
      decisions: file of what a person decided in a review of the clip, see `decisions`; "beside"
        for the one beside the clip, if it is there.
    """

    keep_audio: bool = True
    codec: str | None = None
    crf: int = 18
    start: float = 0.0
    end: float | None = None
    max_resolution: int | None = None
    silhouettes_only: bool = False
    color: str = "atlas"
    face: str = "blur"
    people: str = "networks"
    things: str = "keep"
    stabilize: bool = False
    models: str | os.PathLike | None = None
    masks: str | os.PathLike | None = None
    segmenter: str | os.PathLike | None = None
    segmenter_input: tuple[int, int, int] = (512, 512, 0)
    background: str | os.PathLike | None = None
    seed: int | None = None
    alpha: float | None = None
    in_step: bool | None = None
    store_seed: bool = False
    preview: str | os.PathLike | None = None
    contact_sheet: str | os.PathLike | None = None
    decisions: str | os.PathLike | None = None

    def __post_init__(self):
        """Raises `InputError` for values out of range and options that exclude each other."""
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise InputError("--start must not be negative, and --end must be later than it")
        if self.masks and self.start:
            raise InputError("--masks are counted from the first frame: leave --start out")
        if self.max_resolution is not None and self.max_resolution < 16:
            raise InputError("--max_resolution must be 16 pixels or more")
        choices = {
            "color": COLORS,
            "face": head.HOW,
            "people": ("networks", "difference"),
            "things": ("keep", "remove"),
        }
        for name, values in choices.items():
            if getattr(self, name) not in values:
                raise InputError(f"--{name} must be one of {', '.join(values)}")
        if not 0 <= self.crf <= 51:
            raise InputError("--crf must be from 0 to 51")
        if self.alpha is not None and not 0.0 <= self.alpha <= 1.0:
            raise InputError("--alpha must be from 0 to 1")
        if self.models and self.people == "difference":
            raise InputError("--people=difference uses no networks: leave --models out")
        if self.masks and self.segmenter:
            raise InputError("--masks and --segmenter exclude each other")
        if self.seed is not None and not 0 <= self.seed < 1 << keys.BITS:
            raise InputError(f"--seed must be from 0 to 2**{keys.BITS} - 1")
        paths = ("preview", "contact_sheet", "masks", "segmenter", "background", "models")
        for name in (*paths, "decisions"):
            if getattr(self, name):
                object.__setattr__(self, name, files.local(getattr(self, name)))
        for path in (self.preview, self.contact_sheet):
            if path is not None and not os.fspath(path).lower().endswith(".png"):
                raise InputError(f"{path}: name a .png file for the picture")

    @property
    def cut(self) -> containers.Cut:
        """The part of a video that is read."""
        return containers.Cut(self.start, self.end, self.max_resolution)

    @property
    def of_model(self) -> dict[str, Any]:
        """Arguments for `Anonymizer.with_options`."""
        return {name: getattr(self, name) for name in ("alpha", "in_step")}


class ClipSource:
    """A video, or a folder of pictures read as one.

    Attributes:
      path: the video or folder.
      info: properties by the header or the first picture.
      is_folder: whether it is a folder of pictures.
      turns: quarter turns anticlockwise by which frames are read; they are written turned back.
      moves: whether its camera moves, as far as somebody has looked.
    """

    def __init__(self, path: str | os.PathLike, cut: containers.Cut):
        """Reads the header. Raises `InputError` if there is none."""
        self.path, self.cut, self.turns, self.moves = Path(path), cut, 0, False
        self.is_folder = self.path.is_dir()
        self.info = (pictures if self.is_folder else containers).probe(path, cut)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the frames as they are read."""
        shape = self.info.height, self.info.width
        return shape[::-1] if self.turns % 2 else shape

    def frames(self) -> Iterator[containers.Stamped]:
        """All frames, decoded anew."""
        frames = (pictures if self.is_folder else containers).read_stamped(self.path, self.cut)
        return (_turned(frame, self.turns) for frame in frames)

    def samples(self) -> UInt8[np.ndarray, "N H W 3"]:
        """Frames from all over the clip: key frames if there are enough, as they cost little."""
        if not self.is_folder:
            keyed = containers.read_stamped(self.path, self.cut, keys_only=True)
            images = (_turned(frame, self.turns).image for frame in keyed)
            samples = background.spread(images, self.most)
            if len(samples) >= min(_ENOUGH, self.most):
                return np.stack(samples)
        return np.stack([image for _, image in self.numbered_samples()])

    def numbered_samples(self) -> list[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
        """Frames from all over the clip, with their numbers."""
        frames = ((number, frame.image) for number, frame in enumerate(self.frames()))
        samples = background.spread(frames, self.most)
        if not samples:
            raise InputError(f"{self.path}: holds no frames")
        return samples

    @property
    def most(self) -> int:
        """How many samples fit into a quarter of a GiB, at most 60."""
        return int(np.clip((256 << 20) // (3 * self.shape[0] * self.shape[1]), 3, 60))

    @property
    def depth(self) -> int:
        """How many frames are read ahead: up to six, in 48 MiB."""
        return int(np.clip((48 << 20) // (3 * self.shape[0] * self.shape[1]), 1, 6))

    @contextlib.contextmanager
    def writer(
        self, output: str | os.PathLike, options: ClipOptions
    ) -> Iterator[Callable[[containers.Stamped], None]]:
        """A context that yields `append`, see `containers.video_writer`."""
        if self.is_folder:
            writer = pictures.writer(output, pictures.png_names(self.path))
        else:
            sound = Audio(self.path, options.start, options.end) if options.keep_audio else None
            writer = containers.video_writer(
                output,
                (self.info.height, self.info.width),
                self.info.fps,
                options.crf,
                codec=options.codec,
                like=self.info,
                sound=sound,
            )
        with writer as append:
            yield lambda frame: append(_turned(frame, -self.turns))


def _turned(frame: containers.Stamped, turns: int) -> containers.Stamped:
    if turns % 4 == 0:
        return frame
    image = np.ascontiguousarray(np.rot90(frame.image, turns))
    return dataclasses.replace(frame, image=image)

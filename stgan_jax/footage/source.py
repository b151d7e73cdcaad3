"""What is to be anonymised, and how: a video or a folder of pictures, and the options."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stgan_jax.errors import InputError
from stgan_jax.footage import keys
from stgan_jax.video import background, head, io, pictures
from stgan_jax.video.audio import Audio

COLORS = ("nearest", "transfer")
_ENOUGH = 30  # key frames that are spread over the video stand for all frames


@dataclasses.dataclass(frozen=True)
class Options:
    """How a clip is anonymised; the command's flags of these names.

    Attributes:
      keep_audio: sound goes into the output. (A voice tells who speaks, too.)
      codec: of `io.CODECS`; None for the container's own.
      crf: constant rate factor of the codec.
      start, end: seconds; frames before and after are left out.
      max_resolution: pixels of the shorter side, to which larger frames are scaled down.
      silhouettes_only: white people on black.
      color: where the new bodies' colours come from, one of `COLORS`: the nearest pixel (ST-GAN,
        Eq. 9) or the colour-transfer network (Colour 2020).
      face: what becomes of the original heads before, of `head.HOW`.
      standing: "cover" fills over what may be people who stand in the empty scene, see
        `video.standing`; "keep" leaves it: nobody stands there, as somebody has looked.
      masks: folder of a PNG a frame, whose values tell people apart, 0 nobody.
      segmenter: ONNX file, see `masks.Segmenter`.
      segmenter_input: its input's height and width, and the class (channel) of people.
      background: picture of the empty scene, or a video or folder with a frame a frame.
      seed: decides everybody's noise; random by default.
      tempo: largest relative change of everybody's cadence; None for the model's.
      in_step: poses as they are read, at the moments that were recorded, by which two results of
        one recording can be linked; None for the model's, which keeps no more than a gait.
      build: how various new bodies are, from 1, as people, to 2; None for the model's.
      store_seed: puts the seed into the report. Whoever has it can repeat the noise.
      preview: PNG to write: a few frames of the result.
      contact_sheet: PNG to write: before and after. It shows the original people.
    """

    keep_audio: bool = True
    codec: str | None = None
    crf: int = 18
    start: float = 0.0
    end: float | None = None
    max_resolution: int | None = None
    silhouettes_only: bool = False
    color: str = "nearest"
    face: str = "blur"
    standing: str = "cover"
    masks: str | os.PathLike | None = None
    segmenter: str | os.PathLike | None = None
    segmenter_input: tuple[int, int, int] = (512, 512, 0)
    background: str | os.PathLike | None = None
    seed: int | None = None
    tempo: float | None = None
    in_step: bool | None = None
    build: float | None = None
    store_seed: bool = False
    preview: str | os.PathLike | None = None
    contact_sheet: str | os.PathLike | None = None

    def __post_init__(self):
        """Raises `InputError` for what cannot be."""
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise InputError("--start must not be negative, and --end must be later than it")
        if self.masks and self.start:
            raise InputError("--masks are counted from the first frame: leave --start out")
        if self.max_resolution is not None and self.max_resolution < 16:
            raise InputError("--max_resolution must be 16 pixels or more")
        for name, known in (
            ("color", COLORS), ("face", head.HOW), ("standing", ("cover", "keep")),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise InputError(f"--{name} must be one of {', '.join(known)}")
        if not 0 <= self.crf <= 51:
            raise InputError("--crf must be from 0 to 51")
        if self.tempo is not None and not 0.0 <= self.tempo <= 0.5:
            raise InputError("--tempo must be from 0 to 0.5")
        if self.tempo and self.in_step:
            raise InputError("--in_step keeps the cadence: leave --tempo out")
        if self.build is not None and not 1.0 <= self.build <= 2.0:
            raise InputError("--build must be from 1 to 2")
        if self.masks and self.segmenter:
            raise InputError("--masks and --segmenter exclude each other")
        if self.seed is not None and not 0 <= self.seed < 1 << keys.BITS:
            raise InputError(f"--seed must be from 0 to 2**{keys.BITS} - 1")
        for path in (self.preview, self.contact_sheet):
            if path is not None and not os.fspath(path).lower().endswith(".png"):
                raise InputError(f"{path}: name a .png file for the picture")

    @property
    def cut(self) -> io.Cut:
        """The part of a video that is read."""
        return io.Cut(self.start, self.end, self.max_resolution)


class Source:
    """A video, or a folder of pictures read as one.

    Attributes:
      path: where it is.
      info: what is known before the frames are read.
      is_folder: whether it is a folder of pictures.
    """

    def __init__(self, path: str | os.PathLike, cut: io.Cut):
        """Reads the header. Raises `InputError` where there is none."""
        self.path, self.cut = Path(path), cut
        self.is_folder = self.path.is_dir()
        self.info = (pictures if self.is_folder else io).probe(path, cut)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self.info.height, self.info.width

    def frames(self) -> Iterator[io.Stamped]:
        """All frames, decoded anew."""
        return (pictures if self.is_folder else io).read_stamped(self.path, self.cut)

    def samples(self) -> UInt8[np.ndarray, "N H W 3"]:
        """Frames from all over the clip: key frames if there are enough, which cost little."""
        if not self.is_folder:
            keys = io.read_stamped(self.path, self.cut, keys_only=True)
            found = background.spread((frame.image for frame in keys), self._most)
            if len(found) >= min(_ENOUGH, self._most):
                return np.stack(found)
        return np.stack([image for _, image in self.numbered_samples()])

    def numbered_samples(self) -> list[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
        """Frames from all over the clip, with their numbers."""
        frames = ((number, frame.image) for number, frame in enumerate(self.frames()))
        found = background.spread(frames, self._most)
        if not found:
            raise InputError(f"{self.path}: holds no frames")
        return found

    @property
    def _most(self) -> int:
        """How many samples fit into a quarter of a GiB, at most 60."""
        return int(np.clip((256 << 20) // (3 * self.shape[0] * self.shape[1]), 3, 60))

    def writer(self, output: str | os.PathLike, options: Options) -> Any:
        """A context that yields `append(Stamped)`, see `io.video_writer`."""
        if self.is_folder:
            return pictures.writer(output, pictures.written(self.path))
        sound = Audio(self.path, options.start, options.end) if options.keep_audio else None
        return io.video_writer(
            output, self.shape, self.info.fps, options.crf,
            codec=options.codec, like=self.info, sound=sound,
        )  # fmt: skip

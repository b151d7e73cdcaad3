"""A video of walking people in, the same scene with other walkers out."""

import dataclasses
import functools
import json
import math
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import cv2
import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8
from tqdm import tqdm

from stgan_jax import checkpoint, contour, files
from stgan_jax.errors import InputError
from stgan_jax.settings import StganSettings, from_dict
from stgan_jax.steps import StganNets, used
from stgan_jax.video import background, io, segmentation, sheet, tracking
from stgan_jax.video.color import paint

_CHUNK = 64  # frames a call of G: one compiled shape for walks of any length
_STILL = 0.004  # camera motion, in frame diagonals, that a static camera's noise can look like


@dataclasses.dataclass(frozen=True)
class Model:
    """A trained ST-GAN, ready for use."""

    nets: StganNets
    params: dict[str, Any]
    codec: str
    alpha: float


def load_model(workdir: str | os.PathLike) -> Model:
    """Loads the newest checkpoint of an ST-GAN training. Raises `InputError`, see `checkpoint`."""
    saved = checkpoint.load(workdir, StganSettings.kind)
    settings = from_dict(saved.settings)
    assert isinstance(settings, StganSettings)
    return Model(settings.nets(), saved.params(), settings.data.codec, settings.alpha)


def anonymize_contours(
    model: Model, contours: Float[np.ndarray, "T 4000"], key: jax.Array
) -> Float[np.ndarray, "T 4000"]:
    """Gives one walk another shape: G with one noise contour for all its frames.

    Args:
      model: a trained ST-GAN.
      contours: of one person's consecutive frames, in pixels of the 240x240 crop.
      key: decides the noise; another key, another walker.

    Returns:
      anonymised contours, in pixels.
    """
    noise = _noise(model.nets.noise, model.params, key)
    out = np.empty(contours.shape, np.float32)
    for start in range(0, len(contours), _CHUNK):
        chunk = contours[start : start + _CHUNK]
        padded = np.zeros((_CHUNK, contour.DIM), np.float32)
        padded[: len(chunk)] = contour.to_unit(chunk)
        made = _generate(model.nets.gen, used(model.params), padded[None], noise)
        out[start : start + _CHUNK] = contour.to_pixels(np.asarray(made)[0, : len(chunk)])
    return out


@functools.partial(jax.jit, static_argnums=0)
def _noise(nets, params, key) -> Float[Array, "1 4000"]:
    return nets.sample(params, key, 1)


@functools.partial(jax.jit, static_argnums=0)
def _generate(gen, params, contours: Float[Array, "1 T 4000"], noise: Float[Array, "1 4000"]):
    return gen.apply(params, contours, noise)


def anonymize_silhouettes(
    model: Model, silhouettes: UInt8[np.ndarray, "T 240 240"], key: jax.Array
) -> UInt8[np.ndarray, "T 240 240"]:
    """`anonymize_contours` for the silhouettes of one walk, cropped as `contour.crop_mask` does.

    An empty silhouette stays empty.
    """
    contours = contour.encode(silhouettes, model.codec)
    made = anonymize_contours(model, contours, key)
    made[~contours.any(-1)] = 0.0
    return contour.decode(made, model.codec)


@dataclasses.dataclass
class Person:
    """One track and what becomes of it.

    Attributes:
      sightings: where and when the person was seen.
      hidden: per sighting, why it is not shown, or None where it is anonymised.
      squares: per sighting, the crop (top, left, side).
      packed: per sighting, the anonymised silhouette's bits; see `silhouette`.
    """

    sightings: list[tracking.Sighting]
    hidden: list[str | None]
    squares: Int[np.ndarray, "T 3"]
    packed: UInt8[np.ndarray, "T bytes"]

    def silhouette(self, i: int) -> UInt8[np.ndarray, "240 240"]:
        """The anonymised silhouette of sighting i in its crop."""
        return np.unpackbits(self.packed[i]).reshape(contour.SIZE, contour.SIZE)

    def row(self, number: int) -> dict[str, Any]:
        """The person's line in the report."""
        return {
            "person": number,
            "first_frame": self.sightings[0].frame,
            "last_frame": self.sightings[-1].frame,
            "frames_seen": len(self.sightings),
            "frames_anonymized": self.hidden.count(None),
            "frames_covered": len(self.hidden) - self.hidden.count(None),
            "covered_because": dict(Counter(reason for reason in self.hidden if reason)),
        }


def anonymize_video(
    source: str | os.PathLike,
    output: str | os.PathLike,
    model: Model,
    *,
    seed: int | None = None,
    report: str | os.PathLike | None = None,
    contact_sheet: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """Anonymises everybody who walks in a video from a static camera.

    The output shows the scene's background with the anonymised people in it and nothing
    else of the original: whoever could not be anonymised is covered by background.

    Args:
      source: the video.
      output: video to write; it appears complete or not at all.
      model: a trained ST-GAN.
      seed: decides everybody's noise; random by default, and stored nowhere.
      report: JSON file to write, the returned value.
      contact_sheet: PNG to write: original, silhouette, anonymised silhouette, recoloured.
        It shows the original people: not for publication.

    Returns:
      the report: what was read and written, and a row a person, as `Person.row` gives it.

    Raises:
      InputError: an unusable video, one whose camera moves, nobody in it, or a file that
        cannot be written.
    """
    info, started = io.probe(source), time.monotonic()
    io.codec_of(output)
    if contact_sheet is not None and not os.fspath(contact_sheet).lower().endswith(".png"):
        raise InputError(f"{contact_sheet}: name a .png file for the contact sheet")
    for path in (output, report, contact_sheet):
        if path is not None:
            files.check_output(path)
            if os.path.exists(path) and os.path.samefile(source, path):
                raise InputError(f"{path}: would replace the input, name another file")
    samples, frames = background.sample_frames(source)
    if background.camera_motion(samples) > _STILL:
        raise InputError(
            f"{source}: the camera moves, and only static cameras are supported: stabilise the "
            "video or cut out a part where the camera stands still"
        )
    empty, restlessness = background.median_background(samples)
    del samples
    tracks = _follow(source, empty, background.thresholds(restlessness), frames)
    root = jax.random.key(secrets.randbits(32) if seed is None else seed)
    persons = [
        _anonymize_person(model, track, empty.shape[:2], info.fps, jax.random.fold_in(root, i))
        for i, track in enumerate(tqdm(tracks, desc="anonymising", unit="person"))
    ]
    if not any(None in person.hidden for person in persons):
        raise InputError(f"{source}: no walking person found, nothing to anonymise")
    cells = _sheet_cells(persons, empty.shape[:2]) if contact_sheet else {}
    with io.video_writer(output, empty.shape[:2], info.fps) as append:
        for number, frame, canvas in _composed(source, empty, persons, frames):
            append(canvas)
            for cell in cells.get(number, ()):
                cell.fill(frame, canvas)
    seconds = time.monotonic() - started
    result = {
        "version": 1,
        "input": os.fspath(source),
        "output": os.fspath(output),
        "frames": frames,
        "width": info.width,
        "height": info.height,
        "fps": float(info.fps),
        "alpha": model.alpha,
        "seconds": round(seconds, 2),
        "frames_per_second": round(frames / seconds, 2),
        "people": [person.row(i) for i, person in enumerate(persons, 1)],
    }
    if contact_sheet:
        sheet.write(contact_sheet, [cell for column in cells.values() for cell in column])
    if report:
        with files.replacing(report) as beside:
            beside.write_text(json.dumps(result, indent=2) + "\n")
    return result


def _follow(source, empty, thresholds, frames: int) -> list[tracking.Track]:
    follower = tracking.Follower(empty.shape[:2])
    for number, frame in enumerate(
        tqdm(io.read_frames(source), total=frames, desc="following people", unit="frame")
    ):
        follower.see(number, segmentation.foreground(frame, empty, thresholds))
    return follower.tracks


def _anonymize_person(model, track: tracking.Track, shape, fps, key) -> Person:
    sightings = track.sightings
    hidden = _reasons(sightings, shape, least_frames=max(5, math.ceil(fps / 3)))
    squares = contour.track_squares(np.array([s.box for s in sightings]))
    packed = []
    for start in range(0, len(sightings), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        masks = [
            _joined(contour.crop_mask(s.on(shape), square))
            for s, square in zip(sightings[chunk], squares[chunk], strict=True)
        ]
        for i, silhouette in enumerate(anonymize_silhouettes(model, np.stack(masks), key), start):
            packed.append(np.packbits(silhouette))
            if hidden[i] is None and not silhouette.any():
                hidden[i] = "nothing generated"
    return Person(sightings, hidden, squares, np.stack(packed))


def _joined(mask: UInt8[np.ndarray, "240 240"]) -> UInt8[np.ndarray, "240 240"]:
    """Bridges the gap that a pole in front of somebody leaves: a contour follows one piece."""
    pieces, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    areas = sorted(cv2.contourArea(piece) for piece in pieces)
    if len(areas) < 2 or areas[-2] < 0.1 * areas[-1]:
        return mask
    bridge = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25))
    return cv2.morphologyEx(mask, cv2.MORPH_CLOSE, bridge)


def _reasons(sightings, shape, least_frames: int) -> list[str | None]:
    """Why each sighting of a track cannot be anonymised, or None where it can."""
    if len(sightings) < least_frames:
        return ["seen too briefly"] * len(sightings)
    boxes = np.array([s.box for s in sightings])
    areas = np.array([s.area for s in sightings], np.float64)
    cut = (boxes[:, :2] <= 0).any(1) | (boxes[:, 2:] >= shape).any(1)
    whole = np.flatnonzero(~cut)
    reasons: list[str | None] = []
    for i, box in enumerate(boxes):
        reason = None
        if box[2] - box[0] < 24:
            reason = "too small"
        elif cut[i]:
            nearest = whole[np.argmin(np.abs(whole - i))] if len(whole) else None
            if nearest is None or areas[i] < 0.5 * areas[nearest]:
                reason = "cut off by the frame"
        reasons.append(reason)
    return reasons


def _composed(source, empty, persons: list[Person], frames: int) -> Iterable:
    """Yields (number, original frame, anonymised frame)."""
    present: dict[int, list[tuple[Person, int]]] = {}
    for person in persons:
        for i, sighting in enumerate(person.sightings):
            if person.hidden[i] is None:
                present.setdefault(sighting.frame, []).append((person, i))
    for number, frame in enumerate(
        tqdm(io.read_frames(source), total=frames, desc="writing", unit="frame")
    ):
        canvas = empty.copy()
        # The lower somebody stands in the picture, the nearer: paint them last.
        here = sorted(present.get(number, ()), key=lambda p: p[0].sightings[p[1]].box[2])
        for person, i in here:
            placed = contour.place(person.silhouette(i), person.squares[i], empty.shape[:2])
            paint(canvas, frame, person.sightings[i].on(empty.shape[:2]), placed)
        yield number, frame, canvas


def _sheet_cells(
    persons: list[Person], shape: tuple[int, int], people: int = 3, columns: int = 10
) -> dict[int, list[sheet.Cell]]:
    """Cells of a contact sheet by frame number: the people anonymised in most frames."""
    shown = [[i for i, reason in enumerate(p.hidden) if reason is None] for p in persons]
    longest = sorted(range(len(persons)), key=lambda n: -len(shown[n]))[:people]
    cells: dict[int, list[sheet.Cell]] = {}
    for block, number in enumerate(n for n in longest if shown[n]):
        person, indices = persons[number], shown[number]
        picks = np.unique(np.linspace(0, len(indices) - 1, columns).round().astype(int))
        for column, pick in enumerate(picks):
            i = indices[pick]
            sighting, square = person.sightings[i], person.squares[i]
            own = contour.crop_mask(sighting.on(shape), square)
            cell = sheet.Cell(block, column, square, own, person.silhouette(i))
            cells.setdefault(sighting.frame, []).append(cell)
    return cells


def summary(report: dict[str, Any]) -> str:
    """A report in a few lines for people."""
    rows = report["people"]
    lines = ["person  first  last  seen  anonymised  covered"]
    for row in rows:
        reasons = ", ".join(f"{n} {why}" for why, n in row["covered_because"].items())
        lines.append(
            f"{row['person']:6d}  {row['first_frame']:5d}  {row['last_frame']:4d}  "
            f"{row['frames_seen']:4d}  {row['frames_anonymized']:10d}  "
            f"{row['frames_covered']:7d}  {reasons}".rstrip()
        )
    covered = sum(row["frames_covered"] for row in rows)
    lines.append(
        f"{report['output']}: {report['frames']} frames in {report['seconds']:.1f} s "
        f"({report['frames_per_second']:.1f} a second), {len(rows)} people, "
        f"{covered} sightings covered by background"
    )
    return "\n".join(lines)

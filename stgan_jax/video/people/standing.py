"""People in the picture of an empty scene: those who stand or sit in a clip all the time.

`people_standing` finds them with the networks, `people_in` without.
"""

import os
import sys
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax.media.segmentation import Box
from stgan_jax.util.errors import InputError
from stgan_jax.video.people import models, networks
from stgan_jax.video.people.sightings import Sightings

SAMPLES = 8  # frames that are searched, too
THRESHOLD = 0.3  # least score of a box
_SIDES = (640, 960, 1280)  # of the detector's input; samples are searched with the first
_ENLARGED = 2  # an image is not enlarged by more for the others
_SAME_PLACE = 0.5  # boxes with a larger intersection over union are one place
_PRESENT = 0.2  # least presence of an outline that is used
_CERTAIN = 0.5  # presence below which a box of at least this median score is covered whole
# Who is lower than so many pixels in the first input needs a score, or a presence in both crops.
_SMALL, _LIKELY, _OUTLINED = 48, 0.4, 0.8
_SAME, _ALIKE = 24, 0.3  # grey levels; share of somebody's pixels that differ by less
_MARGIN = 0.04  # around an outline, of the person's height
_REACH = 0.08  # around somebody's mask, of its height, for the parts that move
_INSIDE = 0.6  # share of a sighting's area from which it is a part
# Joints between which BlazePose draws arms: shoulder, elbow, wrist, index finger.
_ARMS = ((11, 13, 15, 19), (12, 14, 16, 20))
_VISIBLE = 0.4  # least visibility of a joint that is used
_RAISED = 0.25  # reach of a raised arm above a box, of its height

# Window, weights, height in pixels to which pictures are scaled, smallest distance to the plane.
_DETECTORS = (
    ((64, 128), cv2.HOGDescriptor.getDefaultPeopleDetector, 1152, 0.0),
    ((48, 96), cv2.HOGDescriptor.getDaimlerPeopleDetector, 864, 1.2),
)
_BORDER = 32  # pixels added around the scaled picture, for people near its edge
_refused: set[str | None] = set()  # folders that were asked for in vain by this process


class Networks(NamedTuple):
    """Detector of people and what outlines them."""

    detector: networks.Detector
    outliner: networks.Outliner


def load(folder: str | os.PathLike | None = None) -> Networks | None:
    """The networks; None where they cannot be fetched, with a sentence to stderr, once.

    Args:
      folder: see `models.fetched`.

    Raises:
      InputError: a folder is named, and lacks a network or holds a damaged one.
    """
    if folder in _refused:
        return None
    try:
        where = models.fetched(folder)
    except InputError as error:
        if folder is not None:
            raise
        _refused.add(None)
        print(f"people who stand are looked for without networks: {error}", file=sys.stderr)
        return None
    return Networks(networks.Detector(where, THRESHOLD), networks.Outliner(where))


class _Found(NamedTuple):
    """A box in the picture or in a sample, both numbered: 0 is the picture."""

    number: int
    box: Float[np.ndarray, "4"]
    score: float


def people_standing(
    picture: UInt8[np.ndarray, "H W 3"], samples: UInt8[np.ndarray, "N H W 3"], nets: Networks
) -> UInt8[np.ndarray, "H W"]:
    """1 where people stand or sit in the empty scene, with a margin.

    Somebody is there if the detector finds them in the picture, or at the same place in half of
    the samples or more, where these look like the picture. Their mask is the union of their
    outlines in all of these, since they move a little; parts that an outline leaves out in the
    middle of a body, and arms by their joints, are added. Where no outline is a person's beyond
    doubt, the box is covered if its score is high, as of somebody who is half hidden; without any
    outline a box of a low score is a thing (a coat on a chair).

    Args:
      picture: the empty scene, RGB.
      samples: frames of the clip in their order, RGB; `SAMPLES` of them are searched.
      nets: the networks.
    """
    at = np.linspace(0, len(samples) - 1, min(SAMPLES, len(samples))).round().astype(int)
    images = [picture, *samples[at]]
    cover = np.zeros(picture.shape[:2], np.uint8)
    for place in _places(images, nets.detector):
        cover |= _covered(place, images, nets.outliner)
    return cover


def _covered(
    place: list[_Found], images: list[np.ndarray], outliner: networks.Outliner
) -> UInt8[np.ndarray, "H W"]:
    """1 where somebody at a place is hidden; nowhere if nobody is, or nobody in the picture."""
    size = images[0].shape[:2]
    mask = np.zeros(size, np.uint8)
    stays = len(place) - (place[0].number == 0) >= (len(images) - 1) / 2
    scale = _SIDES[0] / max(size)
    small = scale * float(place[0].box[2] - place[0].box[0]) < _SMALL
    certain = not small or max(found.score for found in place) >= _LIKELY
    presence, passing = 0.0, False
    for found in place:
        image = images[found.number]
        outlines = outliner(image, _crops(found.box))
        certain |= min(outline.presence for outline in outlines) >= _OUTLINED
        for outline in outlines:
            if outline.presence < _PRESENT:
                continue
            body = _body(outline, found.box, size)
            # Somebody who passes does not look as what the picture shows there.
            if stays and found.number and _alike(image, images[0], body) < _ALIKE:
                passing = True
            else:
                mask |= body
                presence = max(presence, outline.presence)
    if not certain:
        return np.zeros_like(mask)
    passing = passing and place[0].number > 0
    likely = np.median([found.score for found in place]) >= _CERTAIN
    if presence < _CERTAIN and likely and not passing:
        for found in place:
            top, left, bottom, right = np.round(found.box).astype(int)
            mask[top:bottom, left:right] = 1
    height = float(np.median([found.box[2] - found.box[0] for found in place]))
    return _grown(mask, max(3.0, _MARGIN * height))


def _alike(
    image: UInt8[np.ndarray, "H W 3"],
    other: UInt8[np.ndarray, "H W 3"],
    mask: UInt8[np.ndarray, "H W"],
) -> float:
    """Share of a mask's pixels in which two pictures differ by no more than noise and light."""
    inside = mask > 0
    differences = np.abs(image[inside].astype(np.int16) - other[inside]).max(-1)
    return float((differences < _SAME).mean()) if inside.any() else 0.0


def _places(images: list[np.ndarray], detector: networks.Detector) -> list[list[_Found]]:
    """Where somebody is all the time: the boxes at each place, one an image at most."""
    places: list[list[_Found]] = []
    for number, image in enumerate(images):
        boxes, scores = _detected(image, detector, _SIDES if number == 0 else _SIDES[:1])
        for box, score in zip(boxes, scores, strict=True):
            found = _Found(number, box, float(score))
            overlaps = [_overlap(place[0].box, box) for place in places]
            best = int(np.argmax(overlaps)) if places else -1
            if places and overlaps[best] > _SAME_PLACE:
                if places[best][-1].number < number:  # the better one comes first
                    places[best].append(found)
            else:
                places.append([found])
    least = max(2, (len(images) - 1) / 2)
    return [place for place in places if place[0].number == 0 or len(place) >= least]


def _detected(
    image: np.ndarray, detector: networks.Detector, sides: tuple[int, ...]
) -> tuple[Float[np.ndarray, "N 4"], Float[np.ndarray, "N"]]:
    """Boxes and scores, best first, at all scales that do not blow up the image too much."""
    most = max(sides[0], _ENLARGED * max(image.shape[:2]))
    found = [detector(image, side) for side in sides if side <= most]
    boxes = np.concatenate([boxes for boxes, _ in found])
    scores = np.concatenate([scores for _, scores in found])
    kept = networks.best(boxes, scores, _SAME_PLACE)
    return boxes[kept], scores[kept]


def _overlap(one: Float[np.ndarray, "4"], other: Float[np.ndarray, "4"]) -> float:
    """Intersection over union of two boxes."""
    common = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(np.maximum(common, 0)))
    return shared / float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - shared)


def _crops(box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "2 4"]:
    """The box, and a higher one: a raised arm is often outlined in one of their crops alone."""
    return np.stack([box, box - [_RAISED * (box[2] - box[0]), 0, 0, 0]])


def _body(
    outline: networks.Outline, box: Float[np.ndarray, "4"], shape: tuple[int, ...]
) -> UInt8[np.ndarray, "H W"]:
    """1 where somebody is by their outline, without holes and notches, and by their arms."""
    height, width = (box[2:] - box[:2]).tolist()
    mask = (outline.placed((shape[0], shape[1])) > 0.5).astype(np.uint8)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _disc(0.15 * min(height, width)))
    pieces, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(closed, pieces, -1, 1, cv2.FILLED)
    if shape[0] - box[2] < 0.04 * height:  # outlines of people whom the frame cuts end early
        cut = closed[int(box[2] - 0.35 * height) :]
        np.maximum.accumulate(cut, axis=0, out=cut)
    thick = max(1, round(0.06 * height))
    for arm in _ARMS:
        joints = outline.joints[list(arm)]
        visible = int(np.cumprod(joints[:, 2] > _VISIBLE).sum())
        if visible > 1:
            points = np.round(joints[:visible, 1::-1]).astype(np.int32)
            cv2.polylines(closed, [points], False, 1, thick)
    # The crop is wider than the person, and its outline may reach into a neighbour.
    margin = 0.15 * max(height, width)
    top, left = np.maximum(box[:2] - margin, 0).astype(int)
    bottom, right = np.ceil(box[2:] + margin).astype(int)
    inside = np.zeros_like(closed)
    inside[top:bottom, left:right] = closed[top:bottom, left:right]
    return inside


def is_part(sightings: Sightings, cover: UInt8[np.ndarray, "H W"]) -> bool:
    """Whether a track is of moving parts of those who stand, as an arm or a head.

    Most of its sightings lie in the mask of those who stand, dilated a little, by more than 0.6 of
    their area, and are less than half as high as it. Who walks past, towards the camera or away
    from it is no part.

    Args:
      sightings: of the track.
      cover: from `people_standing`.
    """
    near = np.zeros_like(cover)
    heights = np.zeros(cover.shape, np.int32)
    for top, left, bottom, right in boxes(cover):
        reach = max(3, round(_REACH * (bottom - top)))
        window = np.s_[max(top - reach, 0) : bottom + reach, max(left - reach, 0) : right + reach]
        grown = _grown(cover[window], reach)
        near[window] |= grown
        np.maximum(heights[window], grown * (bottom - top), out=heights[window])
    count = 0
    for sighting in sightings:
        top, left, bottom, right = sighting.box
        window = np.s_[top:bottom, left:right]
        if 2 * (bottom - top) >= heights[window].max(initial=0):
            continue
        count += int((near[window] & sighting.mask).sum()) > _INSIDE * sighting.area
    return 2 * count > len(sightings)


def _grown(mask: UInt8[np.ndarray, "h w"], margin: float) -> UInt8[np.ndarray, "h w"]:
    return np.asarray(cv2.dilate(mask, _disc(margin)))


def _disc(radius: float) -> np.ndarray:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def people_in(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W"]:
    """1 where upright people may be in a picture, with a margin; whole boxes.

    Runs OpenCV's two detectors (linear SVMs on HOG features, Dalal and Triggs 2005, each trained
    on other people), the first also on the mirrored picture. This is a safety net under background
    difference, no segmenter: thresholds are low, as a false alarm covers a part of the background
    and a miss shows a person. Real people of one video frozen into its empty scene are wholly
    covered 134 times of 135, rendered ones 15 times of 20; false alarms cover 0.08 of that scene
    and of one rendered street in 20 (`benchmarks/standing.py`), and 0.1 to 0.4 of photographs of
    other things. People lower than a fourteenth of the picture, sitting or bent may be missed.
    """
    cover = np.zeros(picture.shape[:2], np.uint8)
    for window, weights, height, least in _DETECTORS:
        scale = float(np.clip(height / len(picture), 0.25, 4.0))
        smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        scaled = cv2.copyMakeBorder(
            cv2.resize(picture[..., ::-1], None, fx=scale, fy=scale, interpolation=smooth),
            _BORDER,
            _BORDER,
            _BORDER,
            _BORDER,
            cv2.BORDER_REPLICATE,
        )
        hog = cv2.HOGDescriptor(
            window, (16, 16), (8, 8), (8, 8), 9, 1, -1.0, 0, 0.2, True, 64
        )  # OpenCV's defaults with gamma correction, but for the window
        hog.setSVMDetector(weights())
        _mark(cover, _detect(hog, scaled, least), scale)
        if least == 0.0:
            _mark(cover[:, ::-1], _detect(hog, cv2.flip(scaled, 1), least), scale)
    return cover


def _detect(hog: cv2.HOGDescriptor, image: np.ndarray, least: float) -> np.ndarray:
    """Boxes (left, top, width, height) in the bordered image."""
    width, height = hog.winSize
    if image.shape[0] < height or image.shape[1] < width:  # OpenCV would crash
        return np.zeros((0, 4), int)
    boxes, _ = hog.detectMultiScale(
        image, hitThreshold=least, winStride=(8, 8), padding=(8, 8), scale=1.05, groupThreshold=0
    )
    return np.reshape(boxes, (-1, 4))


def _mark(cover: np.ndarray, boxes: np.ndarray, scale: float) -> None:
    starts = np.maximum(boxes[:, :2] - _BORDER, 0) / scale
    ends = np.maximum(boxes[:, :2] + boxes[:, 2:] - _BORDER, 0) / scale
    for (left, top), (right, bottom) in zip(
        starts.astype(int), np.ceil(ends).astype(int), strict=True
    ):
        cover[top:bottom, left:right] = 1


def boxes(cover: UInt8[np.ndarray, "H W"]) -> list[Box]:
    """Bounding boxes of the connected pieces of a mask of people."""
    outlines, _ = cv2.findContours(cover, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [
        np.array([y, x, y + tall, x + wide]) for x, y, wide, tall in map(cv2.boundingRect, outlines)
    ]

"""People in the picture of an empty scene: those who stood still all the time."""

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.media.segmentation import Box

# Window, weights, height in pixels to which pictures are scaled, smallest distance to the plane.
_DETECTORS = (
    ((64, 128), cv2.HOGDescriptor.getDefaultPeopleDetector, 1152, 0.0),
    ((48, 96), cv2.HOGDescriptor.getDaimlerPeopleDetector, 864, 1.2),
)
_BORDER = 32  # pixels added around the scaled picture, for people near its edge


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
    """Bounding boxes of the connected pieces of a mask from `people_in`."""
    outlines, _ = cv2.findContours(cover, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [
        np.array([y, x, y + tall, x + wide]) for x, y, wide, tall in map(cv2.boundingRect, outlines)
    ]

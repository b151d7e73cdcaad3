"""People in the picture of an empty scene: those who stood still all the while."""

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.video.segmentation import Box

_SURE = 1.5  # margin to the detector's plane; what is no person in a street came to 1.2
_HEIGHT = 1152  # pixels to which pictures are scaled: people from 1/12 of the height are seen


def people_in(picture: UInt8[np.ndarray, "H W 3"]) -> list[Box]:
    """Boxes around upright people in a picture, with a margin, none overlapping another.

    OpenCV's detector (Dalal and Triggs 2005, a linear SVM on HOG features), taken where it is
    sure. It misses some: this is a net under background difference, no segmenter.
    """
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())
    scale = float(np.clip(_HEIGHT / len(picture), 0.25, 2.0))
    border = 32  # people near the edge of the picture
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    seen = cv2.copyMakeBorder(
        cv2.resize(picture[..., ::-1], None, fx=scale, fy=scale, interpolation=smooth),
        border, border, border, border, cv2.BORDER_REPLICATE,
    )  # fmt: skip
    found, margins = hog.detectMultiScale(
        seen, hitThreshold=_SURE, winStride=(8, 8), padding=(8, 8), scale=1.05, groupThreshold=0
    )
    cover = np.zeros(picture.shape[:2], np.uint8)
    for left, top, width, height in found if len(margins) else ():
        corner = np.maximum(np.array([top - border, left - border]) / scale, 0).astype(int)
        end = np.ceil(np.array([top - border + height, left - border + width]) / scale).astype(int)
        cover[corner[0] : max(end[0], 0), corner[1] : max(end[1], 0)] = 1
    outlines, _ = cv2.findContours(cover, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = [cv2.boundingRect(outline) for outline in outlines]
    return [np.array([y, x, y + tall, x + wide]) for x, y, wide, tall in boxes]

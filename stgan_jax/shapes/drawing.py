"""Bodies of spheres before a camera: the outlines of their parts."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stgan_jax.shapes import body

CIRCLE = np.stack([f(np.arange(16) * np.pi / 8) for f in (np.sin, np.cos)], -1)  # (row, col)
MIDDLE = 0.5  # statures above the ground of a body's middle
SHIFT = 4  # fractional bits of the coordinates passed to OpenCV


def project(
    spheres: body.Spheres,
    view: float | Float[np.ndarray, " T"],
    pitch: float,
    near: float = 0.0,
) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """View of a body: name -> (centres (T, 2) as (row, col), depth (T,), radius).

    Args:
      spheres: the posed body, see `body.body_spheres`.
      view: degrees between walking direction and the direction to the camera, of the
        whole walk or of each frame; 0 towards the camera, 90 crossing to the image's left,
        180 away, 270 to the right.
      pitch: degrees by which the camera looks down at the body's middle.
      near: 1 / the camera's distance in statures: feet are seen from more above than the middle,
        the head from less. 0 is an orthographic view.

    Units are statures; row grows downwards from the ground point, depth towards the camera.
    """
    v, t = np.radians(view), np.radians(pitch)
    x, y = np.cos(v), np.sin(v)
    right = np.stack([-y, x, 0 * x], -1)
    toward = np.stack([x * np.cos(t), y * np.cos(t), np.sin(t) + 0 * x], -1)
    down = np.cross(right, toward)
    ahead = np.stack([x, y, 0 * x], -1)
    centres = np.stack([centre for centre, _ in spheres.values()])
    row, col, depth, come = (np.sum(centres * axis, -1) for axis in (down, right, toward, ahead))
    row = row + near * (MIDDLE - centres[..., 2]) * come
    each = zip(spheres, np.stack([row, col], -1), depth, strict=True)
    return {name: (place, away, spheres[name][1]) for name, place, away in each}


def hulls(projected: dict, spheres: tuple[str, ...]) -> list[Float[np.ndarray, "N 2"]]:
    """Outline of one part, a convex polygon of (row, col) points, for each frame."""
    rims = np.concatenate(
        [projected[s][0][:, None] + projected[s][2] * CIRCLE for s in spheres], axis=1
    ).astype(np.float32)
    return [cv2.convexHull(rim)[:, 0] for rim in rims]


def cover(image: UInt8[np.ndarray, "H W"], polygon: Float[np.ndarray, "N 2"]) -> None:
    """Sets the pixels that a convex polygon (row, col) covers to 255, its edges soft, in place."""
    points = np.rint(polygon[:, ::-1] * (1 << SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(image, points, 255, cv2.LINE_AA, SHIFT)


def fill(image: np.ndarray, polygon: Float[np.ndarray, "N 2"], value) -> None:
    """Fills a convex polygon of (row, col) pixel coordinates into an image, in place."""
    points = np.rint(polygon[:, ::-1] * (1 << SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(image, points, value, lineType=cv2.LINE_8, shift=SHIFT)

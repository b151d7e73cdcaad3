"""A walker to be drawn: somebody in somebody's gait.

Bodies are `body.body_spheres` before a camera. What is drawn lies in a virtual frame of
`SCALE` pixels a stature, whose origin is the ground point below the pelvis.
"""

import dataclasses
import functools

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from stgan_jax.shapes import body, cropping, drawing
from stgan_jax.shapes.contour import SIZE
from stgan_jax.shapes.gait import Gait
from stgan_jax.shapes.identity import MEAN_MOTION, Identity, Motion

SCALE = 1000.0  # pixels a stature in the virtual frame that crops are cut from
_LEVELS = np.linspace(0.0, 1.0, 5)  # swings at which bodies are posed; between them, limbs go along


@dataclasses.dataclass(frozen=True)
class Walker:
    """Somebody in a gait of T frames. All that is computed is kept.

    Attributes:
      person: whose build and manner of walking these are.
      gait: moment, view and swing of each frame, bag or coat, camera.
      motion: how this walk differs from the person's mean one.
    """

    person: Identity
    gait: Gait
    motion: Motion = MEAN_MOTION

    def __len__(self) -> int:
        """T, the number of frames."""
        return len(self.gait.phase)

    @functools.cached_property
    def parts(self) -> tuple[body.BodyPart, ...]:
        """The body's parts, P of them; names such as "thigh_L", garments such as "bottom"."""
        return body.body_parts(self.person, self.gait.condition)

    @functools.cached_property
    def stride(self) -> float:
        """Statures that a whole step to the right and one to the left lead ahead."""
        return body.body_spheres(self.person, self.motion, self.gait.condition, np.zeros(1))[1]

    @functools.cached_property
    def spheres(self) -> body.Spheres:
        """Name -> (centres (T, 3), radius) in statures, see `body.body_spheres`.

        Where the legs swing less than in a step, knees, arms and the trunk do so, too.
        """
        swing = np.clip(self.gait.swing, 0.0, 1.0)
        place = np.interp(swing, _LEVELS, np.arange(len(_LEVELS)))
        out: dict[str, tuple[np.ndarray, float]] = {}
        for level, value in enumerate(_LEVELS):
            share = np.clip(1.0 - np.abs(place - level), 0.0, None)
            if share.any():
                for name, (centre, radius) in self._posed(float(value)).items():
                    before = out[name][0] if name in out else 0.0
                    out[name] = (before + share[:, None] * centre, radius)
        return out

    def _posed(self, swing: float) -> body.Spheres:
        person, factor = self.person, max(swing, 0.02)
        if swing < 1.0:
            person = dataclasses.replace(
                person,
                knee_swing=person.knee_swing * factor,
                ankle_swing=person.ankle_swing * factor,
                pelvis_turn=person.pelvis_turn * factor,
                thorax_turn=person.thorax_turn * factor,
            )
        less = {"swing": self.motion.swing * swing, "arm": self.motion.arm * swing}
        motion = dataclasses.replace(self.motion, **less)
        return body.body_spheres(person, motion, self.gait.condition, self.gait.phase)[0]

    @functools.cached_property
    def projected(self) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
        """Name -> (centres (T, 2) as (row, col), depth (T,), radius), see `drawing.project`."""
        return drawing.project(self.spheres, self.gait.view, self.gait.pitch, self.gait.near)

    @functools.cached_property
    def depth(self) -> Float[np.ndarray, "P T"]:
        """How near each part is to the camera, in statures: the mean of its spheres, and more for
        what is worn over others.
        """
        near = [np.mean([self.projected[s][1] for s in part.spheres], 0) for part in self.parts]
        over = np.array([body.OVER.get(part.name, 0.0) for part in self.parts])
        return np.stack(near) + over[:, None]

    @functools.cached_property
    def _rims(self) -> tuple[Float[np.ndarray, "T S 2"], Float[np.ndarray, " S"], list[np.ndarray]]:
        """Centres and radii of the spheres that are drawn, and which are each part's."""
        names = sorted({name for part in self.parts for name in part.spheres})
        number = {name: i for i, name in enumerate(names)}
        centres = np.stack([self.projected[name][0] for name in names], 1)
        radii = np.array([self.projected[name][2] for name in names])
        return centres, radii, [np.array([number[s] for s in p.spheres]) for p in self.parts]

    @functools.cached_property
    def boxes(self) -> Float[np.ndarray, "T 4"]:
        """(top, left, bottom, right) in statures."""
        centres, radii, _ = self._rims
        reach = radii[:, None]
        return np.concatenate([(centres - reach).min(1), (centres + reach).max(1)], -1)

    @functools.cached_property
    def squares(self) -> Int[np.ndarray, "T 3"]:
        """Crops (top, left, side) in the virtual frame, as `cropping.track_squares` cuts people."""
        return cropping.track_squares(self.boxes * SCALE)

    @functools.cached_property
    def middles(self) -> Float[np.ndarray, " T"]:
        """Column of the silhouette's centre of mass, in statures."""
        columns = self.silhouettes().sum(1)
        inside = columns @ np.arange(0.5, SIZE) / np.maximum(columns.sum(1), 1)
        _, left, side = self.squares.T
        return (left + inside * side / SIZE) / SCALE

    def silhouettes(
        self, frames: Int[np.ndarray, " N"] | None = None
    ) -> UInt8[np.ndarray, "N 240 240"]:
        """Masks in `squares`, 1 inside and 0 outside, of some frames or all.

        What `drawing.hulls` and `drawing.fill` draw of each part, all at once.
        """
        chosen = np.arange(len(self)) if frames is None else frames
        out = np.zeros((len(chosen), SIZE, SIZE), np.uint8)
        centres, radii, parts = self._rims
        corners, sides = self.squares[chosen, None, None, :2], self.squares[chosen, None, None, 2:]
        points = centres[chosen][:, :, None] + radii[:, None, None] * drawing.CIRCLE
        points = (points * SCALE - corners) * (SIZE / sides * (1 << drawing.SHIFT))
        fixed = np.rint(points[..., ::-1]).astype(np.int32)
        for part in parts:
            rims = fixed[:, part].reshape(len(chosen), -1, 2)
            for image, rim in zip(out, rims, strict=True):
                cv2.fillConvexPoly(image, cv2.convexHull(rim), 1, cv2.LINE_8, drawing.SHIFT)
        return out

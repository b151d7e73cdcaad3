"""Walks in colour, one person each, with everything about them known.

They are what the colour models (APSIPA 2019 and 2020) train and are measured on: clothes of
one colour or patterned, silhouettes whole or with parts missing, as where somebody walks
behind a post or wears the colour of the wall.
"""

import dataclasses

import cv2
import numpy as np
from jaxtyping import UInt8

from stgan_jax.data.datasets.records import ColorWalk
from stgan_jax.data.walkers import habits, recording, scenes
from stgan_jax.shapes import body, drawing, identity

SIZE = (240, 320)  # CASIA-B's frames
FRAMES = 50
_DISTANCE = 6.0  # metres from the camera in mid-walk
_NOISE = 2.0  # grey levels, standard deviation
# What a segmentation loses of a body that resembles the wall: a limb, or what is worn.
_LIMBS = (
    ("calf", "shin", "foot", "toes"), ("foot", "toes"), ("upper_arm", "forearm", "hand"),
    ("forearm", "hand"), ("thigh",), ("hair", "crown", "head"), ("belly",),
)  # fmt: skip


def render(
    seed: int,
    view: float,
    condition: str,
    repetition: int,
    textural: bool,
    complete: bool,
    frames: int = FRAMES,
    body_of: int | None = None,
) -> ColorWalk:
    """Renders one walk across the middle of the picture.

    Many arguments because four name the walk and each of the others is a free choice about it.

    Args:
      seed: decides the person and its motion, which are those of `recording.silhouettes`.
      view: degrees in mid-walk; perspective changes it a little as the person passes.
      condition: "nm", "bg" (bag) or "cl" (coat).
      repetition: which of the person's walks.
      textural: clothes with patterns, or of one colour each.
      complete: seamless silhouettes; otherwise patches and limbs are missing, and in half of
        the walks something stands in front of the path.
      frames: length T.
      body_of: seed of another person, whose body walks in these clothes, steps, light and place:
        the perfect result of colouring that body. None for the person's own.

    Returns:
      the walk, a pure function of the arguments.
    """
    camera = recording.sample_camera(seed, view, condition, repetition)
    rng = recording.generator(seed, view, condition, repetition, 0xC0)
    walked = walker(seed, view, condition, repetition, textural, frames, body_of)
    background = scenes.street(rng, SIZE)
    occluder = np.zeros(SIZE, np.uint8)
    if not complete and rng.random() < 0.5:
        occluder = _occluder(rng)
        paint = rng.uniform(40, 200, 3) * rng.uniform(0.85, 1.15, (*SIZE, 1))
        background = np.where(occluder[..., None], paint, background).astype(np.uint8)
    front = occluder.astype(bool)
    images, masks, silhouettes = [], [], []
    if complete:
        camera = dataclasses.replace(camera, patchy=0.0, floor=0.0)
    else:
        camera = dataclasses.replace(camera, patchy=camera.patchy + 0.12)
    losses = [] if complete else _losses(rng, walked, frames)
    lasting = recording.smooth_field(rng, SIZE)
    for t in range(frames):
        image, mask = background.astype(np.float32), np.zeros(SIZE, np.uint8)
        walked.draw(t, image, mask)
        image[front] = background[front]
        image += rng.normal(0, _NOISE, image.shape)
        images.append(np.clip(np.rint(image), 0, 255).astype(np.uint8))
        masks.append(mask)
        visible = np.where(front, 0, mask).astype(np.uint8)
        for parts, first, last in losses:
            if first <= t < last:
                visible = _without(visible, [walked.outline(t, part) for part in parts])
        observed = (
            recording.segmented(255 * visible, camera, lasting, rng) if visible.any() else visible
        )
        silhouettes.append(np.where(front, 0, observed).astype(np.uint8))
    return ColorWalk(
        frames=np.stack(images),
        background=background,
        silhouettes=np.stack(silhouettes),
        masks=np.stack(masks),
        occluder=occluder,
        clothes="textural" if textural else "plain",
        completeness="complete" if complete else "incomplete",
    )


def walker(
    seed: int,
    view: float,
    condition: str,
    repetition: int,
    textural: bool,
    frames: int = FRAMES,
    body_of: int | None = None,
) -> scenes.DressedWalker:
    """Who is seen in `render` of the same arguments."""
    camera = recording.sample_camera(seed, view, condition, repetition)
    own = identity.sample_identity(seed)
    person = own if body_of is None else identity.sample_identity(body_of)
    motion = habits.motion(seed, condition, repetition, recording.MOTION_SPREAD)
    phase = habits.phase(seed, motion, condition, repetition, frames, recording.FPS)
    carried = habits.carried(seed, condition)
    spheres, _ = body.body_spheres(person, motion, carried, phase)
    _, stride = body.body_spheres(own, motion, carried, phase)
    heading = np.radians(view + camera.yaw)
    speed = stride * own.cadence * motion.tempo * scenes.METRES / recording.FPS
    steps = np.arange(frames) - (frames - 1) / 2
    right, away = -np.sin(heading) * speed * steps, _DISTANCE - np.cos(heading) * speed * steps
    scale = camera.height * _DISTANCE / away
    # Seen from eye height, with the body's middle in the picture's in mid-walk.
    foot = np.stack(
        [
            0.5 * SIZE[0] - 0.39 * camera.height + 0.88 * scale,
            SIZE[1] / 2 + scale / scenes.METRES * right,
        ],
        -1,
    )
    turned = np.degrees(heading - np.arctan2(right, away))
    # The same clothes in every view.
    dresser = recording.generator(seed, 0, condition, repetition, 0xC1)
    clothes = scenes.outfit(dresser, textural)
    parts = body.body_parts(person, carried)
    return scenes.DressedWalker(spheres, parts, turned, camera.pitch, scale, foot, clothes)


def _occluder(rng: np.random.Generator) -> UInt8[np.ndarray, "H W"]:
    """A post, a bush or a bench that stands before the middle of the path."""
    height, width = SIZE
    mask = np.zeros(SIZE, np.uint8)
    col = round(width / 2 + rng.uniform(-45, 45))
    kind = rng.integers(3)
    if kind == 0:
        half = round(rng.uniform(3, 8))
        mask[:, max(col - half, 0) : col + half] = 1
    elif kind == 1:
        row = round(height * rng.uniform(0.62, 0.72))
        for _ in range(25):
            at = (round(col + rng.normal(0, 14)), round(row + abs(rng.normal(0, 16))))
            cv2.circle(mask, at, round(rng.uniform(8, 14)), 1, -1)
    else:
        row = round(height * rng.uniform(0.68, 0.78))
        cv2.rectangle(mask, (col - 45, row), (col + 45, row + 7), 1, -1)
        for leg in (-40, 36):
            cv2.rectangle(mask, (col + leg, row), (col + leg + 4, row + 45), 1, -1)
    return mask


def _losses(
    rng: np.random.Generator, walked: scenes.DressedWalker, frames: int
) -> list[tuple[list[str], int, int]]:
    """Which parts are lost when: (names, first frame, frame after the last), one to three."""
    known = {part.name for part in walked.parts}
    out = []
    for _ in range(rng.integers(1, 4)):
        side, limb = rng.choice(["L", "R"]), _LIMBS[rng.integers(len(_LIMBS))]
        parts = [name for part in limb for name in (part, f"{part}_{side}") if name in known]
        length = round(frames * rng.uniform(0.2, 0.7))
        first = int(rng.integers(frames - length + 1))
        out.append((parts, first, first + length))
    return out


def _without(
    mask: UInt8[np.ndarray, "H W"], outlines: list[np.ndarray]
) -> UInt8[np.ndarray, "H W"]:
    """A mask less some polygons. The last that is left of a person is kept."""
    lost = np.zeros_like(mask)
    for polygon in outlines:
        drawing.fill(lost, polygon, 1)
    kept = mask & ~lost
    return kept if kept.sum() > 0.3 * mask.sum() else mask

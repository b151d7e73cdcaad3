"""Who stands quite still before a camera that shakes is told from a post by how they stir."""

import functools

import cv2
import numpy as np

from stgan_jax.data.walkers.moving_scenes import hand
from stgan_jax.data.walkers.scenes import Scene
from stgan_jax.video.scene import stirring

SIZE = (240, 320)


@functools.cache
def standing(seed):
    """A frame with somebody in it, and the scene without them."""
    scene = Scene(seed, people=1, frames=20, size=SIZE)
    frame = max(scene, key=lambda frame: frame.people.sum())
    return frame, scene.background.astype(np.float32)


def moments(sway, seed=7, found=16, off=0.3):
    """24 moments of somebody who is 100 pixels high, sways by so many and is found in some of them,
    before a camera that is known to within `off` pixels.
    """
    rng = np.random.default_rng(seed)
    frame, empty = standing(seed)
    cover = cv2.GaussianBlur((frame.people > 0).astype(np.float32), (0, 0), 0.7)[..., None]
    turns = np.stack([hand(rng, 24, 8.0) for _ in range(3)])
    out = []
    for t in range(24):
        move = np.array([[1, 0, sway * np.sin(0.9 * t)], [0, 1, 0]])
        layer, alpha = (
            cv2.warpAffine(x, move, SIZE[::-1], flags=cv2.INTER_CUBIC)
            for x in (frame.image.astype(np.float32), cover)
        )
        still = empty + alpha[..., None] * (layer - empty)
        roll = np.radians(turns[2, t])
        pose = np.array(
            [[np.cos(roll), -np.sin(roll), 5 * turns[0, t]],
             [np.sin(roll), np.cos(roll), 5 * turns[1, t]], [0, 0, 1]]
        )  # fmt: skip
        seen = cv2.warpPerspective(still, pose, SIZE[::-1], flags=cv2.INTER_CUBIC)
        seen = np.clip(seen + rng.normal(0, 2, seen.shape), 0, 255).astype(np.uint8)
        own = cv2.warpPerspective(frame.people, pose, SIZE[::-1], flags=cv2.INTER_NEAREST)
        back = np.linalg.inv(pose)
        back[:2, 2] += rng.uniform(-off, off, 2)
        own = cv2.dilate(own, np.ones((7, 7), np.uint8))
        moment = stirring.Glimpse(seen, own, 0 * own, found=t < found)
        out.append(moment.moved(back, SIZE[::-1]))
    return out


def test_before_a_camera_that_shakes_who_stands_still_stirs_and_a_post_does_not():
    assert stirring.share(moments(sway=0), slack=1) < 0.001
    assert stirring.share(moments(sway=1.5), slack=1) > 0.004
    assert stirring.share(moments(sway=3.0), slack=1) > 0.01


def test_before_a_camera_that_shakes_who_is_always_found_is_no_post():
    assert stirring.share(moments(sway=0, found=21), slack=1) is None
    assert stirring.share(moments(sway=0, found=21), slack=0) is not None


def test_who_comes_later_stirs():
    """At first the place is empty, and nobody is found in it."""
    there = moments(sway=0)
    empty = there[0].image.copy()
    empty[there[0].own > 0] = 90
    before = [one._replace(image=empty, own=None, found=False) for one in there[:6]]
    assert stirring.share(before + there[6:], slack=1) > 0.05


def test_moments_at_which_others_are_near_say_nothing():
    one, *rest = moments(sway=0)
    hidden = [m._replace(image=0 * m.image, other=np.ones_like(m.other)) for m in rest[:12]]
    assert stirring.share([one, *hidden, *rest[12:]], slack=1) < 0.001
    assert stirring.share([one, *hidden]) is None

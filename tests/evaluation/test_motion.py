"""Change, flicker and the legs' swing: by hand, and in the order in which an eye would put them."""

import numpy as np
import pytest

from stgan_jax.data.walkers import procedural
from stgan_jax.evaluation import motion
from stgan_jax.shapes import contour, identity

VIEWS = (0, 54, 90, 180)


@pytest.fixture(scope="module", params=VIEWS)
def walk(request):
    return procedural.silhouettes(5, request.param)


def test_change_is_the_share_of_the_area_by_hand():
    masks = np.zeros((3, 240, 240), np.uint8)
    masks[0, :10, :10] = masks[1, :10, 2:12] = masks[2, :10, 2:12] = 1  # 40 pixels, then none
    assert motion.change(masks) == pytest.approx(40 / 2 / 100)
    assert np.isnan(motion.change(masks[:1]))


def test_flicker_grows_with_jitter_and_hardly_with_the_stride(walk):
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * np.arange(contour.POINTS) / contour.POINTS
    own = contour.encode(walk).reshape(len(walk), -1, 2)

    def shaken(size):
        """Waves of a few periods around the outline, new ones in each frame."""
        waves = [
            rng.normal(0, size, (len(walk), 1, 2))
            * np.sin(k * angle[None, :, None] + rng.uniform(0, 6.3, (len(walk), 1, 2)))
            for k in range(1, 5)
        ]
        return contour.decode((own + sum(waves)).reshape(len(walk), -1).astype(np.float32))

    found = [motion.flicker(masks) for masks in (walk, shaken(0.7), shaken(1.5), shaken(3))]
    assert found[0] < 0.012
    assert found[1] > 1.5 * found[0]
    assert found[2] > 1.5 * found[1]
    assert found[3] > 1.5 * found[2]


@pytest.mark.parametrize("view", VIEWS)
def test_twice_the_cadence_is_half_the_period(view):
    cycle = motion.leg_cycle(procedural.silhouettes(5, view))
    fast = motion.leg_cycle(procedural.silhouettes(5, view, fps=12.5))
    faster = motion.leg_cycle(procedural.silhouettes(5, view, fps=20))
    assert motion.period_ratio(cycle, fast) == pytest.approx(0.5, abs=0.03)
    assert motion.period_ratio(cycle, faster) == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("view", [0, 180])
def test_a_step_is_not_taken_for_a_cycle_from_the_front_and_from_behind(view):
    """Seen askew legs repeat themselves after a cycle, seen straight after a step."""
    found = []
    for person in range(200, 210):
        other = procedural.silhouettes(
            person, view + (-1) ** person * 3, fps=22, body_of=identity.sample_identity(person + 99)
        )
        cycles = map(motion.leg_cycle, (procedural.silhouettes(person, view), other))
        found.append(motion.period_ratio(*cycles))
    ratios = np.array(found)[~np.isnan(found)]
    assert len(ratios) >= 3, found
    np.testing.assert_allclose(ratios, 0.88, atol=0.08)

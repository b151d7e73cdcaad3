"""Bodies: they walk on the ground, and are as tall as said."""

import numpy as np

from stgan_jax.shapes import body, identity


def test_feet_stay_on_the_ground_and_hardly_slide():
    phase = np.arange(100) / 100
    stance = slice(4, 56)  # a foot bears the body
    slides = []
    for seed in range(40):
        person, motion = identity.sample_identity(seed), identity.sample_motion(seed, "nm", 1)
        spheres, stride = body.body_spheres(person, motion, "nm", phase)
        soles = [c[:, 2] - r for name, (c, r) in spheres.items() if name[:-2] in ("heel", "toe")]
        assert np.abs(np.min(soles, axis=0)).max() < 0.02  # of a body's height
        assert 0.5 < stride < 1.1  # people walk about 0.8 statures a gait cycle
        for side, ahead in (("R", 0.0), ("L", 0.5 + person.asymmetry[2])):
            spheres, _ = body.body_spheres(person, motion, "nm", phase - ahead)
            slides.append(np.ptp(spheres[f"ball_{side}"][0][stance, 0] / stride + phase[stance]))
    assert max(slides) < 0.03


def test_the_body_is_as_tall_as_it_says():
    heights = []
    for seed in range(30):
        person, motion = identity.sample_identity(seed), identity.sample_motion(seed, "nm", 1)
        spheres, _ = body.body_spheres(person, motion, "nm", np.arange(20) / 20)
        heights.append(max((c[:, 2] + r).max() for c, r in spheres.values()))
    assert abs(np.mean(heights) - 1.0) < 0.05

"""Long footage: what grows with a video's length is little."""

import json
import subprocess
import sys
from fractions import Fraction

import pytest

from stgan_jax.data.scenes import Scene
from stgan_jax.video import io

MEASURE = (
    "import json, resource, sys\n"
    "import stgan_jax\n"
    "told = stgan_jax.anonymize(sys.argv[1], sys.argv[2], checkpoint=sys.argv[3], seed=0)\n"
    "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
    "one = told['files'][0]\n"
    "print(json.dumps([one['frames'], one['frames_per_second'], peak]))\n"
)


@pytest.mark.soak
def test_memory_does_not_grow_with_length(trained, tmp_path):
    """1080p, people walking to and fro: a quarter of a minute and four minutes."""
    scene = Scene(6, people=2, frames=75, size=(1080, 1920))
    images = [frame.image for frame in scene]
    there_and_back = images + images[::-1]
    told = []
    for rounds in (3, 40):
        source = tmp_path / f"{rounds}.mp4"
        with io.video_writer(source, scene.size, Fraction(25)) as append:
            for _ in range(rounds):
                for image in there_and_back:
                    append(image)
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, source, tmp_path / f"out{rounds}.mp4",
             trained / "stgan"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        told.append(json.loads(done.stdout.splitlines()[-1]))
    (_, _, short), (frames, rate, long) = told
    print(f"{frames} frames at {rate} a second, {short:.0f} and {long:.0f} MB")
    assert frames == 6000
    assert long < short + 150
    assert long < 3072

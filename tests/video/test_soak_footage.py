"""Long footage: what grows with a video's length is little."""

import json
import subprocess
import sys

import av
import clips
import pytest

from stgan_jax.data.walkers.scenes import Scene

MEASURE = (
    "import json, resource, sys\n"
    "import stgan_jax\n"
    "result = stgan_jax.anonymize(sys.argv[1], sys.argv[2], seed=0)\n"
    "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
    "report = result['files'][0]\n"
    "print(json.dumps([report['frames'], report['frames_per_second'], peak]))\n"
)


def repeated(source, target, rounds):
    """A video repeated so many times, its packets unchanged."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        packets = [packet for packet in old.demux(video=0) if packet.pts is not None]
        stream = new.add_stream_from_template(old.streams.video[0])
        length = max(packet.pts + packet.duration for packet in packets)
        content = [(bytes(p), p.pts, p.dts, p.duration, p.is_keyframe) for p in packets]
        for number in range(rounds):
            for data, pts, dts, duration, is_key in content:
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, old.streams.video[0].time_base
                packet.pts, packet.dts = pts + number * length, dts + number * length
                packet.duration, packet.is_keyframe = duration, is_key
                new.mux(packet)
    return target


@pytest.mark.soak
def test_memory_does_not_grow_with_length(tmp_path):
    """1080p at five frames a second, people walking to and fro: half a minute and half an hour."""
    images = [frame.image for frame in Scene(6, people=2, frames=75, size=(1080, 1920), fps=5)]
    options = {"preset": "ultrafast", "crf": "26"}
    once = clips.write(tmp_path / "once.mp4", images + images[::-1], fps=5, options=options)
    rows = []
    for rounds in (1, 60):
        source = repeated(once, tmp_path / f"{rounds}.mp4", rounds)
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, source, tmp_path / f"out{rounds}.mp4"],
            capture_output=True,
            text=True,
            check=True,
        )
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    (_, _, short), (frames, rate, long) = rows
    print(f"{frames} frames at {rate} a second, {short:.0f} and {long:.0f} MB")
    assert frames == 9000
    assert long < short + 150
    assert long < 3072

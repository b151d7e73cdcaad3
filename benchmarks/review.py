"""How long a reviewer waits: for frames after a decision, and for a frame that is asked for:

    python benchmarks/review.py [--frames=1000] [--size=640,480] [--out=FILE.json]

A rendered clip is anonymised as a whole; then decisions are made that concern 50 of its frames.
Then a browser (playwright and a Chromium) seeks at random in a clip of 1920 x 1080.
"""

import contextlib
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import timing
import uvicorn
from absl import flags

from stgan_jax.data.walkers import scenes
from stgan_jax.media import containers
from stgan_jax.methods import catalog
from stgan_jax.util import web
from stgan_jax.util.errors import numbers
from stgan_jax.video.clip import ClipWork
from stgan_jax.video.review import server
from stgan_jax.video.review.session import Session
from stgan_jax.video.source import ClipOptions

_FRAMES = flags.DEFINE_integer("frames", 1000, "Of the clip.", lower_bound=200)
_SIZE = flags.DEFINE_list("size", ["640", "480"], "Its width, height.")
timing.define_flags(runs=20)

_SHARE = 50  # frames that a decision concerns


def main():
    width, height = numbers("--size", _SIZE.value)
    with tempfile.TemporaryDirectory() as folder:
        large = _rendered(Path(folder) / "large.mp4", 60, (1080, 1920))
        seeks = _seeks(large, Path(folder))
        clip = _rendered(Path(folder) / "clip.mp4", _FRAMES.value, (height, width))
        waits = _decisions(clip, Path(folder))
    seeking = {"median": float(np.median(seeks)), "most": max(seeks)}
    timing.report({**waits, "seek_seconds": seeking}, {})


def _rendered(path: Path, frames: int, size: tuple[int, int]) -> Path:
    scene = scenes.Scene(6, people=3, frames=frames, size=size)
    with containers.video_writer(path, scene.size, containers.Fraction(scene.fps)) as append:
        for frame in scene:
            append(frame.image)
    return path


def _work(clip: Path, **options) -> ClipWork:
    output = clip.with_name(f"{clip.stem}_out.mp4")
    return ClipWork(clip, output, catalog.load(), ClipOptions(seed=1, **options), None)


@contextlib.contextmanager
def _session(work: ClipWork, clip: Path, folder: Path):
    (folder / clip.stem).mkdir()
    session = Session(work, clip.with_suffix(".json"), folder / clip.stem)
    with contextlib.closing(session):
        yield session


def _decisions(clip: Path, folder: Path) -> dict:
    """Seconds of a whole run, and of rendering again after each decision."""
    with contextlib.closing(_work(clip)) as work:
        started = time.perf_counter()
        work.find()
        persons, _ = work.people(None)
        work.write(persons, None, None)
        whole = time.perf_counter() - started
        started = time.perf_counter()
        with _session(work, clip, folder) as session:
            first = time.perf_counter() - started
            extents = session.record.clip.tracks
            longest = max(extents, key=lambda n: extents[n].last - extents[n].first)
            middle = (extents[longest].first + extents[longest].last) // 2
            left, top, right, bottom = extents[longest].box
            span = {"first": middle, "last": middle + _SHARE - 1}
            boxes = [
                {"frame": frame, "box": [0, top, right - left, bottom]} for frame in span.values()
            ]
            before = [session.frame("result", n) for n in range(session.record.clip.frames)]
            waits = {}
            for decision in (
                {"do": "hide", "box": [left, top, right, bottom], **span},
                {"do": "add", "boxes": boxes},
            ):
                started = time.perf_counter()
                session.decide(decision)
                session.wait()
                waits[decision["do"]] = time.perf_counter() - started
                after = [session.frame("result", n) for n in range(len(before))]
                changed = [n for n in range(len(before)) if before[n] != after[n]]
                assert session.error is None
                assert span["first"] <= min(changed) <= max(changed) <= span["last"]
                session.undo()
                session.wait()
    return {
        "frames": len(before),
        "concerned": _SHARE,
        "whole_run_seconds": whole,
        "first_rendering_seconds": first,
        "seconds_after_a_decision": waits,
        "share_of_the_whole_run": {name: wait / whole for name, wait in waits.items()},
    }


def _seeks(clip: Path, folder: Path) -> list[float]:
    """Seconds from asking for a frame until both pictures show it, in a browser."""
    from playwright import sync_api

    with (
        contextlib.closing(_work(clip, people="difference")) as work,
        sync_api.sync_playwright() as playwright,
    ):
        work.find()
        with _session(work, clip, folder) as session:
            taken, url = web.listener(None, 0)
            app = server.application(session, "token", lambda who: clip)
            running = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning"))
            thread = threading.Thread(target=running.run, args=([taken],), daemon=True)
            thread.start()
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
                args=["--no-sandbox", "--disable-gpu"],
            )
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"{url}/join/token")
            page.wait_for_selector("#views[data-shown]")
            rng, last, seeks = np.random.default_rng(0), 0, []
            for _ in range(flags.FLAGS.runs):
                number = int((last + rng.integers(2, 58)) % session.record.clip.frames)
                seeks.append(page.evaluate(_SEEK, number) / 1000)
                last = number
            browser.close()
            running.should_exit = True
            thread.join()
    return seeks


_SEEK = """async (number) => {
  const views = document.getElementById("views"), input = document.getElementById("number");
  const started = performance.now();
  input.value = number;
  input.dispatchEvent(new Event("change"));
  while (views.dataset.shown !== String(number)) {
    await new Promise((done) => setTimeout(done, 1));
  }
  await new Promise(requestAnimationFrame);
  return performance.now() - started;
}"""


if __name__ == "__main__":
    timing.run(main)

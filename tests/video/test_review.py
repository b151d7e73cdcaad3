"""A review: what it renders again, what it grants and refuses, and that no decision is lost."""

import contextlib
import json
import os
import re
import signal
import threading
import time

import commands
import cv2
import httpx2 as httpx
import numpy as np
import pytest
import reviewed
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from stgan_jax.media import pictures
from stgan_jax.methods import catalog
from stgan_jax.util import children, files
from stgan_jax.util.errors import InputError
from stgan_jax.video import cli, decisions, search
from stgan_jax.video.review import moments, server, signing
from stgan_jax.video.review.session import Session

HERE = "http://127.0.0.1:8000"
TOKEN = "the-token-of-this-link"
FRAMES = 10


@pytest.fixture(scope="module")
def model():
    return catalog.load()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The rendered frames, and the folder that holds them, under a name that is markup."""
    scene = reviewed.scene(FRAMES)
    frames = list(scene)
    folder = tmp_path_factory.mktemp("reviewed") / "<script>alert(1)<"
    return scene, frames, reviewed.write(folder, frames)


@contextlib.contextmanager
def session_of(clip, folder, model, monkeypatch):
    scene, frames, source = clip
    with monkeypatch.context() as patched:
        patched.setattr(search, "search", reviewed.finder(scene, frames))
        work = reviewed.work_on(source, folder / "out", model)
    (folder / "frames").mkdir()
    with contextlib.closing(work):
        session = Session(work, folder / "d.json", folder / "frames")
        with contextlib.closing(session):
            yield session


@pytest.fixture
def session(clip, model, tmp_path, monkeypatch):
    with session_of(clip, tmp_path, model, monkeypatch) as session:
        yield session


def results(session):
    return [session.frame("result", number) for number in range(FRAMES)]


def decide(session, **decision):
    session.decide(decision)
    session.wait()


def fresh(clip, made, folder, model, monkeypatch):
    """What a new run shows, as the review stores it."""
    scene, frames, source = clip
    with monkeypatch.context() as patched:
        patched.setattr(search, "search", reviewed.finder(scene, frames))
        work = reviewed.work_on(source, folder / "out", model)
    with contextlib.closing(work):
        persons, mended = work.people(decisions.plan(made, work.basis.footage))
        shown = work.frames(persons, mended.backdrop, work.blanks.copy())
        images = [composed.image for _, composed in shown]
    quality = [cv2.IMWRITE_JPEG_QUALITY, 92]
    return [cv2.imencode(".jpg", image[..., ::-1], quality)[1].tobytes() for image in images]


# --- rendering -------------------------------------------------------------------------------


def test_who_was_missed_is_told_first_and_is_no_more_once_boxed(clip, session):
    _, frames, _ = clip
    first = session.rendered.moments[0]
    left, top, right, bottom = first.box
    box = reviewed.box_of(frames[first.first], 2)
    assert (first.kind, first.first, first.last) == ("leftover", 0, FRAMES - 1)
    assert box[0] <= left < right <= box[2]
    assert box[1] <= top < bottom <= box[3]
    assert bottom - top > 0.4 * (box[3] - box[1])
    decide(session, do="add", boxes=reviewed.boxes_of(frames, 2))
    assert "leftover" not in {moment.kind for moment in session.rendered.moments}


def test_only_frames_that_a_decision_changes_are_rendered_again(session):
    before, original = results(session), session.frame("original", 5)
    decide(session, do="hide", box=[0, 0, 40, 30], first=5, last=7)
    assert session.progress == (3, 3)
    after = results(session)
    assert [n for n in range(FRAMES) if before[n] != after[n]] == [5, 6, 7]
    decide(session, do="split", track=1, frame=8)
    decide(session, do="cover", track=3)
    assert session.progress == (FRAMES - 8, FRAMES - 8)
    session.undo()
    session.undo()
    session.undo()
    session.wait()
    assert results(session) == before
    assert session.frame("original", 5) == original


DECISIONS = [
    {"do": "cover", "track": 1},
    {"do": "leave", "track": 2, "sure": True},
    {"do": "anew", "track": 1, "body": 1},
    {"do": "split", "track": 1, "frame": 5},
    {"do": "merge", "track": 1, "with": 2},
    {"do": "merge", "track": 3, "with": 1},
    {"do": "cover", "track": 3},
    {
        "do": "add",
        "boxes": [
            {"frame": 2, "box": [180, 80, 240, 190]},
            {"frame": 9, "box": [150, 80, 200, 190]},
        ],
    },
    {"do": "hide", "box": [100, 60, 180, 150], "first": 3},
]


def test_any_decisions_and_undos_give_what_the_last_ones_give_afresh(
    clip, model, tmp_path, monkeypatch
):
    steps = st.one_of(st.sampled_from(DECISIONS), st.sampled_from(["undo", "redo"]))
    with session_of(clip, tmp_path, model, monkeypatch) as session:
        clean = results(session)

        @settings(
            max_examples=3,
            phases=[Phase.generate],
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(st.lists(steps, min_size=2, max_size=5))
        def check(sequence):
            while session.record.decisions:
                session.undo()
            session.wait()
            assert results(session) == clean
            made, undone = [], list(session.record.undone)
            for step in sequence:
                if step == "undo":
                    session.undo()
                    undone += [made.pop()] if made else []
                elif step == "redo":
                    session.redo()
                    made += [undone.pop()] if undone else []
                else:
                    with contextlib.suppress(InputError):  # of a track that is not there
                        session.decide(step)
                        made, undone = [*made, step], []
            session.wait()
            assert session.error is None
            assert list(session.record.decisions) == made
            assert results(session) == fresh(clip, made, tmp_path, model, monkeypatch)

        check()


def test_a_decision_is_on_disk_before_anything_is_rendered(session, tmp_path, monkeypatch):
    going = threading.Event()
    people = session.work.people

    def wait(plan):
        going.wait(60)
        return people(plan)

    monkeypatch.setattr(session.work, "people", wait)
    session.decide({"do": "cover", "track": 1})
    assert session.busy
    assert json.loads((tmp_path / "d.json").read_text())["decisions"] == [
        {"do": "cover", "track": 1}
    ]
    assert signing.refusal(session) == "Frames are still being rendered."
    going.set()
    session.wait()
    monkeypatch.setattr(decisions.Record, "save", full)
    with pytest.raises(OSError, match="No space"):
        session.undo()
    assert len(session.record.decisions) == 1


def full(*_):
    raise OSError(28, "No space left on device")


def test_a_failure_to_render_is_told_and_another_decision_mends_it(session, monkeypatch):
    people = session.work.people
    monkeypatch.setattr(session.work, "people", full)
    decide(session, do="cover", track=1)
    assert "No space" in session.error
    assert "No space" in signing.refusal(session)
    monkeypatch.setattr(session.work, "people", people)
    decide(session, do="cover", track=2)
    assert session.error is None
    assert not session.busy


# --- signing off -----------------------------------------------------------------------------


def test_it_is_signed_off_once_everything_doubtful_was_seen(clip, session, tmp_path):
    _, frames, source = clip
    decide(session, do="add", boxes=reviewed.boxes_of(frames, 2))
    decide(session, do="leave", track=reviewed.FALSE, sure=True)
    names = [moment.name for moment in session.rendered.moments]
    assert len(names) > 1
    session.see([*names[:-1], "edge-9-9-9"])
    assert signing.refusal(session) == "Doubtful moments that nobody has looked at: 1."
    with pytest.raises(InputError, match="nobody has looked at: 1"):
        signing.sign(session, "A", tmp_path / "out", {})
    assert not (tmp_path / "out").exists()
    session.see(names)
    assert set(session.record.seen) == set(names)
    assert signing.refusal(session) is None
    page = signing.sign(session, "Ada <b>", tmp_path / "out", {"crf": 18})
    assert page.name == "out_signed.html"
    assert "Ada &lt;b&gt;" in page.read_text()
    signed = json.loads(page.with_suffix(".json").read_text())
    assert signed["who"] == "Ada <b>"
    assert signed["input"] == {"name": source.name, "sha256": files.digest(source)}
    assert signed["output"] == {"name": "out", "sha256": files.digest(tmp_path / "out")}
    assert signed["settings"] == {"crf": 18}
    assert signed["decisions"] == list(session.record.decisions)
    rows = {row["person"]: row for row in signed["people"]}
    assert rows[2] == {"person": 2, "decided": "leave", "drawn": 0, "covered": 0, "because": {}}
    assert rows[3]["covered"] == FRAMES
    assert rows[1]["drawn"] + rows[1]["covered"] == FRAMES
    for number in range(FRAMES):  # what was looked at is what is written
        written = pictures.read(tmp_path / "out" / f"{number:03d}.png")
        shown = cv2.imdecode(np.frombuffer(session.frame("result", number), np.uint8), 1)
        assert np.abs(written.astype(int) - shown).mean() < 3


# --- the pages -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(clip, model, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("pages")
        with session_of(clip, folder, model, patch) as session:
            yield session


def client(session, joined=True, sign=None):
    app = server.application(session, TOKEN, sign or (lambda who: None))
    one = TestClient(app, HERE, headers={"origin": HERE}, follow_redirects=False)
    if joined:
        assert one.get(f"/join/{TOKEN}").headers["location"] == "/"
    return one


def test_pages_show_frames_and_keep_nothing(shared):
    one = client(shared)
    page = one.get("/")
    assert "&lt;script&gt;alert(1)&lt;" in page.text
    assert not re.search(r"<style|\son\w+=|style=|<script>|https?:|//", page.text)
    frame = one.get("/frames/original/3")
    assert frame.content[:2] == b"\xff\xd8"
    assert one.get("/frames/result/3").content != frame.content
    assert one.get("/thumbnails/result/1").content[:2] == b"\xff\xd8"
    state, tracks = one.get("/state").json(), one.get("/tracks").json()["tracks"]
    assert state["moments"][0]["kind"] == "leftover"
    assert [track["number"] for track in tracks] == [1, 2]
    middle = tracks[0]["boxes"][str(FRAMES // 2)]
    assert middle == list(shared.record.clip.tracks[1].box)
    answers = [page, frame, one.get("/nowhere"), one.get("/static/review.js"), one.delete("/")]
    answers += [one.post("/decide", content=b"x" * 99_999), client(shared, False).get("/")]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_whoever_has_no_link_is_refused(shared):
    before = shared.record
    for wrong in ("", "wrong", TOKEN + "x"):
        stranger = client(shared, joined=bool(wrong))
        names = list(stranger.cookies)
        stranger.cookies.clear()
        for name in names:
            stranger.cookies.set(name, wrong)
        for path in ("/", "/state", "/tracks", "/frames/original/0", "/thumbnails/result/1"):
            assert stranger.get(path).status_code == 401, path
        for path in ("/decide", "/undo", "/see", "/sign"):
            assert stranger.post(path, json={"do": "cover", "track": 1}).status_code == 401
        assert stranger.get("/join/wrong").status_code == 401
    assert shared.record == before


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/decide", {"do": "cover", "track": 9}, 422),
        ("/decide", {"do": "cover", "track": "<script>"}, 422),
        ("/decide", {"do": "cover", "track": 10**400}, 422),
        ("/decide", [], 422),
        ("/decide", "cover", 422),
        ("/decide", b"", 400),
        ("/decide", b"\xff", 400),
        ("/decide", b"[" * 60_000, 400),
        ("/decide", b" " * 70_000, 413),
        ("/see", {"moments": []}, 422),
        ("/see", [1], 422),
        ("/sign", {"who": "  "}, 422),
        ("/sign", {"who": "x" * 201}, 422),
        ("/sign", {"who": "Ada"}, 409),
        ("/nothing", {}, 404),
        ("/..%2fdecide", {}, 404),
    ],
)
def test_what_is_no_decision_is_refused_and_not_stored(shared, path, body, status):
    before = shared.record
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    answer = client(shared).post(path, content=content, headers=headers)
    assert (answer.status_code, "error" in answer.json()) == (status, True)
    assert shared.record == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": HERE, "sec-fetch-site": "cross-site"}, 403),
        ({"origin": HERE, "content-type": "text/plain"}, 415),
        ({"origin": HERE, "host": "evil.example"}, 403),
        ({"origin": HERE, "sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_other_sites_can_decide_nothing(shared, headers, status):
    headers = {"content-type": "application/json", **headers}
    assert client(shared).post("/redo", content=b"{}", headers=headers).status_code == status
    assert shared.record.decisions == ()


def test_path_tricks_reach_no_file(shared):
    one = client(shared)
    tricks = ("../d.json", "..%2fd.json", "%2e%2e%2fd.json", "%2fetc%2fpasswd", "%00", "-1", "99")
    for folder in ("frames/original", "frames/..", "thumbnails/result", "static", "frames/x"):
        for trick in tricks:
            assert one.get(f"/{folder}/{trick}").status_code in (404, 405), (folder, trick)


@pytest.mark.processes
def test_a_killed_review_loses_no_decision_and_leaves_no_frames_for_long(source, tmp_path):
    (tmp_path / "in.mkv").write_bytes(source.read_bytes())
    private = tmp_path / ".in.mkv.decisions.json~"

    @contextlib.contextmanager
    def started(name):
        out = [tmp_path / f"{name}.{stream}" for stream in ("out", "err")]
        arguments = [
            "launch/anonymize.py",
            "review",
            str(tmp_path / "in.mkv"),
            "--people=difference",
            "--color=nearest",
            "--end=0.6",
        ]
        process = children.context().Process(
            target=commands._command, args=(arguments, out, None, {})
        )
        process.start()
        ends = time.monotonic() + 100
        while "/join/" not in (out[0].read_text() if out[0].exists() else ""):
            assert process.is_alive(), out[1].read_text()
            assert time.monotonic() < ends
            time.sleep(0.05)
        url, token = out[0].read_text().strip().rsplit("/join/", 1)
        with httpx.Client(base_url=url, headers={"origin": url}) as one:
            one.get(f"/join/{token}")
            yield process, one
        process.join(60)

    with started("first") as (process, one):
        assert private.stat().st_mode & 0o777 == 0o700
        answer = one.post("/decide", json={"do": "cover", "track": 1})
        assert answer.status_code == 200, answer.text
        os.kill(process.pid, signal.SIGKILL)
    assert private.exists()
    with started("second") as (process, one):
        assert one.get("/state").json()["decisions"] == [{"do": "cover", "track": 1}]
        os.kill(process.pid, signal.SIGTERM)
    assert not private.exists()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"in.mkv", "in.mkv.decisions.json"} | {
        f"{name}.{stream}" for name in ("first", "second") for stream in ("out", "err")
    }


def test_a_run_may_end_in_a_review_of_its_output(monkeypatch):
    asked = []
    monkeypatch.setattr(cli, "_run", lambda values: {"exit_code": 3})
    monkeypatch.setattr(cli, "_summary", lambda result: "done")
    monkeypatch.setattr(cli, "one_sentence", lambda debug: contextlib.nullcontext())
    monkeypatch.setattr(server, "review", lambda *names, **how: asked.append((names, how)))
    with pytest.raises(SystemExit) as ended:
        cli.main(["a.mp4", "--output=b.mp4", "--review", "--port=8000"])
    assert ended.value.code == 3
    [((source, output, _), how)] = asked
    assert (source, output, how["overwrite"], how["port"]) == ("a.mp4", "b.mp4", True, 8000)
    for words in (["a.mp4", "b.mp4", "--review"], ["a.mp4", "--port=8000"]):
        with pytest.raises(InputError, match="review"):
            cli.main(words)
    assert len(asked) == 1


def test_where_leftovers_cannot_be_told_all_frames_are_to_be_looked_at():
    [one] = moments.doubtful([], {}, {}, (240, 320), 25.0, range(10))
    assert (one.kind, one.first, one.last) == ("unknown", 0, 9)
    assert moments.doubtful([], {}, {}, (240, 320), 25.0, range(0)) == []

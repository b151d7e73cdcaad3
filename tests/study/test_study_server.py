"""The study in the browser: what it grants, what it refuses, and that no rating is lost."""

import contextlib
import csv
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from stgan_jax.media import containers
from stgan_jax.study import build, clips, database, server
from stgan_jax.study.plan import ANCHOR

ROOT = Path(__file__).parents[2]
HERE = "http://127.0.0.1:8000"


def moving(shade):
    for t in range(25):
        frame = np.zeros((64, 64, 3), np.uint8)
        frame[16:56, t : t + 12] = shade
        yield frame


def built(folder, **options):
    """A study of 3 methods in 2 views, 3 clips each."""

    def gather():
        return [
            clips.SourceClip(
                method, view, f"walk-{i}", containers.Fraction(25), 25, lambda: moving(200)
            )
            for method in ("ours", "theirs", ANCHOR)
            for view in (0, 90)
            for i in range(3)
        ]

    build.build(folder, gather, build.StudyOptions(size=(64, 64), **options))
    return folder


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    options = {"raters": 50, "per_rater": 12, "repeats": 4, "anchors": 4}
    return built(tmp_path_factory.mktemp("built") / "study", consent="Who asks: <us>.", **options)


@pytest.fixture
def study(template, tmp_path):
    """A study of 50 raters and 20 clips each, as it was built."""
    return shutil.copytree(template, tmp_path / "study")


def tokens(study):
    rows = csv.DictReader((study / database.INVITATIONS).open())
    return [row["path"].removeprefix("/join/") for row in rows]


def client(study, invited=True, **options):
    app = server.application(study, invited)
    return TestClient(app, HERE, headers={"origin": HERE}, follow_redirects=False, **options)


def joined(study, number=1, agree=True):
    """A client that has followed the invitation of a rater and agreed."""
    rater = client(study)
    assert rater.get(f"/join/{tokens(study)[number - 1]}").headers["location"] == "/"
    if agree:
        agreed = rater.post("/consent", data={"agree": "yes"})
        assert (agreed.status_code, agreed.headers["location"]) == (303, "/instructions")
    return rater


def upcoming(rater):
    return re.search('data-presentation="([^"]+)"', rater.get("/rate").text)[1]


def rating(rater, presentation, score=3, plays=1):
    given = {"presentation": presentation, "score": score, "plays": plays}
    return rater.post("/ratings", json=given)


def stored(study):
    with contextlib.closing(sqlite3.connect(study / database.FILE)) as connection:
        return connection.execute("SELECT presentation, score FROM ratings").fetchall()


def test_a_rater_is_led_from_consent_to_thanks(study):
    rater = joined(study, agree=False)
    page = rater.get("/").text
    assert "Who asks: &lt;us&gt;." in page
    assert rater.get("/rate").status_code == 403
    assert rater.post("/consent", data={}).status_code == 422
    assert rater.post("/consent", data={"agree": "yes"}).headers["location"] == "/instructions"
    assert "You will see 20 clips" in rater.get("/instructions").text
    assert rater.get("/").headers["location"] == "/rate"
    presentation = upcoming(rater)
    for number in range(1, 21):
        clip = rater.get(f"/clips/{presentation}")
        assert clip.headers["content-type"] == "video/mp4"
        assert clip.content[4:8] == b"ftyp"
        answer = rating(rater, presentation, 1 + number % 5).json()
        assert answer["rated"] == number
        presentation = answer["next"]
    assert presentation is None
    assert rater.get("/rate").headers["location"] == "/thanks"
    assert "All of your 20 ratings are stored" in rater.get("/thanks").text
    assert len(stored(study)) == 20


def test_a_clip_can_be_sought_in(study):
    rater = joined(study)
    part = rater.get(f"/clips/{upcoming(rater)}", headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")


def test_pages_tell_raters_nothing_of_methods(study):
    rater = joined(study)
    seen = rater.get("/rate").text + str(rater.get(f"/clips/{upcoming(rater)}").headers)
    for clip in database.Database(study).presentations():
        assert clip["clip"] not in seen
    assert not re.search("ours|theirs|unprotected|walk-[0-9]", seen)


def test_every_answer_has_the_security_headers(study):
    rater = joined(study)
    paths = [
        "/",
        "/rate",
        "/static/study.js",
        "/static/study.css",
        "/nowhere",
        "/join/wrong",
        f"/clips/{upcoming(rater)}",
        "/clips/wrong",
    ]
    answers = [rater.get(path) for path in paths]
    answers += [rater.post("/ratings", content=b"x" * 99_999), rater.delete("/rate")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        expected = "private" if answer.headers.get("content-type") == "video/mp4" else "no-store"
        assert answer.headers["cache-control"].startswith(expected)
    cookie = client(study).get(f"/join/{tokens(study)[0]}").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_pages_hold_nothing_inline_and_nothing_from_elsewhere(study):
    rater = joined(study)
    for path in ("/instructions", "/rate"):
        page = rater.get(path).text
        assert not re.search(r"<style|\son\w+=|style=|<script>|https?:|//", page)
    for path in (Path(server.__file__).parent / "static").iterdir():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(", path.read_text())


def test_whoever_has_no_token_is_refused(study):
    stranger = client(study)
    for path in ("/", "/rate", "/instructions", "/thanks", "/clips/x", "/join/wrong", "/leave"):
        assert stranger.get(path).status_code == 401, path
    presentation = upcoming(joined(study))
    assert rating(stranger, presentation).status_code == 401
    assert stranger.post("/consent", data={"agree": "yes"}).status_code == 401
    stranger.cookies.set(next(iter(joined(study).cookies)), "wrong")
    assert rating(stranger, presentation).status_code == 401
    assert stranger.post("/comment", data={"comment": "x"}).status_code == 401
    assert stored(study) == []


def test_another_raters_clip_is_not_there(study):
    one, other = joined(study, 1), joined(study, 2)
    presentation = upcoming(one)
    assert other.get(f"/clips/{presentation}").status_code == 404
    assert rating(other, presentation).status_code == 404
    unsure = joined(study, 3, agree=False)
    with database.Database(study)._connection() as connection:
        own = database._upcoming(connection, 3)
    assert rating(unsure, own).status_code == 403
    assert unsure.get(f"/clips/{own}").status_code == 403
    assert stored(study) == []


def test_path_tricks_reach_no_file(study):
    rater = joined(study)
    tricks = (
        "../study.db",
        "..%2fstudy.db",
        "%2e%2e%2fstudy.db",
        "..%5cstudy.db",
        "%2fetc%2fpasswd",
        "%00",
        "%ff",
        "x" * 5000,
    )
    for folder in ("clips", "static", "static/../clips"):
        for trick in tricks:
            assert rater.get(f"/{folder}/{trick}").status_code == 404, (folder, trick)


def test_a_full_disk_is_said_and_asked_again(study, monkeypatch):
    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    rater = joined(study)
    presentation = upcoming(rater)
    with monkeypatch.context() as patched:
        patched.setattr(database, "_now", full)
        answer = rating(rater, presentation)
        assert (answer.status_code, "disk" in answer.json()["error"]) == (503, True)
        assert stored(study) == []
    assert rating(rater, presentation).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        *(({"score": score}, 422) for score in (0, 6, -1, 3.0, "3", True, None, [3], 10**30)),
        ({"plays": -1}, 422),
        ({"plays": "1"}, 422),
        ({"presentation": 7}, 422),
        ({"presentation": None}, 422),
        ({"presentation": "\ud800"}, 422),
        ({"presentation": "../../study.db"}, 404),
        ({"presentation": "' OR 1=1 --"}, 404),
        ({"more": 1}, 422),
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 16_000, 400),
        (b"[]", 422),
        (b"3", 422),
        (b'{"score": 3, "score": 4}', 422),
        (b" " * 20_000, 413),
    ],
)
def test_a_rating_that_is_none_is_refused(study, body, status):
    import json

    rater = joined(study)
    if isinstance(body, dict):
        good = {"presentation": upcoming(rater), "score": 3, "plays": 1}
        body = json.dumps(good | body).encode()
    answer = rater.post("/ratings", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert stored(study) == []


def test_a_body_without_a_length_is_bounded(study):
    rater = joined(study)
    endless = (b"x" * 1000 for _ in range(1000))
    answer = rater.post("/ratings", content=endless, headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_a_rating_counts_once_and_in_turn(study):
    rater = joined(study)
    first = upcoming(rater)
    second = rating(rater, first, 4).json()["next"]
    assert rating(rater, first, 4).json() == {"next": second, "rated": 1}
    assert rating(rater, first, 5).status_code == 409
    third = rating(rater, second, 2).json()["next"]
    with database.Database(study)._connection() as connection:
        rows = connection.execute("SELECT presentation FROM presentations WHERE rater = 1")
        later = ({row for (row,) in rows} - {first, second, third}).pop()
    assert rating(rater, later).status_code == 409
    assert sorted(stored(study)) == sorted([(first, 4), (second, 2)])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": ""}, 403),
        ({"origin": HERE, "sec-fetch-site": "cross-site"}, 403),
        ({"origin": HERE, "sec-fetch-site": "same-site"}, 403),
        ({"origin": HERE, "content-type": "text/plain"}, 415),
        ({"origin": HERE, "sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_other_sites_cannot_rate_in_a_raters_name(study, headers, status):
    import json

    rater = joined(study)
    given = json.dumps({"presentation": upcoming(rater), "score": 1, "plays": 1})
    headers = {"content-type": "application/json"} | headers
    assert rater.post("/ratings", content=given, headers=headers).status_code == status
    assert len(stored(study)) == (status == 200)


def test_without_invitations_places_are_given_to_this_machine_alone(study):
    app = server.application(study, invited_only=False)
    outsider = TestClient(app, "http://rebound.example", headers={"origin": HERE})
    assert outsider.get("/").status_code == 403
    assert outsider.post("/consent", data={"agree": "yes"}).status_code == 403
    rater = client(study, invited=False)
    assert rater.post("/consent", data={"agree": "yes"}).status_code == 401
    rater.get("/")
    for _ in range(2):  # sent twice, it takes one place
        assert rater.post("/consent", data={"agree": "yes"}).status_code == 303
    assert "Rater 1:" in rater.get("/rate").text
    other = client(study, invited=False)
    other.get("/")
    other.post("/consent", data={"agree": "yes"})
    assert "Rater 2:" in other.get("/rate").text
    assert "rated 0 of 20" in other.get("/leave").text
    other.post("/leave")
    assert "I am 18 or older" in other.get("/").text
    with database.Database(study)._transaction() as connection:
        connection.execute("UPDATE raters SET consented = 'then'")
    late = client(study, invited=False)
    late.get("/")
    full = late.post("/consent", data={"agree": "yes"})
    assert full.status_code == 409
    assert "All places of this study are taken" in full.text


def test_a_comment_is_kept_as_text(study):
    rater = joined(study)
    assert rater.post("/comment", data={"comment": "early"}).status_code == 403
    following = upcoming(rater)
    while following:
        following = rating(rater, following, 1 + len(following) % 5).json()["next"]
    script = '</textarea><script>alert("x")</script>'
    assert rater.post("/comment", data={"comment": script}).status_code == 303
    page = rater.get("/thanks").text
    assert "<script" not in page
    assert "&lt;/textarea&gt;&lt;script&gt;" in page
    assert rater.post("/comment", data={"comment": "x" * 2001}).status_code == 422
    assert rater.post("/comment", data={"comment": "x" * 99_999}).status_code == 413
    assert rater.post("/comment", content=b"&a=%ff&comment=%00%" * 500).status_code == 303
    longest = "\U0001f6b6" * 1300  # 12 bytes each in a form
    assert rater.post("/comment", data={"comment": longest}).status_code == 303
    assert database.Database(study).comments() == {1: longest}


def test_tokens_are_stored_as_digests(study):
    text = (study / database.FILE).read_bytes()
    assert not any(token.encode() in text for token in tokens(study))


def test_a_damaged_study_is_said(study):
    (study / database.FILE).write_bytes(b"x" * 5000)
    with pytest.raises(Exception, match="is damaged or not ours"):
        server.application(study, True)


class Served:
    """A real server on loopback."""

    def __init__(self, study, *flags):
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "launch" / "study.py", "serve", study, *flags],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self.process.stdout.readline().strip().rstrip("/")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.stdout.close()
        return self.process.wait(30)


@pytest.mark.processes
def test_fifty_raters_at_once_and_a_killed_server_lose_and_double_nothing(tmp_path):
    study = built(tmp_path / "study", raters=50, per_rater=6, repeats=2, anchors=2)
    port = free_port()
    served = Served(study, f"--port={port}", "--host=127.0.0.1")
    acknowledged, refused, lost = {}, [], []
    killing, killed, again = (threading.Event() for _ in range(3))

    def rate_all(number, token):
        kept, done = {}, False
        options = {"headers": {"origin": served.url}, "verify": False, "timeout": 100}
        with httpx.Client(base_url=served.url, **options) as c:
            while not done:
                try:
                    if number % 2 or not c.cookies:
                        c.get(f"/join/{token}")
                        c.post("/consent", data={"agree": "yes"})
                    page = c.get("/rate")
                    done = page.status_code == 303
                    presentation = None if done else upcoming_of(page)
                    while presentation:
                        if presentation in kept:  # and asked for once more
                            lost.append(presentation)
                        score = 1 + (number + len(kept)) % 5
                        given = {"presentation": presentation, "score": score, "plays": 1}
                        answers = [c.post("/ratings", json=given) for _ in range(1 + number % 2)]
                        refused.extend(a for a in answers if a.status_code != 200)
                        kept[presentation] = score
                        presentation = answers[0].json()["next"]
                        if len(kept) == 4 and not killed.is_set():
                            killing.set()
                except httpx.TransportError:  # what was under way may be stored or not
                    assert killed.wait(120)
                    assert again.wait(120)
        acknowledged[number] = kept

    threads = [
        threading.Thread(target=rate_all, args=pair, daemon=True)
        for pair in enumerate(tokens(study), 1)
    ]
    for thread in threads:
        thread.start()
    assert killing.wait(120)
    killed.set()
    assert served.end(signal.SIGKILL) == -signal.SIGKILL
    before = dict(stored(study))
    second = Served(study, f"--port={port}", "--host=127.0.0.1")
    assert second.url == served.url
    again.set()
    for thread in threads:
        thread.join(240)
    second.end()
    assert 4 <= len(before) < 500
    rows = stored(study)
    assert len(rows) == len({presentation for presentation, _ in rows}) == 50 * 10
    assert len(acknowledged) == 50
    for kept in acknowledged.values():
        assert kept.items() <= dict(rows).items()
    assert before.items() <= dict(rows).items()
    assert refused == lost == []
    with contextlib.closing(sqlite3.connect(study / database.FILE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def upcoming_of(page):
    return re.search('data-presentation="([^"]+)"', page.text)[1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]

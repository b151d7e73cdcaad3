"""The review as a person does it, in headless Chromium."""

import contextlib
import json
import threading
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
import reviewed
import uvicorn
from playwright.sync_api import expect

from stgan_jax.media import pictures
from stgan_jax.methods import catalog
from stgan_jax.util import web
from stgan_jax.video import search
from stgan_jax.video.review import server, signing
from stgan_jax.video.review.session import Session

pytestmark = pytest.mark.processes
FRAMES = 12


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A review of a clip in which person 2 was missed and a window taken for somebody."""
    scene = reviewed.scene(FRAMES)
    frames = list(scene)
    source = reviewed.write(tmp_path / "in", frames)
    monkeypatch.setattr(search, "search", reviewed.finder(scene, frames))
    (tmp_path / "frames").mkdir()
    work = reviewed.work_on(source, tmp_path / "out", catalog.load())
    with contextlib.closing(work):
        session = Session(work, tmp_path / "in.decisions.json", tmp_path / "frames")
        with contextlib.closing(session):

            def sign(who):
                return signing.sign(session, who, tmp_path / "out", {})

            taken, url = web.listener(None, 0)
            app = server.application(session, "token", sign)
            config = uvicorn.Config(app, access_log=False, log_level="warning")
            running = uvicorn.Server(config)
            thread = threading.Thread(target=running.run, args=([taken],), daemon=True)
            thread.start()
            yield session, f"{url}/join/token", frames, scene
            running.should_exit = True
            thread.join(30)


def opened(browser, url):
    """A page that has no errors, and asks nobody but the server for anything."""
    page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
    page.troubles = []
    page.on("console", lambda m: m.type == "error" and page.troubles.append(m.text))
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on(
        "request",
        lambda r: urlsplit(r.url).netloc == urlsplit(url).netloc or page.troubles.append(r.url),
    )
    page.goto(url)
    shows(page, 0)
    return page


def shows(page, number):
    page.wait_for_selector(f"#views[data-shown='{number}']")


def go_to(page, number):
    page.locator("#number").fill(str(number))
    page.locator("#number").dispatch_event("change")
    shows(page, number)


def drag(page, box):
    """Drags a box, given in pixels of the frame, on the original."""
    left, top, right, bottom = box
    place = page.locator("#original").bounding_box()
    scale = min(place["width"] / reviewed.SIZE[1], place["height"] / reviewed.SIZE[0])
    x = place["x"] + (place["width"] - scale * reviewed.SIZE[1]) / 2
    y = place["y"] + (place["height"] - scale * reviewed.SIZE[0]) / 2
    page.mouse.move(x + scale * left, y + scale * top)
    page.mouse.down()
    page.mouse.move(x + scale * right, y + scale * bottom, steps=3)
    page.mouse.up()


def decided(page, session, count):
    """Waits until so many decisions are made and rendered, and shown."""
    expect(page.locator("#decisions li")).to_have_count(count)
    session.wait()
    expect(page.locator("#status")).not_to_contain_text("Working")
    assert len(session.record.decisions) == count


def far(image, other):
    return np.abs(image.astype(int) - other).max(-1)


def test_who_was_missed_is_boxed_and_a_false_track_left_and_all_is_signed_off(
    browser, served, tmp_path
):
    session, url, frames, scene = served
    page = opened(browser, url)
    expect(page.locator("#moments button").first).to_contain_text("shown as it is")
    expect(page.locator("#sign")).to_be_disabled()
    page.keyboard.press("b")
    for number in (0, 4, 8, FRAMES - 1):
        go_to(page, number)
        page.locator("#views").click(position={"x": 5, "y": 60})  # a click is no box
        drag(page, reviewed.box_of(frames[number], 2, 14))
    page.locator("body").press("Enter")
    decided(page, session, 1)
    expect(page.locator("#moments")).not_to_contain_text("shown as it is")
    page.locator("#tracks li").nth(reviewed.FALSE - 1).get_by_role("button", name="Leave").click()
    expect(page.locator("#status")).to_contain_text("Say so once more")
    assert len(session.record.decisions) == 1
    page.locator("#tracks li").nth(reviewed.FALSE - 1).get_by_role("button", name="Leave").click()
    decided(page, session, 2)
    page.reload()
    shows(page, 0)
    expect(page.locator("#decisions li")).to_have_count(2)
    page.keyboard.press("c")  # whom the doubtful moment is about
    decided(page, session, 3)
    page.keyboard.press("z")
    decided(page, session, 2)
    strength = page.locator("#tracks li").first.get_by_label("strength")
    expect(strength).to_have_value("1")
    strength.fill("0.7")
    strength.press("Enter")
    decided(page, session, 3)
    assert session.record.decisions[-1]["alpha"] == 0.7
    expect(page.locator("#tracks li").first.get_by_label("strength")).to_have_value("0.7")
    page.keyboard.press("z")
    decided(page, session, 2)
    while page.locator("#moments button:not(.seen)").count():
        left = page.locator("#moments button:not(.seen)").count()
        page.keyboard.press("Enter")
        expect(page.locator("#moments button:not(.seen)")).to_have_count(left - 1)
    page.locator("#sign").click()
    page.locator("#who").fill("Ada")
    page.locator("#confirm").click()
    expect(page.locator("#status")).to_contain_text("out_signed.html", timeout=60_000)
    assert page.troubles == []
    assert json.loads((tmp_path / "out_signed.json").read_text())["who"] == "Ada"
    top, left, bottom, right = reviewed.PLACE
    pixels = 0
    for number, frame in enumerate(frames):
        image = pictures.read(tmp_path / "out" / f"{number:03d}.png")[..., ::-1]
        missed = (frame.people == 2) & (far(frame.image, scene.background) > 30)
        missed &= cv2.dilate((frame.people == 1).astype(np.uint8), np.ones((25, 25))) == 0
        pixels += missed.sum()
        assert (far(image, frame.image)[missed] < 8).sum() == 0
        np.testing.assert_array_equal(
            image[top:bottom, left:right], frame.image[top:bottom, left:right]
        )
    assert pixels > 500
    page.goto((tmp_path / "out_signed.html").as_uri())
    expect(page.get_by_text("signed off by Ada")).to_be_visible()


def test_keys_step_and_seek_and_both_pictures_stay_in_step(browser, served):
    _, url, _, _ = served
    page = opened(browser, url)
    for key, number in (
        ("ArrowRight", 1),
        ("Shift+ArrowRight", 11),
        ("ArrowLeft", 10),
        ("Home", 0),
        ("End", FRAMES - 1),
    ):
        page.keyboard.press(key)
        shows(page, number)
        for side in ("original", "result"):
            source = page.locator(f"#{side}").get_attribute("src")
            assert f"/frames/{side}/{number}?" in source
    page.locator("#timeline").click(position={"x": 30, "y": 5})
    shows(page, 0)
    page.keyboard.press(" ")
    shows(page, FRAMES - 1)
    page.keyboard.press("v")
    expect(page.locator("#slider")).to_be_visible()
    page.keyboard.press("h")
    expect(page.locator("#drawing")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#drawing")).to_be_hidden()
    assert page.troubles == []

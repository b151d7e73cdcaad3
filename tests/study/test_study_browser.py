"""The study as a rater meets it, in headless Chromium."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect
from test_study_server import Served, built, stored

from stgan_jax.study import database, report

pytestmark = pytest.mark.processes
# Clips of a second are over sooner.
FAST = """
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () { this.playbackRate = 8; return play.call(this); };
"""


@pytest.fixture
def served(tmp_path):
    study = built(tmp_path / "study", raters=2, per_rater=12, repeats=4, anchors=4)
    server = Served(study, "--port=0")
    server.study = study
    yield server
    server.end()


def opened(browser, served, **options):
    """A page that has no errors, and asks nobody but the server for anything."""
    page = browser.new_context(**options).new_page()
    page.troubles = []
    page.add_init_script(FAST)
    page.on("console", lambda m: m.type == "error" and page.troubles.append(m.text))
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("dialog", lambda dialog: page.troubles.append(dialog.message))
    page.on(
        "request",
        lambda r: (
            urlsplit(r.url).netloc == urlsplit(served.url).netloc or page.troubles.append(r.url)
        ),
    )
    page.goto(served.url)
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Take part").click()
    page.get_by_role("link", name="Begin").click()
    return page


def rate(page, score, by_key):
    """Rates the clip that is shown, and waits until it no longer is."""
    page.wait_for_selector(".score:enabled")
    shown = page.locator("#clip").get_attribute("src")
    if by_key:
        page.keyboard.press(str(score))
    else:
        page.get_by_role("button", name=database.LABELS[score - 1]).click()
    expect(page.locator(f"#clip[src='{shown}']")).to_have_count(0)


def test_twenty_clips_are_rated_with_a_reload_in_the_middle(browser, served, tmp_path):
    page = opened(browser, served)
    page.keyboard.press("3")  # before the clip has ended
    page.wait_for_selector(".score:enabled")
    assert stored(served.study) == []
    page.get_by_role("button", name="Replay").click()
    clip = page.locator("#clip")
    expect(clip).to_have_js_property("ended", False)
    expect(clip).to_have_js_property("ended", True)
    given = [1 + i * i % 5 for i in range(20)]
    for number, score in enumerate(given):
        assert page.locator("#number").inner_text() == str(number + 1)
        rate(page, score, by_key=number % 2 == 0)
        if number == 9:
            page.reload()
            assert page.locator("#progress").get_attribute("value") == "10"
    page.wait_for_url("**/thanks")
    page.locator("#comment").fill("<script>alert(1)</script>")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Your comment is stored.").wait_for()
    assert page.troubles == []
    rows = database.Database(served.study).presentations()
    assert [row["score"] for row in rows if row["rater"] == 1] == given
    assert [row["plays"] for row in rows if row["rater"] == 1] == [2] + [1] * 19
    report.write(tmp_path / "report", served.study)
    seen = report.load(tmp_path / "report")
    assert [(rater["rated"], rater["repeats"]) for rater in seen["raters"]] == [(20, 4)]
    page.goto((tmp_path / "report" / "mos.html").as_uri())
    assert page.locator("img").evaluate("image => image.naturalWidth") > 400
    assert page.get_by_text("<script>alert(1)</script>").is_visible()


def test_a_phone_shows_clip_and_buttons_without_scrolling(browser, served):
    phone = {"viewport": {"width": 360, "height": 640}, "is_mobile": True, "has_touch": True}
    page = opened(browser, served, **phone)
    page.wait_for_selector(".score:enabled")
    for width, height in ((640, 360), (360, 640)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for button in page.locator(".score").all():
            box = button.bounding_box()
            assert box["y"] + box["height"] < height
            assert min(box["width"], box["height"]) >= 44  # a finger
    before = page.locator(".scores").bounding_box()["y"]
    page.locator(".score").nth(4).tap()
    expect(page.locator("#number")).to_have_text("2")
    assert page.locator(".scores").bounding_box()["y"] == before  # nothing jumps under a finger
    page.wait_for_selector(".score:enabled")
    served.end()
    page.locator(".score").nth(1).tap()
    page.get_by_text("Not stored: the study cannot be reached. Please try again.").wait_for()
    assert len(stored(served.study)) == 1

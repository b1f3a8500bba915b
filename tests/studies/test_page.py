"""The rater's page in a real browser: whole sessions, and pictures pixel by pixel."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srgan.mos.ratings import Preference, Rating
from srgan.services.s3 import S3Store
from tests.support.browser import CHROMIUM, Browser, Tab, run_browser
from tests.support.rater_pages import LESSONS, Open
from tests.support.studies import rendered, served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


def scores(study: Open) -> list[int]:
    return [each.score for each in study.given if isinstance(each, Rating)]


def test_a_whole_session_by_click_with_a_break_an_undo_and_double_clicks(
    ratings: Open, tab: Tab
) -> None:
    page = ratings.page(tab)
    page.open()
    page.agree_by_click()
    page.train(LESSONS)
    for done in range(9):
        page.wait_for_task(f"{done} of 9")
        tab.click(f"[data-answer='{1 + done % 5}']", times=2)
        if done in (3, 7):
            page.wait_for("rest")
            tab.click("#rest .go-on")
        if done == 5:
            page.wait_for_task("6 of 9")
            tab.click("#undo")
            page.wait_for_task("5 of 9")
            tab.click("[data-answer='5']")
    page.wait_for("done")
    tab.click("#undo-last")
    page.wait_for_task("8 of 9")
    tab.click("[data-answer='1']")
    page.wait_for("done")
    assert scores(ratings) == [1, 2, 3, 4, 5, 5, 2, 3, 1]


@pytest.mark.slow(group="studies")  # a browser
def test_a_whole_session_by_keyboard_alone(ratings: Open, tab: Tab) -> None:
    page = ratings.page(tab)
    page.open()
    for _ in range(20):
        if tab.run("document.activeElement.id") == "agreed":
            break
        tab.press("Tab")
    tab.press(" ")
    tab.press("Tab")
    tab.press("Enter")
    page.wait_for("screen")
    for key in ("4", "3", "y"):  # a select takes the option that begins so
        tab.press("Tab")
        tab.press(key)
    tab.press("Tab")
    tab.press("Enter")
    page.wait_for("judging")
    for number, key in enumerate(LESSONS, start=1):
        page.wait_for_task(f"{number} of 6")
        tab.press("3")
        assert tab.run("examples.length") == 7 - number, "only the right grade goes on"
        tab.press(key)
    for done in range(9):
        if done % 4 == 0:
            page.wait_for("rest" if done else "trained")
            tab.press("Tab")
            tab.press("Enter")
        page.wait_for_task(f"{done} of 9")
        tab.press(str(5 - done % 5))
    page.wait_for("done")
    tab.press("Backspace")
    page.wait_for_task("8 of 9")
    tab.press("1")
    page.wait_for("done")
    assert scores(ratings) == [5, 4, 3, 2, 1, 5, 4, 3, 1]


@pytest.mark.slow(group="studies")  # a browser
def test_pairs_by_arrow_keys_and_clicks(pairs: Open, tab: Tab) -> None:
    page = pairs.page(tab)
    page.open()
    page.agree_by_click()
    page.train(["left", "right", "left"])
    answers = ["left", "right", "same"] * 3
    keys = {"left": "ArrowLeft", "right": "ArrowRight", "same": "ArrowDown"}
    for done, answer in enumerate(answers):
        page.wait_for_task(f"{done} of 9")
        assert tab.run("document.querySelectorAll('#stage img').length") == 2
        if done % 2:
            tab.click(f"[data-answer='{answer}']")
        else:
            tab.press(keys[answer])
        if done in (3, 7):
            page.wait_for("rest")
            tab.click("#rest .go-on")
    page.wait_for("done")
    assert [e.choice for e in pairs.given if isinstance(e, Preference)] == answers


@pytest.mark.slow(group="studies")  # a browser
def test_pairs_stand_beside_each_other_and_are_seen_before_they_are_judged(
    object_store: S3Store, tmp_path: Path, tab: Tab
) -> None:
    study = rendered(object_store, "pairs", size=(540, 640), screen=(640, 540))
    with served(object_store, study, tmp_path) as (client, database):
        opened = Open(tmp_path, client, database)
        page = opened.page(tab)
        tab.resize(1400, 720)
        page.open()
        page.agree_by_click()
        page.train(["left", "right", "left"])
        page.wait_for_task("0 of 9")
        assert tab.run("document.getElementById('small').hidden")
        for width, height in ((1280, 720), (1280, 1300), (1080, 1920)):
            tab.resize(width, height)
            tab.wait(f"innerWidth === {width} && !document.getElementById('small').hidden")
            tops = tab.run(
                "[...document.querySelectorAll('#stage img')]"
                ".map((e) => e.getBoundingClientRect().top)"
            )
            assert tops[0] == tops[1], (width, height)
        tab.resize(1080, 1920)
        tab.run("present(state.task)")
        page.wait_for_task("0 of 9")
        tab.click("[data-answer='right']")
        tab.wait("document.getElementById('said').textContent.includes('First scroll')")
        tab.run("document.getElementById('stage').focus()")
        for _ in range(10):
            tab.press("ArrowRight")
        tab.wait("seen.every(isSeen)")
        assert opened.given == [], "arrows scroll"
        tab.click("[data-answer='right']")
        page.wait_for_task("1 of 9")
        assert [each.choice for each in opened.given] == ["right"]


@pytest.mark.slow(group="studies")  # a browser
def test_a_closed_tab_goes_on_where_it_was_and_a_second_tab_follows(
    ratings: Open, browser: Browser, tab: Tab
) -> None:
    page = ratings.page(tab)
    page.open()
    page.agree_by_click()
    page.train(LESSONS)
    page.wait_for_task("0 of 9")
    tab.press("5")
    page.wait_for_task("1 of 9")
    other_tab = browser.tab()
    other_tab.resize(1280, 800)
    other = ratings.page(other_tab)
    other.open()
    other.wait_for("back")
    assert "1 of 9" in other_tab.run("document.getElementById('back').innerText")
    for zoom, is_told in ((1, False), (1.5, True)):
        other_tab.run(
            f"Object.defineProperty(window, 'outerWidth', {{value: {zoom} * innerWidth, "
            "configurable: true}); watch(); 0"
        )
        assert other_tab.run("!document.querySelector('#back .zoomed').hidden") == is_told
    other_tab.click("#back .go-on")
    other.wait_for_task("1 of 9")
    other_tab.press("4")
    other.wait_for_task("2 of 9")
    tab.press("1")
    page.wait_for_task("2 of 9")
    tab.press("3")
    page.wait_for_task("3 of 9")
    assert scores(ratings) == [5, 4, 3]
    assert other_tab.complaints == []


@pytest.mark.slow(group="studies")  # a browser
@pytest.mark.parametrize("ratio", [1, 1.25, 2])
def test_a_pixel_of_a_picture_is_a_pixel_of_the_screen(
    ratings: Open, tmp_path: Path, ratio: float
) -> None:
    with run_browser(tmp_path / "chromium", ratio) as browser:
        tab = browser.tab()
        tab.resize(1281, 803, 0)
        page = ratings.page(tab)
        page.open()
        page.agree_by_click()
        page.train(LESSONS)
        for done in range(2):
            page.wait_for_task(f"{done} of 9")
            expected = ratings.pixels(page, tab.run("shown.pictures[0]"))
            box = tab.run(
                "(() => { const b = document.querySelector('#stage img').getBoundingClientRect();"
                "return [b.top * devicePixelRatio, b.left * devicePixelRatio]; })()"
            )
            top, left = (round(each) for each in box)
            height, width = expected.shape[:2]
            screen = np.asarray(Image.open(io.BytesIO(tab.picture())).convert("RGB"))
            found = screen[top : top + height, left : left + width]
            np.testing.assert_array_equal(found, expected)
            assert (screen[top - 2, left : left + width] == 128).all(), "mid-gray around it"
            tab.press("3")
        assert tab.run("devicePixelRatio") == ratio


@pytest.mark.slow(group="studies")  # a browser
def test_a_zoom_hides_the_picture_until_it_is_undone(ratings: Open, tab: Tab) -> None:
    page = ratings.page(tab)
    page.open()
    page.agree_by_click()
    page.train(LESSONS)
    page.wait_for_task("0 of 9")
    tab.resize(1164, 727, 1.1)
    page.wait_for("zoom")
    tab.press("3")
    assert scores(ratings) == []
    tab.run("document.querySelector('#answers button').focus()")
    assert tab.run("document.activeElement.id") == "zoom-title", "nothing behind it is reached"
    tab.resize(1280, 800, 1)
    tab.wait("document.getElementById('zoom').hidden")
    page.wait_for_task("0 of 9")
    tab.press("3")
    page.wait_for_task("1 of 9")
    tab.resize(640, 400, 2)
    page.wait_for("zoom")
    tab.click("#moved")
    page.wait_for_task("1 of 9")
    tab.press("4")
    page.wait_for_task("2 of 9")
    assert scores(ratings) == [3, 4]


@pytest.mark.slow(group="studies")  # a browser
def test_a_phone_held_sideways_shows_all_and_an_upright_one_is_asked_to_be_turned(
    object_store: S3Store, tmp_path: Path, tab: Tab
) -> None:
    study = rendered(object_store, screen=(1200, 800))
    with served(object_store, study, tmp_path) as (client, database):
        opened = Open(tmp_path, client, database)
        tab.resize(740, 360, 2, phone=True)
        page = opened.page(tab)
        page.open()
        page.agree_by_click()
        page.train(LESSONS)
        page.wait_for_task("0 of 9")
        for selector in ("#stage img", "#answers", "#undo", "#status"):
            box = tab.run(
                f"(() => {{ const b = document.querySelector('{selector}').getBoundingClientRect();"
                "return [b.top, b.left, b.bottom, b.right]; })()"
            )
            assert box[0] >= 0 <= box[1], selector
            assert (box[2] <= 360, box[3] <= 740) == (True, True), selector
        sizes = tab.run(
            "[...document.querySelectorAll('#answers button')].map((e) => e.offsetHeight)"
        )
        assert min(sizes) >= 44, "large enough for a thumb"
        assert tab.run("document.getElementById('turn').hidden")


@pytest.mark.slow(group="studies")  # a browser
def test_the_server_may_go_away_for_a_while(
    object_store: S3Store, tmp_path: Path, tab: Tab
) -> None:
    study = rendered(object_store)
    with served(object_store, study, tmp_path) as (client, database):
        opened = Open(tmp_path, client, database)
        page = opened.page(tab)
        page.open()
        page.agree_by_click()
        page.train(LESSONS)
        page.wait_for_task("0 of 9")
        tab.run("window.kept = fetch; window.fetch = () => Promise.reject(new TypeError('gone'))")
        tab.press("4")
        tab.wait("!document.getElementById('offline').hidden")
        assert scores(opened) == []
        tab.run("window.fetch = window.kept; 0")
        page.wait_for_task("1 of 9")
        assert tab.run("document.getElementById('offline').hidden")
        assert scores(opened) == [4]


@pytest.mark.slow(group="studies")  # a browser
def test_an_answer_after_days_and_answers_of_a_proxy_do_not_end_the_page(
    ratings: Open, tab: Tab
) -> None:
    page = ratings.page(tab)
    page.open()
    page.agree_by_click()
    page.train(LESSONS)
    page.wait_for_task("0 of 9")
    tab.run("shownAt -= 3 * 86400e3; 0")
    tab.press("4")
    page.wait_for_task("1 of 9")
    assert [each.seconds for each in ratings.given] == [86_400]

    def answer_as(status: int, path: str, body: str = "") -> None:
        """Have the next request of a path answered so, and the others by the server."""
        tab.run(
            "window.kept ||= fetch; window.fetch = (url, ...more) => {"
            f"if (!url.includes('{path}')) return kept(url, ...more);"
            f"window.fetch = kept; return Promise.resolve(new Response('{body}', "
            f"{{status: {status}}})); }}; fetched.clear(); 0"
        )

    login = "<p>Log in"
    answers = ((403, "/judge", ""), (200, "/judge", login), (404, "/pictures/", ""))
    for done, (status, path, body) in enumerate((*answers, (200, "/pictures/", login)), start=1):
        answer_as(status, path, body)
        tab.press("3")
        if done == 3:
            page.wait_for("rest")
            tab.click("#rest .go-on")
        tab.wait("!document.getElementById('offline').hidden")
        page.wait_for_task(f"{done + 1} of 9")
        assert tab.run("document.querySelector('#stage img').naturalWidth") == 160, (status, path)
        assert tab.run("document.getElementById('offline').hidden")
    answer_as(422, "/judge")
    tab.press("2")
    page.wait_for_task("5 of 9")
    tab.press("2")
    page.wait_for_task("6 of 9")
    assert scores(ratings) == [4, 3, 3, 3, 3, 2]


@pytest.mark.slow(group="studies")  # a browser
def test_a_rater_withdraws_on_the_page(ratings: Open, tab: Tab) -> None:
    page = ratings.page(tab)
    page.open()
    page.agree_by_click()
    page.train(LESSONS)
    page.wait_for_task("0 of 9")
    tab.press("4")
    page.wait_for_task("1 of 9")
    tab.goto(f"{page.url}/withdraw")
    tab.click("form button")
    tab.wait("document.body && document.body.innerText.includes('Everything is deleted')")
    assert ratings.given == []

"""The rater's page in a real browser: whole sessions, and pictures pixel by pixel."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from srgan.mos.ratings import Preference, Rating
from srgan.services.s3 import S3Store
from srgan.studies.database import Database
from tests.support.browser import AXE, CHROMIUM, Browser, Tab, run_browser
from tests.support.studies import rendered, served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


class Page:
    """A rater in front of a tab."""

    def __init__(self, tab: Tab, url: str) -> None:
        self.tab = tab
        self.url = url

    def open(self) -> None:
        self.tab.goto(self.url)
        self.tab.wait("[...document.querySelectorAll('main > section')].some((e) => !e.hidden)")

    def wait_for(self, section: str) -> None:
        self.tab.wait(f"!document.getElementById('{section}').hidden")

    def wait_for_task(self, status: str) -> None:
        """Until a picture is there that can be judged."""
        self.tab.wait(
            f"document.getElementById('status').textContent === {json.dumps(status)}"
            " && shown && performance.now() - shownAt > TOO_EARLY_MS"
        )

    def agree_by_click(self) -> None:
        self.wait_for("welcome")
        self.tab.click("#agreed")
        self.tab.click("#agreement button")
        self.wait_for("screen")
        self.choose({"dark-steps": "4", "bright-steps": "3", "sharp": "yes"})
        self.tab.click("#check button")
        self.wait_for("judging")

    def choose(self, values: dict[str, str]) -> None:
        for name, value in values.items():
            self.tab.run(f"document.getElementById('{name}').value = '{value}'")

    def train(self, answers: list[str]) -> None:
        for number, answer in enumerate(answers, start=1):
            self.wait_for_task(f"{number} of {len(answers)}")
            self.tab.click(f"[data-answer='{answer}']")
        self.wait_for("trained")
        self.tab.click("#trained .go-on")
        self.wait_for("judging")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with run_browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    opened = browser.tab()
    opened.resize(1280, 800)
    yield opened
    assert opened.complaints == []


class Open:
    """A served study of three images, and what its raters have given."""

    def __init__(self, folder: Path, client: httpx.Client, database: Database) -> None:
        self.folder = folder
        self.client = client
        self.database = database

    def page(self, tab: Tab, rater: int = 0) -> Page:
        token = self.database.progress()[rater].token
        return Page(tab, f"{self.client.base_url}/r/{token}".replace("//r/", "/r/"))

    def pixels(self, page: Page, picture: str) -> Any:
        """Pixels that the rater of a page should see as the picture of this id."""
        sha256 = self.database.picture(page.url.rpartition("/")[2], picture)
        assert sha256 is not None
        return np.asarray(Image.open(self.folder / "pictures" / sha256))

    @property
    def given(self) -> list[Any]:
        parts = [part for part, _ in self.database.parts(changed=True)]
        return [each for part in parts for each in part.judgements]


@pytest.fixture
def ratings(object_store: S3Store, tmp_path: Path) -> Iterator[Open]:
    study = rendered(object_store, break_after=4)
    with served(object_store, study, tmp_path) as (client, database):
        yield Open(tmp_path, client, database)


@pytest.fixture
def pairs(object_store: S3Store, tmp_path: Path) -> Iterator[Open]:
    study = rendered(object_store, "pairs", break_after=4)
    with served(object_store, study, tmp_path) as (client, database):
        yield Open(tmp_path, client, database)


LESSONS = ["1", "5"] * 3


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
    assert scores(ratings) == [1, 2, 3, 4, 5, 5, 2, 3, 4]


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
    assert scores(ratings) == [5, 4, 3, 2, 1, 5, 4, 3, 2]


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


NAMELESS = """
[...document.querySelectorAll("button, a, input, select, img, canvas, progress, [role]")]
  .filter((e) => {
    const ids = (e.getAttribute("aria-labelledby") || "").split(" ").filter((id) => id);
    const texts = [e.getAttribute("aria-label"), e.alt, e.textContent];
    texts.push(...ids.map((id) => document.getElementById(id).textContent));
    texts.push(...[...(e.labels || [])].map((label) => label.textContent));
    return e.getAttribute("role") !== "status" && !texts.some((each) => each && each.trim());
  })
  .map((e) => e.outerHTML)
"""
"""Elements that a screen reader would call by their kind alone."""


@pytest.mark.slow(group="studies")  # a browser
@pytest.mark.parametrize("language", ["en", "ko"])
def test_everything_has_a_name_for_screen_readers(ratings: Open, tab: Tab, language: str) -> None:
    page = ratings.page(tab)
    page.url += f"?lang={language}"
    page.open()
    assert tab.run("document.documentElement.lang") == language
    assert tab.run("document.activeElement.tagName") == "H1"
    page.agree_by_click()
    tab.wait("document.querySelector('#stage img')")
    assert tab.run(NAMELESS) == []
    ids = tab.run("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(set(ids)) == len(ids)


@pytest.mark.slow(group="studies")  # a browser
@pytest.mark.skipif(AXE is None, reason="needs axe-core-python, of the extra dev")
def test_axe_finds_nothing_serious_on_any_page(ratings: Open, tab: Tab) -> None:
    page = ratings.page(tab)
    found = {}

    def look(section: str) -> None:
        page.wait_for(section)
        found[section] = tab.audit()

    page.open()
    look("welcome")
    tab.click("#agreed")
    tab.click("#agreement button")
    look("screen")
    page.choose({"dark-steps": "4", "bright-steps": "3", "sharp": "yes"})
    tab.click("#check button")
    for number, answer in enumerate(LESSONS, start=1):
        page.wait_for_task(f"{number} of {len(LESSONS)}")
        look("judging")
        tab.click(f"[data-answer='{answer}']")
    look("trained")
    tab.click("#trained .go-on")
    page.wait_for_task("0 of 9")
    found["a task"] = tab.audit()
    tab.resize(1164, 727, 1.1)
    look("zoom")
    tab.resize(1280, 800, 1)
    for done in range(9):
        if done == 4:
            look("rest")
        if done in (4, 8):
            page.wait_for("rest")
            tab.click("#rest .go-on")
        page.wait_for_task(f"{done} of 9")
        tab.press("3")
    look("done")
    admin = f"{ratings.client.base_url}/admin/{ratings.database.admin_token}"
    for path in (f"{page.url}/withdraw", f"{page.url}?lang=ko", admin):
        tab.goto(path)
        found[path] = tab.audit()
    assert {name: findings for name, findings in found.items() if findings} == {}


@pytest.mark.slow(group="studies")  # a browser
@pytest.mark.skipif(AXE is None, reason="needs axe-core-python, of the extra dev")
def test_axe_finds_nothing_serious_on_a_pair_nor_on_a_phone(pairs: Open, tab: Tab) -> None:
    page = pairs.page(tab)
    page.open()
    page.agree_by_click()
    page.wait_for_task("1 of 3")
    found = tab.audit()
    tab.resize(360, 740, 2, phone=True)
    assert found + tab.audit() == []


@pytest.mark.skipif(AXE is None, reason="needs axe-core-python, of the extra dev")
@pytest.mark.slow(group="studies")  # a browser
def test_axe_finds_what_is_wrong(tab: Tab) -> None:
    tab.run("document.body.innerHTML = '<img src=\"data:,\"><button></button>'; 0")
    assert {each.partition(":")[0] for each in tab.audit()} >= {"image-alt", "button-name"}

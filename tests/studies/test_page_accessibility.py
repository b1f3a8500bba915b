"""The pages of a study for screen readers: names of everything, and what axe-core finds."""

import pytest

from tests.support.browser import AXE, CHROMIUM, Tab
from tests.support.rater_pages import LESSONS, Open

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
    pytest.mark.slow(group="studies"),  # a browser
]
needs_axe = pytest.mark.skipif(AXE is None, reason="needs axe-core-python, of the extra dev")

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


@needs_axe
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


@needs_axe
def test_axe_finds_nothing_serious_on_a_pair_nor_on_a_phone(pairs: Open, tab: Tab) -> None:
    page = pairs.page(tab)
    page.open()
    page.agree_by_click()
    page.wait_for_task("1 of 3")
    found = tab.audit()
    tab.resize(360, 740, 2, phone=True)
    assert found + tab.audit() == []


@needs_axe
def test_axe_finds_what_is_wrong(tab: Tab) -> None:
    tab.run("document.body.innerHTML = '<img src=\"data:,\"><button></button>'; 0")
    assert {each.partition(":")[0] for each in tab.audit()} >= {"image-alt", "button-name"}

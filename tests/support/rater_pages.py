"""A rater in front of a study's page, in a real browser."""

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from srgan.studies.database import Database
from tests.support.browser import Tab

LESSONS = ["1", "5"] * 3
"""Right answers of the training round."""


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
            " && shown && !isCovered() && performance.now() - shownAt > TOO_EARLY_MS"
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

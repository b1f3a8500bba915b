"""Studies that are served, and a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from srgan.services.s3 import S3Store
from tests.support.browser import Browser, Tab, run_browser
from tests.support.rater_pages import Open
from tests.support.studies import rendered, served


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

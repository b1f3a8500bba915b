"""The documentation site: built as `make docs` builds it, every link and anchor checked."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_link_and_anchor_of_the_site_leads_somewhere(site: Path) -> None:
    assert (site / "index.html").exists()


def test_the_readme_leads_to_pages_of_the_site(site: Path) -> None:
    start = (site / "index.html").read_text()
    assert 'href="shipped.html"' in start
    assert 'href="tutorial.html"' in start


def test_every_field_of_a_config_is_in_the_reference(site: Path) -> None:
    page = (site / "configs.html").read_text()
    for field in ("adversarial_share", "shuffle_buffer_bytes", "jpeg_subsampling", "max_mos_loss"):
        assert f"<code>{field}</code>" in page


def test_functions_that_users_call_are_in_the_reference(site: Path) -> None:
    assert "srgan.upscaling.load" in (site / "api.html").read_text()

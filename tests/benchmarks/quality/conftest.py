"""The laboratory that the tests of this folder share."""

from pathlib import Path

import pytest

from benchmarks.quality.training import Lab
from tests.support.photos import DrawPhoto
from tests.support.quality import build_lab


@pytest.fixture
def lab(tmp_path: Path, draw_photo: DrawPhoto) -> Lab:
    return build_lab(tmp_path, draw_photo)

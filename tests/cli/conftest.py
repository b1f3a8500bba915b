"""A folder of photos for the commands that read one."""

from pathlib import Path

import pytest
from PIL import Image

from tests.support.photos import image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos of 40×48 pixels: `one.png` and `two.bmp`."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, name in enumerate(("one.png", "two.bmp")):
        Image.fromarray(image(seed)).save(folder / name)
    return folder

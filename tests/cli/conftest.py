"""A folder of photos for the commands that read one; the commands of a registry."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from srgan.cli import app
from srgan.promotion.log import PromotionLog
from srgan.services.s3 import S3Store
from tests.support.commands import Answer
from tests.support.photos import image
from tests.support.shelf import MODEL


@pytest.fixture
def photos(tmp_path: Path, shared_decoders: None) -> Path:
    """Two photos of 40×48 pixels: `one.png` and `two.bmp`."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, name in enumerate(("one.png", "two.bmp")):
        Image.fromarray(image(seed)).save(folder / name)
    return folder


@pytest.fixture
def models(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """`models("show", "NAME")`: the command, in this process."""

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as done:
            app(["models", *arguments])
        printed = capsys.readouterr()
        return Answer(int(done.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def store(service_store: S3Store) -> S3Store:
    """The empty bucket that the commands find."""
    return service_store


@pytest.fixture
def log(store: S3Store) -> PromotionLog:
    return PromotionLog(store, MODEL)

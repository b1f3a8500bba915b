"""`srgan.load` and `srgan.upscale`, as a notebook meets them."""

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import srgan
from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, ConfigError, ImageError, RegistryError
from srgan.images import Photo
from srgan.inference.engine import Engine
from srgan.inference.ensemble import SelfEnsemble
from srgan.inference.memory import PROCESS_BYTES
from srgan.models.interchange import dump_generator
from srgan.models.interpolation import Bicubic, Nearest
from srgan.resize.arrays import resample
from srgan.settings import Settings
from tests.support.networks import InWindows, random_generator

CONFIG = GeneratorConfig(kind="msrresnet", scale=2, num_blocks=1, num_channels=4)
GENERATOR = random_generator(CONFIG)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "ours.safetensors"
    path.write_bytes(dump_generator(GENERATOR))
    return path


def drawn(*shape: int, dtype: Any = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def test_both_are_shown_to_people_who_look_around() -> None:
    assert {"load", "upscale"} <= set(dir(srgan))
    with pytest.raises(AttributeError, match="no attribute 'upscal'"):
        srgan.upscal  # noqa: B018
    assert (Path(srgan.__file__).parent / "py.typed").is_file()


def test_a_file_is_loaded_as_the_command_loads_it(weights: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.pth"
    torch.save({"params": GENERATOR.state_dict()}, theirs)
    for file in (weights, str(weights), theirs):
        network = srgan.load(file)
        assert (network.config, network.training) == (CONFIG, False)
    with pytest.raises(ConfigError, match=r"has scale 2, not 3; leave scale out"):
        srgan.load(weights, scale=3)
    (tmp_path / "text.pth").write_bytes(b"text")
    with pytest.raises(CheckpointError, match=r"text\.pth: this is neither"):
        srgan.load(tmp_path / "text.pth")
    with pytest.raises(ConfigError, match=r"no model 'lanczos'.*nearest, bilinear, bicubic, a wei"):
        srgan.load("lanczos")


def test_a_registry_that_does_not_answer_is_named_at_once() -> None:
    away = Settings(MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    with pytest.raises(RegistryError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer"):
        srgan.load("models:/leaves-x4@champion", away)
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI is not set"):
        srgan.load("models:/leaves-x4@champion", Settings(MLFLOW_TRACKING_URI=None))


def test_an_interpolation_is_loaded_by_its_name_at_any_scale() -> None:
    assert type(srgan.load("bicubic")) is Bicubic
    assert (srgan.load("bicubic").scale, srgan.load("nearest", scale=3).scale) == (4, 3)
    with pytest.raises(ConfigError, match="scale 17: bicubic takes 1 to 16"):
        srgan.load("bicubic", scale=17)


def test_a_network_says_scale_size_and_origin(weights: Path) -> None:
    assert repr(srgan.load(weights)) == (
        f"<MSRResNet ×2, 1 blocks of 4 channels, 1,259 parameters, from {weights}>"
    )
    assert repr(srgan.load("bicubic")) == "<Bicubic ×4>"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (1,), (2,), (3,), (4,)])
def test_an_array_comes_back_with_its_type_and_channels(
    channels: tuple[int, ...], dtype: Any
) -> None:
    given = drawn(9, 7, *channels, dtype=dtype)
    before = given.copy()
    result = srgan.upscale(given, "nearest", scale=3)
    assert (result.dtype, result.shape) == (given.dtype, (27, 21, *channels))
    assert type(result) is np.ndarray
    num_colours = given.reshape(9, 7, -1).shape[2]
    alpha = num_colours % 2 == 0
    colours = slice(None, num_colours - 1) if alpha else slice(None)
    one, other = given.reshape(9, 7, -1)[..., colours], result.reshape(27, 21, -1)[..., colours]
    visible = np.ones((9, 7), bool) if not alpha else given[..., -1] > 0
    np.testing.assert_array_equal(other[1::3, 1::3][visible], one[visible])
    np.testing.assert_array_equal(given, before)


def test_alpha_is_enlarged_by_bicubic_as_in_files() -> None:
    given = drawn(9, 7, 4)
    engine = Engine(Bicubic(4))
    expected = engine.upscale_photo(
        Photo(np.ascontiguousarray(given[..., :3]), np.ascontiguousarray(given[..., 3]))
    )
    result = srgan.upscale(given, "bicubic")
    np.testing.assert_array_equal(result[..., :3], expected.pixels)
    np.testing.assert_array_equal(result[..., 3], expected.alpha)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_an_image_of_pillow_keeps_its_mode_and_what_it_carries(mode: str) -> None:
    channels = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "I;16": ()}[mode]
    pixels = drawn(6, 8, *channels, dtype=np.uint16 if mode == "I;16" else np.uint8)
    image = Image.fromarray(pixels)
    image.info.update(dpi=(72, 72), icc_profile=b"profile", exif=b"Exif")
    result = srgan.upscale(image, "bicubic", scale=2)
    assert (result.mode, result.size) == (mode, (16, 12))
    assert result.info == {"dpi": (144, 144), "icc_profile": b"profile", "exif": b"Exif"}
    np.testing.assert_array_equal(
        np.asarray(result), srgan.upscale(pixels, "bicubic", scale=2), strict=True
    )


@pytest.mark.parametrize(
    ("mode", "becomes"),
    [("1", "L"), ("P", "RGB"), ("CMYK", "RGB"), ("YCbCr", "RGB"), ("RGBX", "RGB")],
)
def test_other_modes_become_the_one_that_holds_them(mode: str, becomes: str) -> None:
    image = Image.fromarray(drawn(6, 8, 3)).convert(mode)
    assert srgan.upscale(image, "nearest", scale=2).mode == becomes


def test_a_transparent_colour_becomes_alpha_and_the_image_stays_as_it_is() -> None:
    image = Image.fromarray(drawn(6, 8, 3)).convert("P")
    image.info["transparency"] = image.getpixel((0, 0))
    result = srgan.upscale(image, "nearest", scale=2)
    assert result.mode == "RGBA"
    assert result.getchannel("A").getpixel((0, 0)) == 0
    assert "transparency" not in result.info
    assert "transparency" in image.info


def test_options_are_those_of_the_command(weights: Path) -> None:
    given = drawn(40, 48, 3)
    whole = Engine(random_generator(CONFIG), tile=64).upscale(given)
    for options in ({}, {"tile": 16}, {"memory": "1.5GiB"}, {"memory": 2**30}):
        result = srgan.upscale(given, weights, precision="fp32", **options)
        np.testing.assert_array_equal(result, whole)
    ensemble = Engine(SelfEnsemble(random_generator(CONFIG)), tile=64).upscale(given)
    result = srgan.upscale(given, weights, precision="fp32", self_ensemble=True)
    np.testing.assert_array_equal(result, ensemble)
    result = srgan.upscale(given, weights, precision="fp32", size="60x")
    np.testing.assert_array_equal(result, resample(whole, 50, 60))
    with pytest.raises(ConfigError, match="scale 5: a model of scale 2 is used from 1 to 4"):
        srgan.upscale(given, weights, scale=5)
    with pytest.raises(ConfigError, match="'lots' is not a size"):
        srgan.upscale(given, weights, memory="lots")


def test_a_network_with_windows_gets_no_self_ensemble() -> None:
    given = drawn(20, 30, 3)
    assert srgan.upscale(given, InWindows()).shape == (40, 60, 3)
    with pytest.raises(ConfigError, match=r"self_ensemble: this network cuts a photo into windows"):
        srgan.upscale(given, InWindows(), self_ensemble=True)


def test_a_loaded_network_is_used_and_stays_as_it_is(weights: Path) -> None:
    network = srgan.load(weights).train()
    given = drawn(8, 9, 3)
    result = srgan.upscale(given, network, precision="fp32")
    np.testing.assert_array_equal(result, srgan.upscale(given, weights, precision="fp32"))
    assert network.training
    assert next(network.parameters()).dtype == torch.float32


def test_a_result_larger_than_the_memory_is_an_array_all_the_same() -> None:
    given = drawn(120, 100, 4)
    given[..., 3] = 255
    result = srgan.upscale(given, Nearest(4), memory=PROCESS_BYTES + 2**20, tile=64)
    assert type(result) is np.ndarray
    assert result.flags.writeable
    np.testing.assert_array_equal(result[2::4, 2::4], given)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "an array of float32; convert it to uint8"),
        (np.zeros((4, 4), bool), "an array of bool"),
        (np.zeros((4, 4, 5), np.uint8), r"shape \(4, 4, 5\); expected \(H, W\), or"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"shape \(1, 4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
        (Image.new("F", (4, 4)), "pixels of kind F cannot be read"),
    ],
)
def test_pixels_of_another_kind_are_refused_with_what_to_do(image: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        srgan.upscale(image, "bicubic")


@pytest.mark.parametrize("image", ["photo.png", torch.zeros(1, 3, 4, 4), [[1, 2], [3, 4]]])
def test_what_is_not_an_image_is_refused(image: Any) -> None:
    with pytest.raises(TypeError, match="expected an image of Pillow or a NumPy array, got "):
        srgan.upscale(image, "bicubic")


def test_arrays_of_the_other_byte_order_and_views_are_read() -> None:
    given = drawn(9, 7, 3, dtype=np.uint16)
    expected = srgan.upscale(given, "bicubic", scale=2)
    np.testing.assert_array_equal(srgan.upscale(given.astype(">u2"), "bicubic", scale=2), expected)
    turned = srgan.upscale(given[::-1], "bicubic", scale=2)
    np.testing.assert_array_equal(turned, srgan.upscale(given[::-1].copy(), "bicubic", scale=2))


def test_the_package_says_its_release() -> None:
    assert srgan.__version__ == metadata.version("srgan")

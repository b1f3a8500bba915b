import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from srgan.errors import ImageError
from srgan.images.codecs.colour_codes import profile_of

P3_RED_IN_SRGB = np.array([1.2249, -0.0421, -0.0196])
"""Linear; from the standards' matrices."""


def to_srgb(profile: bytes, colour: tuple[int, int, int]) -> tuple[int, ...]:
    image = Image.new("RGB", (1, 1), colour)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    result = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
    assert result is not None
    pixel = result.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


def linear(level: float) -> float:
    level /= 255
    return level / 12.92 if level <= 0.04045 else float(((level + 0.055) / 1.055) ** 2.4)


def level(value: float) -> float:
    value = min(max(value, 0), 1)
    return 255 * (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055)


def test_srgb_and_unknown_codes_have_no_profile() -> None:
    for codes in ((1, 13), (2, 2), (1, 1), (1, 6), (200, 13)):
        assert profile_of(*codes) is None


def test_display_p3_becomes_srgb_as_its_matrix_says() -> None:
    profile = profile_of(12, 13)
    assert profile is not None
    assert to_srgb(profile, (128, 128, 128)) == (128, 128, 128)
    mixed = linear(100) + (linear(200) - linear(100)) * P3_RED_IN_SRGB
    found = to_srgb(profile, (200, 100, 100))
    assert np.abs(np.array(found) - [level(value) for value in mixed]).max() <= 1


def test_a_gamma_is_that_of_the_profile() -> None:
    profile = profile_of(1, 4)
    assert profile is not None
    assert abs(to_srgb(profile, (60, 60, 60))[0] - level((60 / 255) ** 2.2)) <= 1
    assert profile == profile_of(1, 4)


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_refused(transfer: int) -> None:
    with pytest.raises(ImageError, match=r"^unsupported: HDR"):
        profile_of(9, transfer)

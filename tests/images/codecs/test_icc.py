"""Inks become the same colours in 8 and 16 bits, and a profile never describes other pixels."""

import io
from functools import cache

import numpy as np
import pytest
import pyvips
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from srgan.images import encode
from srgan.images.codecs.icc import from_ink
from tests.support.image_files import file, picture, read, srgb_profile

Ink = NDArray[np.uint8]


@cache
def ink_profile() -> bytes:
    """A real press profile, which comes with libvips."""
    return bytes(pyvips.Operation.call("profile_load", "cmyk"))


@cache
def gray_profile() -> bytes:
    """An sRGB profile that says it is one of gray, as far as this package reads it."""
    data = bytearray(srgb_profile())
    data[16:20] = b"GRAY"
    return bytes(data)


def ink() -> Ink:
    result = np.array(Image.fromarray(picture()).convert("CMYK"))
    result[:, :, 3] = picture()[::-1, :, 0] // 2
    return result


def as_image(values: Ink) -> Image.Image:
    height, width = values.shape[:2]
    return Image.frombytes("CMYK", (width, height), values.tobytes())


def tiff(values: NDArray[np.uint8 | np.uint16], profile: bytes | None, kind: str) -> bytes:
    target = io.BytesIO()
    tifffile.imwrite(target, values, photometric=kind, iccprofile=profile, metadata=None)
    return target.getvalue()


@pytest.mark.parametrize("with_profile", [False, True])
def test_inks_of_8_and_16_bits_become_the_same_colours(with_profile: bool) -> None:
    profile = ink_profile() if with_profile else None
    eight = read(tiff(ink(), profile, "separated"))
    sixteen = read(tiff(ink().astype(np.uint16) * 257, profile, "separated"))
    assert sixteen.is_deep
    np.testing.assert_array_equal(eight.pixels, sixteen.in_8_bits().pixels, strict=True)
    assert eight.icc_profile is None
    assert sixteen.icc_profile is None


def test_inks_become_what_little_cms_makes_of_them_by_the_perceptual_intent() -> None:
    srgb = ImageCms.createProfile("sRGB")
    theirs = ImageCms.profileToProfile(
        as_image(ink()), io.BytesIO(ink_profile()), srgb, outputMode="RGB"
    )
    assert theirs is not None
    difference = from_ink(ink(), ink_profile()).astype(int) - np.asarray(theirs)
    assert np.abs(difference).max() <= 1
    plain = from_ink(ink(), None)
    assert np.abs(plain.astype(int) - np.asarray(theirs)).max() > 20, "the profile counts"
    np.testing.assert_array_equal(plain, np.asarray(as_image(ink()).convert("RGB")))


def test_a_jpeg_of_inks_is_read_like_a_tiff_of_them() -> None:
    data = file(as_image(ink()), "jpeg", quality=100, subsampling=0, icc_profile=ink_profile())
    of_jpeg = np.asarray(Image.open(io.BytesIO(data)))
    photo = read(data)
    np.testing.assert_array_equal(
        photo.pixels, read(tiff(of_jpeg, ink_profile(), "separated")).pixels
    )
    assert (photo.icc_profile, photo.lost) == (None, ()), "the colours are those of the profile"


@pytest.mark.parametrize("share", [0, 0.0001, 0.001, 0.01])
def test_a_damaged_profile_gives_way_to_the_plain_formula(share: float) -> None:
    cut = ink_profile()[: int(len(ink_profile()) * share)]
    noise = ink_profile()[:132] + b"\xff" * 5000
    for profile in (cut, noise, srgb_profile(), srgb_profile().replace(b"RGB ", b"CMYK", 1)):
        np.testing.assert_array_equal(from_ink(ink(), profile), from_ink(ink(), None))
        assert read(tiff(ink(), profile or None, "separated")).icc_profile is None


@pytest.mark.parametrize("depth", [8, 16])
def test_colours_never_carry_a_profile_of_inks_or_gray(depth: int) -> None:
    colours = picture() if depth == 8 else picture().astype(np.uint16) * 257
    for profile in (ink_profile(), gray_profile()):
        files = [tiff(colours, profile, "rgb")]
        files += [file(picture(), kind, icc_profile=profile) for kind in ("png", "jpeg", "webp")]
        for data in files:
            photo = read(data)
            assert (photo.icc_profile, photo.lost) == (None, ("ICC profile",))
    assert read(tiff(colours, srgb_profile(), "rgb")).icc_profile == srgb_profile()


@pytest.mark.parametrize("depth", [8, 16])
def test_gray_carries_a_profile_of_gray_or_rgb_but_none_of_inks(depth: int) -> None:
    gray = picture()[:, :, 0] if depth == 8 else picture()[:, :, 0].astype(np.uint16) * 257
    for profile in (gray_profile(), srgb_profile()):
        photo = read(tiff(gray, profile, "minisblack"))
        assert photo.icc_profile == profile
        assert read(encode(photo, format="png", jpeg_quality=90)).icc_profile == profile
    assert read(tiff(gray, ink_profile(), "minisblack")).icc_profile is None


def test_a_palette_becomes_colours_and_carries_no_profile_of_gray() -> None:
    data = file(Image.fromarray(picture()).convert("P"), "png", icc_profile=gray_profile())
    assert read(data).icc_profile is None

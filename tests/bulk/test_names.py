"""Names of outputs, and which prefixes, addresses and names are refused."""

from pathlib import Path

import pytest

from srgan.bulk.names import check_prefixes, output_key, output_name
from srgan.errors import ConfigError, ImageError
from srgan.services.s3 import S3Store
from srgan.storage import prefix_of
from tests.support.plans import plan, put_photos


@pytest.mark.parametrize("destination", ["photos", "photos/", "photos/up", "photos/a/../b"])
def test_a_destination_inside_the_source_is_refused(
    object_store: S3Store, destination: str
) -> None:
    put_photos(object_store, "a.jpg")
    with pytest.raises(ConfigError, match="inside it"):
        plan(object_store, destination=destination)


def test_a_destination_beside_the_source_with_its_name_as_a_start_is_fine(
    object_store: S3Store,
) -> None:
    put_photos(object_store, "a.jpg")
    assert plan(object_store, destination="photos2").num_todo == 1


@pytest.mark.parametrize(
    ("source", "destination"), [("photos", "photos/up"), ("photos", "link"), ("link", "photos/up")]
)
def test_a_destination_that_a_link_leads_into_the_source_is_refused(
    tmp_path: Path, source: str, destination: str
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to("photos")
    with pytest.raises(ConfigError, match="inside it"):
        check_prefixes(f"{tmp_path}/{source}", f"{tmp_path}/{destination}")


@pytest.mark.parametrize("address", ["photos", "./photos", "file:///photos", "http://x/y", ""])
def test_an_address_that_is_neither_s3_nor_a_whole_path_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="neither s3://BUCKET/PREFIX nor the absolute path"):
        prefix_of(address)


def test_the_prefix_of_a_folder_is_its_whole_path() -> None:
    assert prefix_of("/a//b/../c/") == prefix_of("//a/c") == ("", "/a/c/")
    assert prefix_of("/") == ("", "/")


@pytest.mark.parametrize(
    "name",
    ["../a.jpg", "a/../../b.jpg", "/etc/a.jpg", "a//b.jpg", "./a.jpg", "a\\b.jpg", "C:/a.jpg"],
)
def test_names_that_could_leave_the_destination_are_unsafe(name: str) -> None:
    with pytest.raises(ImageError) as caught:
        output_name(name, "same")
    assert caught.value.reason == "unsafe_name"


@pytest.mark.parametrize("letter", ["\x00", "\n", "\x1b", "\x7f", "\x85"])
def test_names_with_control_characters_are_unsafe(letter: str) -> None:
    with pytest.raises(ImageError, match="control characters"):
        output_name(f"a{letter}.jpg", "png")


@pytest.mark.parametrize(
    ("name", "output_format", "expected"),
    [
        ("Ünïcode/写真 1.JPG", "png", "Ünïcode/写真 1.png"),
        ("a.tiff", "jpeg", "a.jpg"),
        ("a.jpg", "tiff", "a.tif"),
        ("a.b.c.png", "webp", "a.b.c.webp"),
        ("IMG_2024.05", "png", "IMG_2024.05.png"),
        ("no-extension", "png", "no-extension.png"),
        (".png", "jpeg", ".png.jpg"),
        ("a.jpg", "same", "a.jpg"),
    ],
)
def test_output_names_keep_everything_but_the_extension(
    name: str, output_format: str, expected: str
) -> None:
    assert output_name(name, output_format) == expected  # type: ignore[arg-type]  # parametrized


def test_an_output_key_too_long_for_s3_is_refused() -> None:
    with pytest.raises(ImageError, match="name_too_long"):
        output_key("up/", "é" * 510 + ".jpg", "same")
    assert len(output_key("up/", "a" * 1017 + ".jpg", "same")) == 1024
    with pytest.raises(ImageError, match="name_too_long"):
        output_key("up/", "a" * 1017 + ".jpg", "same", "png")


def test_an_output_name_too_long_for_a_disk_is_refused() -> None:
    assert output_key("/up/", "a" * 251 + ".jpg", "same") == "/up/" + "a" * 251 + ".jpg"
    for name, format, oversize in (
        ("a" * 252 + ".jpg", "same", "refuse"),
        ("a" * 251 + ".jpg", "same", "png"),
        ("a" * 254, "png", "refuse"),
        ("ä" * 128 + "/b.jpg", "same", "refuse"),
    ):
        with pytest.raises(ImageError, match="name longer than a disk's 255 bytes"):
            output_key("/up/", name, format, oversize)  # type: ignore[arg-type]  # strings

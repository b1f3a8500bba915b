from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srgan.errors import ConfigError, DataError, ImageError
from srgan.images import Photo, decode
from srgan.images.files import FilePlan, find_photos, plan_files, read_photo, write_photo

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(path)
    return path


def names(plan: FilePlan) -> list[str]:
    return [target.name for _, target in plan.files]


def test_photos_of_a_folder_are_found_by_stem_and_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "c.tif", ".hidden.png", "sub/d.png"):
        put(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a photo")
    (tmp_path / "folder.png").mkdir()
    assert list(find_photos(tmp_path).items()) == [
        ("a", tmp_path / "a.jpg"),
        ("b", tmp_path / "b.PNG"),
        ("c", tmp_path / "c.tif"),
        ("sub/d", tmp_path / "sub" / "d.png"),
    ]


def test_a_photo_of_a_format_that_cannot_be_read_is_not_skipped(tmp_path: Path) -> None:
    """Otherwise the figures of the other photos would pass for those of all photos."""
    put(tmp_path / "a.png"), put(tmp_path / "sub" / "b.ppm")
    assert list(find_photos(tmp_path)) == ["a", "sub/b"]
    assert names(plan_files(tmp_path, tmp_path.with_name("out"))) == ["a.png", "b.ppm.png"]


def test_an_entry_that_cannot_be_read_is_not_skipped_but_named(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("gone")
    with pytest.raises(DataError, match=r"b\.png: unreadable: a link to gone"):
        find_photos(tmp_path)
    plan = plan_files(tmp_path, tmp_path.with_name("out"))
    assert names(plan) == ["a.png"]
    assert list(plan.failed) == [tmp_path / "b.png"]


def test_a_raw_file_beside_its_jpeg_does_not_stop_the_folder(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "a.NEF").write_bytes(b"raw")
    assert names(plan_files(tmp_path / "in", tmp_path / "out")) == ["a.NEF.png", "a.png"]


def test_two_files_of_one_stem_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg"), put(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.jpg and a\.png have the same stem"):
        find_photos(tmp_path)


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no photos"):
        find_photos(tmp_path)
    with pytest.raises(DataError, match="does not exist or is not a folder"):
        find_photos(tmp_path / "nothing")


def test_results_keep_their_stem_and_never_lose_levels(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for name in ("a.png", "b.jpeg", "c.TIF", "d.bmp", "e.webp"):
        put(source / name)
    plan = plan_files(source, tmp_path / "out")
    assert names(plan) == ["a.png", "b.png", "c.TIF", "d.bmp", "e.png"]
    assert [read.name for read, _ in plan.files] == ["a.png", "b.jpeg", "c.TIF", "d.bmp", "e.webp"]


def test_one_photo_goes_into_a_folder_or_to_the_file_that_is_named(tmp_path: Path) -> None:
    photo = put(tmp_path / "a.jpg")
    (tmp_path / "named.png").mkdir()
    for destination, result in (
        ("out", "out/a.png"),
        ("b.webp", "b.webp"),
        ("b.jfif", "b.jfif"),
        ("named.png", "named.png/a.png"),
    ):
        plan = plan_files(photo, tmp_path / destination)
        assert plan.files == [(photo, tmp_path / result)]
        assert plan.in_folder == (destination != result)


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("same", ["a.png", "b.jpeg", "c.TIF", "d.bmp", "e.webp"]),
        ("jpeg", ["a.jpg", "b.jpeg", "c.jpg", "d.jpg", "e.jpg"]),
        ("tiff", ["a.tif", "b.tif", "c.TIF", "d.tif", "e.tif"]),
    ],
)
def test_results_have_the_format_that_was_chosen(
    tmp_path: Path, format: str, expected: list[str]
) -> None:
    for name in ("a.png", "b.jpeg", "c.TIF", "d.bmp", "e.webp"):
        put(tmp_path / "in" / name)
    assert names(plan_files(tmp_path / "in", tmp_path / "out", format=format)) == expected


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("same", ["NOSUFFIX", "a.jfif", "b.jpg_large", "c.psd"]),
        ("lossless", ["NOSUFFIX.png", "a.png", "b.jpg_large.png", "c.psd.png"]),
        ("jpeg", ["NOSUFFIX.jpg", "a.jfif", "b.jpg_large.jpg", "c.psd.jpg"]),
    ],
)
def test_photos_under_other_suffixes_keep_them_unless_the_format_changes(
    tmp_path: Path, format: str, expected: list[str]
) -> None:
    for name in ("NOSUFFIX", "a.jfif", "b.jpg_large", "c.psd"):
        put(tmp_path / "in" / "photo.jpg").rename(tmp_path / "in" / name)
    assert names(plan_files(tmp_path / "in", tmp_path / "out", format=format)) == expected


def test_a_file_that_is_named_must_not_contradict_the_format(tmp_path: Path) -> None:
    photo = put(tmp_path / "a.jpg")
    with pytest.raises(ConfigError, match=r"b\.webp says webp, not png; leave --format out"):
        plan_files(photo, tmp_path / "b.webp", format="png")
    assert names(plan_files(photo, tmp_path / "b.webp", format="webp")) == ["b.webp"]


def test_photos_at_any_depth_keep_their_relative_path_to_the_letter(tmp_path: Path) -> None:
    source, out = tmp_path / "Urlaub é", tmp_path / "out"
    # The second é is e and an accent: a different name, which is kept.
    found = ["a.png", "Ünter/写真 1.png", "Ünter/tief/e\u0301 b.png", "z/a.png"]
    for name in [*found, ".hidden/b.png", "z/.c.png"]:
        put(source / name)
    (source / "z" / "loop").symlink_to(source, target_is_directory=True)
    plan = plan_files(source, out)
    assert sorted(plan.files) == sorted((source / name, out / name) for name in found)


def test_two_photos_with_one_result_are_found_before_anything_is_written(tmp_path: Path) -> None:
    put(tmp_path / "in" / "deep" / "a.jpg"), put(tmp_path / "in" / "deep" / "a.png")
    with pytest.raises(DataError, match=r"a\.jpg and .*a\.png would both be written to .*a\.png"):
        plan_files(tmp_path / "in", tmp_path / "out", format="png")
    assert not (tmp_path / "out").exists()
    assert len(plan_files(tmp_path / "in", tmp_path / "out", format="same").files) == 2


def test_a_rerouted_result_never_overwrites_another(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.webp"), put(tmp_path / "in" / "a.webp.png")
    source, out = tmp_path / "in", tmp_path / "out"
    with pytest.raises(DataError, match=r"a\.webp and .*a\.webp\.png would both be written to"):
        plan_files(source, out, format="same", rerouted=".png")
    assert len(plan_files(source, out, format="same", rerouted=".tif").files) == 2


def test_a_result_in_place_of_a_format_that_is_not_written_never_overwrites_another(
    tmp_path: Path,
) -> None:
    for name in ("a.gif", "a.gif.webp", "b.jpg", "b.jpg.png"):
        put(tmp_path / "in" / name)
    source, out = tmp_path / "in", tmp_path / "out"
    with pytest.raises(DataError, match=r"a\.gif and .*a\.gif\.webp would both be written to"):
        plan_files(source, out, format="same")
    (source / "a.gif").unlink()
    assert len(plan_files(source, out, format="same").files) == 3


def test_a_photo_is_never_overwritten_by_its_result(tmp_path: Path) -> None:
    photo = put(tmp_path / "a.png")
    for destination in (tmp_path, photo):
        with pytest.raises(ConfigError, match=r"would overwrite .*a\.png"):
            plan_files(photo, destination)


@pytest.mark.parametrize("destination", ["in", "in/up", "in/../in/x", "link", "link/up"])
def test_a_destination_in_the_source_is_refused(tmp_path: Path, destination: str) -> None:
    put(tmp_path / "in" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "in", target_is_directory=True)
    with pytest.raises(ConfigError, match="results would become sources"):
        plan_files(tmp_path / "in", tmp_path / destination)


def test_a_result_that_would_land_in_the_source_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "in" / "in" / "a.png")
    with pytest.raises(ConfigError, match=r"would be .*in/a\.png, inside .*in"):
        plan_files(tmp_path / "in", tmp_path)
    assert len(plan_files(tmp_path / "in", tmp_path / "in2").files) == 1


def test_a_missing_source_and_a_file_as_the_destination_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.png")
    with pytest.raises(ConfigError, match="missing does not exist"):
        plan_files(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(ConfigError, match="is a file; the results"):
        plan_files(tmp_path / "in", put(tmp_path / "b.png"))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_a_written_photo_is_read_back_in_every_pixel(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / "new" / f"a{suffix}"
    write_photo(target, Photo(PIXELS))
    np.testing.assert_array_equal(read_photo(target).pixels, PIXELS)
    assert list(target.parent.iterdir()) == [target]


def test_a_photo_may_have_the_longest_possible_name(tmp_path: Path) -> None:
    target = tmp_path / ("ä" * 125 + ".png")
    write_photo(target, Photo(PIXELS))
    assert list(tmp_path.iterdir()) == [target]


def test_a_photo_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    alpha = np.zeros((6, 5), np.uint8)
    with pytest.raises(ImageError, match="no transparency"):
        write_photo(tmp_path / "a.bmp", Photo(PIXELS, alpha=alpha))
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file where a folder is needed")
    with pytest.raises(DataError, match=r"a/b\.png cannot be written"):
        write_photo(tmp_path / "a" / "b.png", Photo(PIXELS))
    (tmp_path / "c.png").mkdir()
    with pytest.raises(DataError, match=r"c\.png cannot be written"):
        write_photo(tmp_path / "c.png", Photo(PIXELS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c.png"]


def test_a_photo_of_16_bits_is_written_in_its_depth_and_read_in_8(tmp_path: Path) -> None:
    deep = Photo(PIXELS.astype(np.uint16) * 200)
    write_photo(tmp_path / "a.tif", deep)
    whole = decode((tmp_path / "a.tif").read_bytes(), max_pixels=100)
    np.testing.assert_array_equal(whole.pixels, deep.pixels, strict=True)
    assert read_photo(tmp_path / "a.tif").pixels.dtype == np.uint8


def test_a_file_that_cannot_be_read_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"unreadable: .*gone\.png"):
        read_photo(tmp_path / "gone.png")

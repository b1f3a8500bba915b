from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srgan.errors import DataError, ImageError
from srgan.images import Photo
from srgan.images.files import find_photos, plan_files, read_photo, write_photo

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(path)
    return path


def names(plan: list[tuple[Path, Path]]) -> list[str]:
    return [target.name for _, target in plan]


def test_photos_of_a_folder_are_found_by_stem_and_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "c.tif", ".hidden.png", "sub/d.png"):
        put(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "folder.png").mkdir()
    assert list(find_photos(tmp_path).items()) == [
        ("a", tmp_path / "a.jpg"),
        ("b", tmp_path / "b.PNG"),
        ("c", tmp_path / "c.tif"),
    ]


def test_two_files_of_one_stem_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg"), put(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.jpg and a\.png have the same stem"):
        find_photos(tmp_path)


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no photos"):
        find_photos(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        find_photos(tmp_path / "nothing")


def test_results_keep_their_stem_and_never_lose_levels(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for name in ("a.png", "b.jpeg", "c.TIF", "d.bmp", "e.webp"):
        put(source / name)
    plan = plan_files(source, tmp_path / "out")
    assert names(plan) == ["a.png", "b.png", "c.TIF", "d.bmp", "e.png"]
    assert [read.name for read, _ in plan] == ["a.png", "b.jpeg", "c.TIF", "d.bmp", "e.webp"]


def test_one_photo_goes_into_a_folder_or_to_the_file_that_is_named(tmp_path: Path) -> None:
    photo = put(tmp_path / "a.jpg")
    (tmp_path / "named.png").mkdir()
    assert plan_files(photo, tmp_path / "out") == [(photo, tmp_path / "out" / "a.png")]
    assert plan_files(photo, tmp_path / "b.webp") == [(photo, tmp_path / "b.webp")]
    assert plan_files(photo, tmp_path / "named.png") == [(photo, tmp_path / "named.png" / "a.png")]


def test_a_photo_is_never_overwritten_by_its_result(tmp_path: Path) -> None:
    photo = put(tmp_path / "a.png")
    for destination in (tmp_path, photo):
        with pytest.raises(DataError, match=r"would overwrite .*a\.png"):
            plan_files(photo, destination)
    with pytest.raises(DataError, match=r"would overwrite .*a\.png"):
        plan_files(tmp_path, tmp_path)


def test_what_is_not_there_or_no_folder_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.png")
    with pytest.raises(DataError, match="missing does not exist"):
        plan_files(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(DataError, match="is a file; the results"):
        plan_files(tmp_path / "in", put(tmp_path / "b.png"))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_a_written_photo_is_read_back_in_every_pixel(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / "new" / f"a{suffix}"
    write_photo(target, Photo(PIXELS))
    np.testing.assert_array_equal(read_photo(target).pixels, PIXELS)
    assert list(target.parent.iterdir()) == [target]


def test_a_photo_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    alpha = np.zeros((6, 5), np.uint8)
    with pytest.raises(ImageError, match="no transparency"):
        write_photo(tmp_path / "a.bmp", Photo(PIXELS, alpha=alpha))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"unreadable: .*gone\.png"):
        read_photo(tmp_path / "gone.png")

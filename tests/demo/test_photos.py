"""The demo's photographs: where they come from and what is sent to the bucket."""

from collections.abc import Callable
from pathlib import Path

import pytest

from srgan.data.crops import side
from srgan.demo import dataset_name, holding_out
from srgan.demo.photos import Synced, photos_in, shipped_photos, small_versions, sync
from srgan.errors import ConfigError
from srgan.images import decode, pixel_digest
from srgan.measure.intervals import fewest_photos
from srgan.promotion.findings import confidence_of
from srgan.recipes import demo
from srgan.services.s3 import S3Store
from tests.support.photos import DrawPhoto


def test_the_shipped_photographs_are_large_enough_and_without_stereo_twins() -> None:
    photos = shipped_photos()
    assert len(photos) == 17
    assert "motorcycle_left.png" in photos
    assert "motorcycle_right.png" not in photos
    for name, path in photos.items():
        pixels = decode(path.read_bytes(), max_pixels=10**7).pixels
        assert min(pixels.shape[:2]) >= 300, f"{name} is only {pixels.shape}"


def test_the_demo_holds_out_as_many_photographs_as_the_gate_needs() -> None:
    share = demo().data.eval_share
    photos = [decode(path.read_bytes(), max_pixels=10**7) for path in shipped_photos().values()]
    held_out = [photo for photo in photos if side(pixel_digest(photo), share) == "eval"]
    attempt = 3  # with all of its gains on all of them
    assert len(held_out) >= fewest_photos((1 - confidence_of(attempt)) / 2)
    assert len(photos) - len(held_out) >= 8, "the rest is trained on"


def test_of_many_photographs_a_smaller_share_is_held_out() -> None:
    assert holding_out(demo(), 17) == demo()
    assert holding_out(demo(), 200).data.eval_share == pytest.approx(0.06)


def test_a_folder_gives_its_images_by_relative_path_and_passes_hidden_ones_by(
    tmp_path: Path,
) -> None:
    for name in ("a.JPG", "trip/b.png", "notes.txt", ".cache/c.png", "trip/.d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    photos, num_there = photos_in(tmp_path)
    assert photos == {"a.JPG": tmp_path / "a.JPG", "trip/b.png": tmp_path / "trip" / "b.png"}
    assert num_there == 2


def test_a_folder_without_photos_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=str(tmp_path)):
        photos_in(tmp_path)


def test_only_what_changed_is_sent_and_what_is_gone_is_removed(object_store: S3Store) -> None:
    object_store.put("raw/other/x", b"not of this demo")
    assert sync(object_store, "raw/demo", {"a": b"1", "b": b"2", "c": b"3"}) == Synced(3, 0, 0)
    assert sync(object_store, "raw/demo", {"a": b"1", "b": b"X"}) == Synced(1, 1, 1)
    keys = {info.key: object_store.get(info.key) for info in object_store.list("raw/")}
    assert keys == {"raw/demo/a": b"1", "raw/demo/b": b"X", "raw/other/x": b"not of this demo"}


@pytest.mark.parametrize("name", ["mine.jpg", "a"])
def test_what_somebody_else_has_put_there_is_neither_removed_nor_replaced(
    object_store: S3Store, name: str
) -> None:
    sync(object_store, "raw/demo", {"a.png": b"1", "old.png": b"2"})
    object_store.put(f"raw/demo/{name}", b"a photo that is nowhere else")
    with pytest.raises(ConfigError, match=f"it did not put there: raw/demo/{name}. ") as refused:
        sync(object_store, "raw/demo", {"a.png": b"X", "a": b"3"})
    assert f"Move them below another prefix, such as {object_store.uri('raw/mine')}/" in str(
        refused.value
    )
    assert {info.key: object_store.get(info.key) for info in object_store.list("raw/")} == {
        "raw/demo/a.png": b"1",
        "raw/demo/old.png": b"2",
        f"raw/demo/{name}": b"a photo that is nowhere else",
    }


def test_of_many_objects_of_somebody_else_some_are_named(object_store: S3Store) -> None:
    for number in range(7):
        object_store.put(f"small/demo/{number}.jpg", b"mine")
    with pytest.raises(ConfigError, match=r"0\.jpg, .*4\.jpg and more\. "):
        sync(object_store, "small/demo", {"a": b"1"})
    assert len(list(object_store.list("small/demo/"))) == 7


def test_small_versions_are_pngs_of_at_most_160_pixels_and_skip_what_is_no_image(
    tmp_path: Path, draw_photo: DrawPhoto, encode_photo: Callable[..., bytes]
) -> None:
    paths = {}
    for number, (height, width) in enumerate([(400, 1000), (80, 96)]):
        paths[f"{number}.jpg"] = tmp_path / f"{number}.jpg"
        photo = encode_photo(draw_photo(number, height, width), "JPEG")
        paths[f"{number}.jpg"].write_bytes(photo)
    (tmp_path / "bad.png").write_bytes(b"text")
    small = small_versions({"bad.png": tmp_path / "bad.png", **paths})
    shapes = {name: decode(body, max_pixels=10**6).pixels.shape[:2] for name, body in small.items()}
    assert shapes == {"0.png": (64, 160), "1.png": (20, 24)}


def test_each_folder_has_a_dataset_name_of_its_own_that_the_bucket_takes() -> None:
    names = {dataset_name(Path(path)) for path in ("/a/Mes Photos (été)", "/b/Mes Photos (été)")}
    assert len(names) == 2
    assert all(name.startswith("mes-photos-t-") for name in names), names
    assert dataset_name(None) == "demo"

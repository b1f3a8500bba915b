"""Small images of one size that an engine computes at once, in a batch of a bulk run."""

from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest
import torch

from srgan.bulk import batch
from srgan.bulk.batch import BatchPipeline
from srgan.bulk.in_flight import InFlight
from srgan.bulk.join import Item
from srgan.bulk.run import BulkRun
from srgan.config import UpscaleConfig
from srgan.errors import DeviceError, ImageError
from srgan.images import Photo, decode
from srgan.inference.engine import Engine
from srgan.models.interpolation import Nearest
from srgan.services.folder import FolderStore
from srgan.storage import Place
from tests.support.batches import CountingEngine, png
from tests.support.bulk_runs import CHAMPION
from tests.support.gpus import pretend_gpu
from tests.support.pixels import Pixels, photo_of

WHITE = np.full((8, 8, 3), 255, np.uint8)


class Together(CountingEngine):
    """Takes photos of one size at once, and fails on one that is white."""

    def __init__(self) -> None:
        super().__init__(Engine(Nearest(2), tile=64))
        self.sizes: list[int] = []

    def together(self, photos: Sequence[Photo]) -> list[int]:
        shape = photos[0].pixels.shape
        return [index for index, photo in enumerate(photos) if photo.pixels.shape == shape]

    def upscale_photos(self, photos: Sequence[Photo]) -> list[Photo]:
        self.sizes.append(len(photos))
        return [self.upscale_photo(photo) for photo in photos]

    def upscale_photo(self, photo: Photo) -> Photo:
        if (photo.pixels == 255).all():
            raise ImageError("not_finite", "white")
        return super().upscale_photo(photo)


@pytest.fixture
def engine() -> Together:
    return Together()


@pytest.fixture
def run(tmp_path: Path) -> BulkRun:
    folders = [tmp_path / name for name in ("in", "out")]
    for folder in folders:
        folder.mkdir()
    source, destination = (Place(str(each), FolderStore(each)) for each in folders)
    return BulkRun("run", source, destination, CHAMPION, UpscaleConfig())


def put(run: BulkRun, name: str, pixels: Pixels | None) -> Item:
    key, data = f"{run.source.prefix}{name}", b"no photo" if pixels is None else png(pixels)
    token = run.source.store.put(key, data)
    output = f"{run.destination.prefix}{name}"
    return Item(key=key, token=token, size_bytes=len(data), output=output)


def in_flight(run: BulkRun, items: list[Item], photos: list[Pixels | None]) -> list[InFlight]:
    images = [InFlight.of(item, run.stamp) for item in items]
    for image, pixels in zip(images, photos, strict=True):
        image.photo = None if pixels is None else Photo(pixels)
    return images


def test_images_that_are_loaded_go_together_and_what_has_no_pixels_goes_first(
    run: BulkRun, engine: Together
) -> None:
    small, large = photo_of(8, 8), photo_of(9, 9)
    photos = [small, large, None, small, large, small]
    items = [put(run, f"{index}.png", each) for index, each in enumerate(photos)]
    images = in_flight(run, items, photos)
    loaded: SimpleQueue[InFlight] = SimpleQueue()
    for image in images:
        loaded.put(image)
    groups = BatchPipeline(run, engine, decode)._groups(loaded, len(images))
    found = [[images.index(image) for image in group] for group in groups]
    assert found == [[2], [0, 3, 5], [1, 4]]


def test_a_bad_image_among_those_at_once_costs_only_itself(run: BulkRun, engine: Together) -> None:
    photos = [photo_of(8, 8, seed=0), WHITE, photo_of(8, 8, seed=2)]
    items = [put(run, f"{index}.png", each) for index, each in enumerate(photos)]
    images = in_flight(run, items, list(photos))
    assert list(BatchPipeline(run, engine, decode)._upscaled(images)) == images
    assert engine.sizes == [3]
    for image, pixels in zip(images, photos, strict=True):
        if pixels is WHITE:
            row = image.finished_row()
            assert (row.outcome, row.reason, image.output) == ("failed", "not_finite", None)
        else:
            assert image.output is not None
            np.testing.assert_array_equal(image.output.pixels, pixels.repeat(2, 0).repeat(2, 1))
        assert image.row.upscale_s > 0


def test_images_that_fail_at_once_do_not_wait_for_each_other_where_the_disk_holds_one(
    run: BulkRun, engine: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "is_spooled", lambda photo: True, raising=False)
    monkeypatch.setattr(batch, "SPOOLED_BYTES_PER_CPU", 1)
    photos = [WHITE, *(photo_of(8, 8, seed=seed) for seed in range(5))]
    items = [put(run, f"{index}.png", each) for index, each in enumerate(photos)]
    rows = BatchPipeline(run, engine, decode).run(0, items)
    assert [row.outcome for row in rows] == ["failed", *["done"] * 5]


def test_a_pretended_gpu_that_breaks_is_not_tried_with_each_image_alone(
    run: BulkRun, engine: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(photos: Sequence[Photo]) -> list[Photo]:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    pretend_gpu(monkeypatch, broken=True)
    monkeypatch.setattr(engine, "upscale_photos", broken)
    photos = [photo_of(8, 8, seed=seed) for seed in range(2)]
    items = [put(run, f"{index}.png", each) for index, each in enumerate(photos)]
    with pytest.raises(DeviceError, match="unspecified launch failure"):
        list(BatchPipeline(run, engine, decode)._upscaled(in_flight(run, items, list(photos))))
    assert engine.seen == []


def test_a_whole_batch_has_a_row_and_an_output_for_each_key(run: BulkRun, engine: Together) -> None:
    photos: dict[str, Pixels | None] = {
        f"{index:02d}.png": photo_of(8 + index % 2, 8, seed=index) for index in range(40)
    }
    photos |= {"10.png": None, "20.png": WHITE}
    items = [put(run, name, pixels) for name, pixels in photos.items()]
    rows = BatchPipeline(run, engine, decode, num_cpus=2).run(0, items)
    assert [row.source_key for row in rows] == [item.key for item in items]
    for row, pixels in zip(rows, photos.values(), strict=True):
        if pixels is None or pixels is WHITE:
            assert row.reason == ("not_an_image" if pixels is None else "not_finite")
            continue
        assert row.outcome == "done"
        written = decode(run.destination.store.get(row.destination_key), max_pixels=10**6)
        np.testing.assert_array_equal(written.pixels, pixels.repeat(2, 0).repeat(2, 1))

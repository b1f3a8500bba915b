"""A model is not measured on what it was trained on: photos of sets, and held-out photos."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from srgan.config import DataConfig, SetConfig
from srgan.data.manifest import publish, put_table, read_latest, read_manifest, read_photos
from srgan.data.pairs import prepare_pairs
from srgan.data.prepare import prepare_dataset
from srgan.data.tables import dump_photos
from srgan.errors import DataError
from srgan.measure.overlap import TrainedOn, find_learned, refuse_overlap
from srgan.measure.sets import EvaluationSet, prepare_set
from srgan.refs import DatasetRef
from srgan.resize.arrays import imresize
from srgan.services.s3 import S3Store
from tests.support.places import place

Pixels = NDArray[np.uint8]


@pytest.fixture
def dataset(
    object_store: S3Store, draw_photo: Callable[..., Pixels], encode_photo: Callable[..., bytes]
) -> DatasetRef:
    """Ten photos, some of them held out."""
    for seed in range(10):
        object_store.put(f"raw/pets/{seed}.png", encode_photo(draw_photo(seed, 96, 128)))
    config = DataConfig(scale=4, crop_size=32, eval_share=0.3)
    return prepare_dataset(place(object_store, "raw/pets"), object_store, "pets", config)


def photo_of_side(store: S3Store, dataset: DatasetRef, split: str) -> str:
    """Key of a photo of that side."""
    photos = read_photos(store, read_manifest(store, dataset.key))
    return next(photo.name for photo in photos if photo.split == split)


def set_of(store: S3Store, *files: bytes) -> EvaluationSet:
    for number, data in enumerate(files):
        store.put(f"raw/set/{number}.png", data)
    return prepare_set(place(store, "raw/set"), store, "own", SetConfig())


def as_small_jpeg(data: bytes) -> bytes:
    buffer = BytesIO()
    Image.open(BytesIO(data)).resize((80, 60), Image.Resampling.LANCZOS).save(
        buffer, "JPEG", quality=60
    )
    return buffer.getvalue()


def test_a_set_of_other_photos_passes(
    object_store: S3Store,
    dataset: DatasetRef,
    draw_photo: Callable[..., Pixels],
    encode_photo: Callable[..., bytes],
) -> None:
    made = set_of(object_store, *(encode_photo(draw_photo(seed, 96, 128)) for seed in (50, 51)))
    assert refuse_overlap(object_store, [made], [dataset]) == []


def test_the_same_pixels_in_another_file_are_refused_with_both_names(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    trained = photo_of_side(object_store, dataset, "train")
    buffer = BytesIO()
    Image.open(BytesIO(object_store.get(trained))).save(buffer, "BMP")
    made = set_of(object_store, buffer.getvalue())
    with pytest.raises(DataError, match=rf"raw/set/0\.png and {trained} \(the same pixels\)"):
        refuse_overlap(object_store, [made], [dataset])


def test_a_photo_resized_and_compressed_is_refused_with_both_names(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    trained = photo_of_side(object_store, dataset, "train")
    made = set_of(object_store, as_small_jpeg(object_store.get(trained)))
    with pytest.raises(
        DataError, match=rf"raw/set/0\.png and {trained} \(looks the same, \d of 64 bits\)"
    ) as caught:
        refuse_overlap(object_store, [made], [dataset])
    assert "evaluation set own shows what pets version" in str(caught.value)


@pytest.mark.parametrize("turn", [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90])
def test_a_photo_mirrored_or_turned_is_refused_because_training_does_that_too(
    object_store: S3Store, dataset: DatasetRef, turn: Image.Transpose
) -> None:
    trained = photo_of_side(object_store, dataset, "train")
    buffer = BytesIO()
    Image.open(BytesIO(object_store.get(trained))).transpose(turn).save(buffer, "JPEG", quality=80)
    made = set_of(object_store, buffer.getvalue())
    with pytest.raises(DataError, match=rf"{trained} \(looks the same mirrored or turned, \d of"):
        refuse_overlap(object_store, [made], [dataset])


def test_photos_that_the_dataset_holds_out_were_not_trained_on(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    held_out = object_store.get(photo_of_side(object_store, dataset, "eval"))
    made = set_of(object_store, held_out, as_small_jpeg(held_out))
    assert refuse_overlap(object_store, [made], [dataset]) == []


def test_the_first_of_many_pairs_are_named_and_the_rest_counted(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    photos = read_photos(object_store, read_manifest(object_store, dataset.key))
    trained = [object_store.get(photo.name) for photo in photos if photo.split == "train"]
    made = set_of(object_store, *trained)
    with pytest.raises(DataError, match=rf"; and {len(trained) - 5} more\. Take those photos out"):
        refuse_overlap(object_store, [made], [dataset])


def test_a_dataset_of_an_earlier_release_is_compared_by_pixels_and_returned(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    manifest, token = read_latest(object_store, "pets")
    assert manifest is not None
    trained = object_store.get(photo_of_side(object_store, dataset, "train"))
    blind = [replace(photo, look=None) for photo in read_photos(object_store, manifest)]
    table = put_table(object_store, "pets", dump_photos(blind))
    publish(object_store, manifest.model_copy(update={"photos_table": table}), token)
    made = set_of(object_store, as_small_jpeg(trained))
    assert refuse_overlap(object_store, [made], [dataset]) == [dataset]
    made = set_of(object_store, trained)
    with pytest.raises(DataError, match="the same pixels"):
        refuse_overlap(object_store, [made], [dataset])


def test_a_set_that_shows_the_hr_photo_of_a_pair_is_refused(
    object_store: S3Store, draw_photo: Callable[..., Pixels], encode_photo: Callable[..., bytes]
) -> None:
    for seed in range(2):
        hr = draw_photo(seed, 96, 128)
        object_store.put(f"raw/hr/{seed}.png", encode_photo(hr))
        object_store.put(f"raw/lr/{seed}.png", encode_photo(imresize(hr, scale=0.25)))
    folders = place(object_store, "raw/hr"), place(object_store, "raw/lr")
    config = DataConfig(scale=4, crop_size=32)
    pairs = prepare_pairs(*folders, object_store, "phone", config)
    own = set_of(object_store, encode_photo(draw_photo(1, 96, 128)))
    found = r"raw/set/0.png and raw/hr/1.png \(the same pixels\).* run prepare-pairs again"
    with pytest.raises(DataError, match=found):
        refuse_overlap(object_store, [own], [pairs])


def prepared(store: S3Store, name: str, share: float, prefix: str = "raw/pets") -> DatasetRef:
    config = DataConfig(scale=4, crop_size=32, eval_share=share)
    return prepare_dataset(place(store, prefix), store, name, config)


def of_side(store: S3Store, dataset: DatasetRef, split: str) -> set[str]:
    photos = read_photos(store, read_manifest(store, dataset.key))
    return {photo.name for photo in photos if photo.split == split}


def test_photos_held_out_under_another_name_and_trained_on_under_the_first_are_found(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    other = prepared(object_store, "cats", 0.7)
    (learned,), gone = find_learned(object_store, other, [TrainedOn(dataset)])
    held = of_side(object_store, other, "eval")
    assert set(learned.photos) == held & of_side(object_store, dataset, "train")
    assert 0 < len(learned.photos) < learned.num_held == len(held)
    assert (learned.origin, gone) == (dataset, [])
    text = learned.by("models:/pets/3")
    assert text.startswith(
        f"{len(learned.photos)} of {len(held)} photos that dataset cats version "
        f"{other.version[:12]} holds out were trained on by models:/pets/3 (dataset pets version "
        f"{dataset.version[:12]}): raw/pets/"
    )


def test_a_photo_keeps_its_side_under_the_same_name_whatever_the_share(
    object_store: S3Store,
    dataset: DatasetRef,
    draw_photo: Callable[..., Pixels],
    encode_photo: Callable[..., bytes],
) -> None:
    for seed in range(50, 56):
        object_store.put(f"raw/pets/{seed}.png", encode_photo(draw_photo(seed, 96, 128)))
    larger = prepared(object_store, "pets", 0.9)
    assert larger.key != dataset.key
    assert of_side(object_store, larger, "eval") > of_side(object_store, dataset, "eval")
    assert find_learned(object_store, larger, [TrainedOn(dataset)]) == ([], [])


def test_a_trained_photo_that_was_removed_and_comes_back_as_held_out_is_found(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    trained = of_side(object_store, dataset, "train")
    larger = of_side(object_store, prepared(object_store, "probe", 0.9), "eval")
    name = min(trained & larger)
    data = object_store.get(name)
    object_store.delete(name)
    prepared(object_store, "pets", 0.3)
    object_store.put(name, data)
    again = prepared(object_store, "pets", 0.9)
    (learned,), _ = find_learned(object_store, again, [TrainedOn(dataset)])
    assert learned.photos == (name,)


def test_pairs_count_but_for_those_that_the_training_left_out(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    mine = [of_side(object_store, dataset, split) for split in ("eval", "train")]
    for number, name in enumerate([min(mine[0]), *sorted(mine[1])[:2]]):
        hr = np.asarray(Image.open(BytesIO(object_store.get(name))))
        buffer = BytesIO()
        Image.fromarray(imresize(hr, scale=0.25)).save(buffer, "PNG")
        object_store.put(f"raw/hr/{number}.png", object_store.get(name))
        object_store.put(f"raw/lr/{number}.png", buffer.getvalue())
    folders = place(object_store, "raw/hr"), place(object_store, "raw/lr")
    pairs = prepare_pairs(*folders, object_store, "phone", DataConfig(scale=4, crop_size=32))
    both = TrainedOn(dataset, pairs)
    assert find_learned(object_store, dataset, [both]) == ([], []), "the training held them out"
    shown = min(mine[0])
    one = prepared(object_store, "one", 0.5, prefix="raw/hr")
    held = {object_store.get(name) for name in of_side(object_store, one, "eval")}
    found, _ = find_learned(object_store, one, [TrainedOn(dataset, pairs)])
    learned = {object_store.get(name) for each in found for name in each.photos}
    assert learned == held - {object_store.get(shown)}


def test_a_dataset_version_that_is_gone_is_named(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    other = prepared(object_store, "cats", 0.7)
    object_store.delete(dataset.key)
    assert find_learned(object_store, other, [TrainedOn(dataset)]) == ([], [dataset])

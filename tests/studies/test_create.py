"""Rendering a study: what is in the bucket, and that nothing in a file tells its method."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from srgan.config import SetConfig
from srgan.errors import ConfigError, DataError
from srgan.keys import study_picture_key
from srgan.measure.sets import prepare_set
from srgan.services.s3 import S3Store
from srgan.studies.create import Subject, create_study
from srgan.studies.design import StudyDesign, read_design
from tests.support.places import place
from tests.support.studies import asked, makers, photo_set, rendered


def pixels(store: S3Store, study: StudyDesign, picture: str) -> np.ndarray:
    data = store.get(study_picture_key(study.name, picture))
    return np.asarray(Image.open(io.BytesIO(data)))


def test_every_image_is_rendered_once_by_every_method_and_the_anchors_are_the_examples(
    object_store: S3Store,
) -> None:
    study = rendered(object_store)
    assert read_design(object_store, "spring") == study
    assert study.method_names == ["nearest", "dark", "original"]
    assert study.judgements_per_rater == 9
    for image in study.images:
        original = pixels(object_store, study, image.pictures["original"])
        assert original.shape == (image.height, image.width, 3) == (120, 160, 3)
        np.testing.assert_array_equal(
            pixels(object_store, study, image.pictures["dark"]), original // 2
        )
    assert {tuple(each.pictures) for each in study.examples} == {("nearest", "original")}


def test_files_of_an_image_are_equal_in_length_header_and_chunks(object_store: S3Store) -> None:
    study = rendered(object_store)
    for image in (*study.images, *study.examples):
        files = [object_store.get(study_picture_key("spring", p)) for p in image.pictures.values()]
        assert len({len(each) for each in files}) == 1
        assert len({each[:33] for each in files}) == 1
        assert len({_chunks(each) for each in files}) == 1
        compressed = [len(zlib.compress(each)) for each in files]
        assert max(compressed) - min(compressed) < 0.05 * len(files[0]), "also behind a proxy"


def _chunks(data: bytes) -> tuple[bytes, ...]:
    kinds, begin = [], 8
    while begin < len(data):
        kinds.append(data[begin + 4 : begin + 8])
        begin += 12 + int.from_bytes(data[begin : begin + 4], "big")
    return tuple(dict.fromkeys(kinds))


def test_a_photo_larger_than_the_screen_is_cut_where_the_methods_differ_most(
    object_store: S3Store,
) -> None:
    def spotted(subject: Subject) -> np.ndarray:
        result = subject.hr.copy()
        result[80:100, 100:130] ^= 255
        return result

    on = photo_set(object_store, seeds=(1,))
    methods = makers("nearest", "original")
    methods["spotted"] = (methods["original"][0].model_copy(update={"name": "spotted"}), spotted)
    small = asked(screen=(64, 48))
    study = create_study(object_store, small, on, methods, on, lambda done, total: None)
    crop = study.images[0].crop
    assert crop is not None
    assert (study.images[0].width, study.images[0].height) == (64, 48)
    assert crop.top <= 80
    assert crop.top + 48 >= 100
    assert crop.left <= 100
    assert crop.left + 64 >= 130
    assert crop.difference > 2 * crop.photo_difference > 0
    shown = pixels(object_store, study, study.images[0].pictures["original"])
    assert shown.shape == (48, 64, 3)


def test_where_only_the_low_anchor_differs_is_not_where_the_methods_differ(
    object_store: S3Store,
) -> None:
    photo = np.full((120, 160, 3), 128, np.uint8)
    photo[:, :64] = 255 * (np.indices((120, 64)).sum(axis=0) % 2)[..., None]
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    object_store.put("raw/own/1.png", file.getvalue())
    on = prepare_set(place(object_store, "raw/own"), object_store, "own", SetConfig())

    def spotted(subject: Subject) -> np.ndarray:
        result = subject.hr.copy()
        result[80:100, 100:130] += 12
        return result

    methods = makers("nearest", "original")
    methods["spotted"] = (methods["original"][0].model_copy(update={"name": "spotted"}), spotted)
    small = asked(screen=(64, 48))
    study = create_study(object_store, small, on, methods, on, lambda done, total: None)
    crop = study.images[0].crop
    assert crop is not None
    assert crop.left + 64 >= 130
    assert crop.top + 48 >= 100


def test_a_study_is_never_changed(object_store: S3Store) -> None:
    rendered(object_store)
    with pytest.raises(ConfigError, match="there is a study 'spring' already"):
        rendered(object_store)


def test_a_repeated_command_finds_the_pictures_of_the_one_that_was_interrupted(
    object_store: S3Store,
) -> None:
    study = rendered(object_store)
    object_store.delete("studies/spring/study.json")
    assert set(rendered(object_store).pictures) == set(study.pictures)


def test_what_cannot_be_a_study_is_refused_before_anything_is_rendered(
    object_store: S3Store,
) -> None:
    on = photo_set(object_store, seeds=(1,))

    def create(methods: tuple[str, ...], **changed: object) -> None:
        create_study(
            object_store,
            asked(**changed),  # type: ignore[arg-type]
            on,
            makers(*methods),
            on,
            lambda done, total: None,
        )

    with pytest.raises(ConfigError, match="compares at least 3"):
        create(("nearest", "original"))
    with pytest.raises(ConfigError, match="compares at least 2"):
        create(("dark",), judging="pairs")
    with pytest.raises(ConfigError, match="sees all 3 methods of an image"):
        create(("nearest", "dark", "original"), judgements_per_rater=2)
    with pytest.raises(ConfigError, match="'Spring time' cannot name a study"):
        create(("nearest", "dark", "original"), name="Spring time")
    assert list(object_store.list("studies/")) == []


def test_a_result_of_another_size_is_named(object_store: S3Store) -> None:
    on = photo_set(object_store, seeds=(1,))
    methods = makers("nearest", "original")
    methods["small"] = (methods["original"][0], lambda subject: subject.lr)
    with pytest.raises(DataError, match=r"small on raw/own/1.png has 40×30 pixels, the original"):
        create_study(object_store, asked(), on, methods, on, lambda done, total: None)


def test_a_rater_sees_whole_images_and_pairs_are_as_many_as_there_are(
    object_store: S3Store,
) -> None:
    some = rendered(object_store, judgements_per_rater=7)
    assert some.judgements_per_rater == 6
    pairs = rendered(object_store, "pairs", name="autumn", judgements_per_rater=1000)
    assert pairs.judgements_per_rater == 3 * 3

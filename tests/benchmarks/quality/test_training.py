"""Trainings of the comparison: photos that they may see, and trainings that resume."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.quality.photos import (
    Pair,
    claim,
    hold_out,
    open_set,
    open_training_crops,
    pair_of,
    pictures_of,
    training_photos,
)
from benchmarks.quality.training import CURVE, GENERATOR, Lab, train
from srgan.errors import ConfigError, DataError
from srgan.images import Photo
from tests.support.photos import DrawPhoto
from tests.support.quality import DATA, SIDE, contestant, gan


class Breaking(list[Pair]):
    """A set that can be read once; the next time it raises, like a process that is killed."""

    def __iter__(self) -> Iterator[Pair]:
        if hasattr(self, "seen"):
            raise RuntimeError("stopped")
        self.seen = True
        return super().__iter__()


def test_an_interrupted_training_goes_on_and_ends_with_the_same_bytes(
    lab: Lab, tmp_path: Path
) -> None:
    train(lab, contestant())
    elsewhere = Lab(tmp_path / "elsewhere", lab.photos, Breaking(lab.watched), lab.weights)
    with pytest.raises(RuntimeError, match="stopped"):
        train(elsewhere, contestant())
    assert not elsewhere.is_trained(contestant())
    elsewhere.watched = lab.watched
    train(elsewhere, contestant())
    for file in (GENERATOR, CURVE):
        whole, resumed = (each.folder(contestant()) / file for each in (lab, elsewhere))
        assert whole.read_bytes() == resumed.read_bytes(), file


def test_what_is_trained_is_not_trained_again_and_another_recipe_is_another_training(
    lab: Lab,
) -> None:
    train(lab, contestant())
    lab.watched = Breaking(lab.watched)
    lab.watched.seen = True  # any further validation would raise
    train(lab, contestant())
    assert contestant(seed=1).folder != contestant().folder


def test_a_gan_whose_start_is_not_trained_says_what_to_do(lab: Lab) -> None:
    with pytest.raises(ConfigError, match=r"fast is not trained yet.*--only.*--start"):
        train(lab, gan("SRGAN-MSE"))
    assert not list(lab.out.iterdir()), "nothing is left of it"


def test_the_shrunk_photos_are_cut_too(lab: Lab) -> None:
    crops = open_training_crops(lab.photos, lab.out, DATA)
    assert len(crops) == 3 * (4 + 4)
    assert list(crops.photo_of) == [0] * 8 + [1] * 8 + [2] * 8


def test_photos_that_show_an_evaluation_image_are_not_trained_on(
    lab: Lab, draw_photo: DrawPhoto
) -> None:
    folder = lab.photos[0].parent
    held = Image.fromarray(draw_photo(11, height=SIDE, width=SIDE))
    held.resize((160, 160), Image.Resampling.LANCZOS).transpose(
        Image.Transpose.FLIP_LEFT_RIGHT
    ).save(folder / "copy.jpg", quality=80)
    photos, seen = training_photos(folder, lab.watched)
    assert photos == lab.photos
    assert [(each.held, each.trained, each.turned) for each in seen] == [("11", "copy.jpg", True)]


def test_images_of_two_sets_that_show_one_picture_are_found(draw_photo: DrawPhoto) -> None:
    def pair(name: str, pixels: NDArray[np.uint8]) -> Pair:
        return pair_of(name, Photo(pixels=pixels, format="PNG"))

    head, other = (draw_photo(seed, height=SIDE, width=SIDE) for seed in (1, 2))
    cropped = np.ascontiguousarray(head[2:-2, 2:-2, ::-1][:, ::-1])
    gray = np.full((SIDE, SIDE, 3), 128, np.uint8)
    sets = {
        "Set5": [pair("head", head), pair("gray", gray)],
        "Set14": [pair("face", cropped), pair("zebra", other), pair("fog", gray)],
    }
    assert pictures_of(sets) == {
        "Set5/head": "Set5/head",
        "Set5/gray": "Set5/gray",
        "Set14/face": "Set5/head",
        "Set14/zebra": "Set14/zebra",
        "Set14/fog": "Set14/fog",  # flat: nothing tells such pictures apart
    }


def test_choices_are_made_on_photos_that_no_training_sees(lab: Lab) -> None:
    trained, held = hold_out(lab.photos, 2)
    assert len(trained) == 1
    assert {pair.name for pair in held} == {path.stem for path in lab.photos} - {trained[0].stem}
    assert [pair.lr.pixels.shape[:2] for pair in held] == [(24, 24)] * 2
    assert hold_out(lab.photos[::-1], 2)[0] == trained, "the order of the files decides nothing"
    with pytest.raises(DataError, match="3 photos leave none"):
        hold_out(lab.photos, 3)


def test_trainings_on_other_photos_want_a_folder_of_their_own(lab: Lab) -> None:
    claim(lab.out, lab.photos)
    claim(lab.out, lab.photos)
    del lab.photos[0]
    with pytest.raises(ConfigError, match="holds trainings on other photos"):
        claim(lab.out, lab.photos)


def test_a_set_whose_images_have_no_partner_is_refused(tmp_path: Path, lab: Lab) -> None:
    folder = tmp_path / "Set5"
    (folder / "LRx4").mkdir()
    Image.new("RGB", (24, 24)).save(folder / "LRx4" / "other.png")
    with pytest.raises(DataError, match="do not hold the same images"):
        open_set(folder)

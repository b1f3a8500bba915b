"""Inputs that fit a recipe, and those that do not: pairs, judges, evaluation sets."""

import logging
import re
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from flows.support import inputs
from srgan.config import DataConfig, GateConfig, Recipe, SetConfig
from srgan.config.networks import FeatureNetwork
from srgan.data.pairs import prepare_pairs
from srgan.data.prepare import prepare_dataset
from srgan.errors import ConfigError, DataError
from srgan.measure.sets import prepare_paired_set
from srgan.models.weights import publish_weights
from srgan.promotion.teachers import training_of_recipe
from srgan.recipes import get_recipe, tiny
from srgan.refs import DatasetRef, ModelRef
from srgan.resize.arrays import imresize
from srgan.services.s3 import S3Store
from tests.support.places import place


@pytest.fixture
def store(
    object_store: S3Store,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> S3Store:
    """A bucket with two pairs of photos."""
    for seed in range(2):
        hr = draw_photo(seed, 96, 128)
        object_store.put(f"hr/{seed}.png", encode_photo(hr))
        object_store.put(f"lr/{seed}.png", encode_photo(imresize(hr, scale=0.25)))
    services = SimpleNamespace(store=object_store)
    monkeypatch.setattr(inputs, "open_services", lambda: services)
    return object_store


def cut(store: S3Store, crop_size: int = 64) -> None:
    folders = place(store, "hr"), place(store, "lr")
    prepare_pairs(*folders, store, "phone", DataConfig(scale=4, crop_size=crop_size))


def paired(**change: object) -> Recipe:
    recipe = tiny().model_dump()
    recipe["pretrain"] |= {"pair_share": 0.5, **change}
    return Recipe.model_validate({**recipe, "pairs": "phone"})


def test_the_newest_version_of_the_recipes_pairs_is_found(store: S3Store) -> None:
    cut(store)
    found = inputs.find_pairs.fn(paired())
    assert found is not None
    assert (found.dataset, found.num_train_photos) == ("phone", 2)
    assert inputs.find_pairs.fn(tiny()) is None


def test_pairs_that_do_not_fit_the_recipe_are_refused_before_anything_trains(
    store: S3Store,
) -> None:
    with pytest.raises(DataError, match=r"no dataset 'phone'.*prepare-pairs"):
        inputs.find_pairs.fn(paired())
    cut(store, crop_size=32)
    with pytest.raises(ConfigError, match=r"patch_size 48 exceeds the crops of 'phone', 32"):
        inputs.find_pairs.fn(paired())
    photos = paired().model_copy(update={"pairs": "plain"})
    prepare_dataset(place(store, "hr"), store, "plain", DataConfig(scale=4, crop_size=64))
    with pytest.raises(ConfigError, match="pairs: dataset 'plain' holds photos without LR"):
        inputs.find_pairs.fn(photos)
    larger = paired().model_copy(update={"data": DataConfig(scale=2, crop_size=64)})
    with pytest.raises(ConfigError, match=r"has scale 4, data.scale is 2"):
        inputs.find_pairs.fn(larger)


def test_an_evaluation_set_of_pairs_of_another_scale_is_refused_before_anything_trains(
    store: S3Store,
) -> None:
    folders = place(store, "hr"), place(store, "lr")
    made = prepare_paired_set(*folders, 4, store, "phone", SetConfig())
    assert inputs.find_sets.fn(("phone",), 4) == (made.ref,)
    with pytest.raises(ConfigError, match=r"'phone' holds pairs of scale 4, and .* at scale 2"):
        inputs.find_sets.fn(("phone",), 2)


def test_judges_that_could_not_be_measured_are_refused_before_the_training(store: S3Store) -> None:
    def judged_by(*names: str) -> Recipe:
        return tiny().model_copy(update={"gate": GateConfig(judges=names)})

    inputs.check_named_judges.fn(judged_by("niqe"))
    with pytest.raises(ConfigError, match=r"no judge 'vgg_distance'; there are efficientnet"):
        inputs.check_named_judges.fn(judged_by("vgg_distance"))
    with pytest.raises(ConfigError, match=r"vgg19_distance needs .* `srgan weights mirror vgg19`"):
        inputs.check_named_judges.fn(judged_by("niqe", "vgg19_distance"))
    publish_weights(store, "vgg19", b"weights", "here")
    inputs.check_named_judges.fn(judged_by("vgg19_distance"))


CHAMPION = ModelRef(name="m", version=1, run="unknown", weights_digest="ab" * 32)
"""Trained elsewhere, so beyond pixels."""


def test_a_judge_that_the_gate_names_and_that_taught_is_found_before_the_training(
    store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks: list[FeatureNetwork] = ["efficientnet_lite0", "efficientnet_lite1"]
    for network in networks:
        publish_weights(store, network, b"weights", "here")
    taught = get_recipe("demo")  # by EfficientNet-Lite0
    inputs.check_judges.fn(CHAMPION, taught)
    gate = GateConfig(judges=("efficientnet_lite0_distance",))
    problem = r"gate\.judges names \(efficientnet_lite0_distance\)"
    with pytest.raises(ConfigError, match=problem):
        inputs.check_judges.fn(CHAMPION, taught.model_copy(update={"gate": gate}))
    # The same of a version, which has its gate with it.
    monkeypatch.setattr(inputs, "training_of", lambda *_: training_of_recipe(taught))
    registry = SimpleNamespace(record=lambda _: SimpleNamespace(gate=gate))
    services = SimpleNamespace(store=store, registry=registry)
    monkeypatch.setattr(inputs, "open_services", lambda: services)
    with pytest.raises(ConfigError, match=f"version 2 and champion version 1 of m .*{problem}"):
        inputs.check_judges.fn(CHAMPION, CHAMPION.model_copy(update={"version": 2}))


def test_niqe_may_judge_alone_where_nothing_is_mirrored(store: S3Store) -> None:
    recipe = tiny().model_copy(update={"gate": GateConfig(judges=("niqe",))})
    inputs.check_judges.fn(CHAMPION, recipe)


def test_held_out_photos_that_a_version_has_learned_are_refused_or_told_if_sets_decide(
    store: S3Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
) -> None:
    for seed in range(2, 8):
        store.put(f"hr/{seed}.png", encode_photo(draw_photo(seed, 96, 128)))

    def prepared(name: str, share: float) -> DatasetRef:
        config = DataConfig(scale=4, crop_size=32, eval_share=share)
        return prepare_dataset(place(store, "hr"), store, name, config)

    first, other = prepared("pets", 0.1), prepared("cats", 0.5)
    ancestors: list[str] = []

    def ancestry(ref: ModelRef) -> tuple[list[SimpleNamespace], str | None]:
        imported = SimpleNamespace(dataset=None, pairs=None)
        trained = SimpleNamespace(dataset=first, pairs=None)
        return [imported, trained], ancestors[0] if ancestors else None

    services = SimpleNamespace(store=store, registry=SimpleNamespace(ancestry=ancestry))
    monkeypatch.setattr(inputs, "open_services", lambda: services)
    monkeypatch.setattr(inputs, "get_run_logger", lambda: logging.getLogger("flow-run"))
    inputs.check_held_out.fn(first, [CHAMPION], decides=True)
    found = r"photos that dataset cats version \w+ holds out were trained on by models:/m/1"
    with pytest.raises(DataError, match=rf"{found} .*begin another model, or decide on .*sets\)"):
        inputs.check_held_out.fn(other, [CHAMPION], decides=True)
    assert not caplog.records
    inputs.check_held_out.fn(other, [CHAMPION], decides=False)
    assert re.search(found, caplog.text)
    ancestors.append("models:/m/7")
    caplog.clear()
    inputs.check_held_out.fn(first, [CHAMPION], decides=True)
    assert "models:/m/1 was made from models:/m/7, which is gone: whether" in caplog.text

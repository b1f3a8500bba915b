"""Named recipes: complete, valid, and the paper's where they say so."""

import inspect
from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from srgan.config import (
    FeatureContentConfig,
    MseContentConfig,
    PretrainConfig,
    Recipe,
    SetConfig,
    UpscaleConfig,
)
from srgan.errors import ConfigError
from srgan.recipes import RECIPES, get_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_its_json_under_its_own_name(name: str) -> None:
    recipe = get_recipe(name)
    assert recipe.name == name
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


PAPER = [
    # recipe, loss of the first stage, content of the second
    ("srresnet_mse_x4", "mse", None),
    ("srresnet_vgg22_x4", "vgg22", None),
    ("srgan_mse_x4", "mse", "mse"),
    ("srgan_vgg22_x4", "mse", "vgg22"),
    ("srgan_vgg54_x4", "mse", "vgg54"),
]


@pytest.mark.parametrize(("name", "loss", "content"), PAPER)
def test_the_papers_variants_have_its_schedule(name: str, loss: str, content: str | None) -> None:
    recipe = get_recipe(name)
    first, second = recipe.pretrain, recipe.adversarial
    assert (first.steps, first.batch_size, first.patch_size) == (1_000_000, 16, 96)
    assert (first.learning_rate.peak, first.learning_rate.decay) == (1e-4, "none")
    assert first.generator.kind == "srresnet"
    assert named(first.loss) == loss
    assert (second and named(second.content)) == content
    if second:
        assert (second.steps, second.largest_weight) == (200_000, 1e-3)
        assert (second.learning_rate.peak, second.learning_rate.decay) == (1e-4, "tenth_at_half")


@pytest.mark.parametrize("name", sorted(RECIPES.keys() - {each for each, _, _ in PAPER}))
def test_a_recipe_of_ours_never_learns_from_features_alone(name: str) -> None:
    """Deep features do not see a fine grid."""
    stage = get_recipe(name).adversarial
    assert stage is not None
    if isinstance(stage.content, FeatureContentConfig):
        assert stage.content.pixel_weight > 0
        assert stage.grid_weight > 0


def test_a_share_in_a_recipe_as_json_is_not_held_down_by_the_papers_weight() -> None:
    recipe = get_recipe("real_x4").model_dump(mode="json")
    recipe["adversarial"]["adversarial_share"] = 0.3
    found = Recipe.model_validate(recipe).adversarial
    assert found is not None
    assert found.largest_weight == 1.0
    recipe["adversarial"]["adversarial_weight"] = 0.01
    both = Recipe.model_validate(recipe).adversarial
    assert both is not None
    assert both.largest_weight == 0.01


def test_only_srresnet_vgg22_has_the_total_variation_of_section_3_4() -> None:
    found = {}
    for name in RECIPES:
        recipe = get_recipe(name)
        for content in (recipe.pretrain.loss, recipe.adversarial and recipe.adversarial.content):
            if isinstance(content, FeatureContentConfig) and content.total_variation_weight:
                found[name] = content.total_variation_weight
    assert found == {"srresnet_vgg22_x4": 2e-8}


@pytest.mark.parametrize("name", sorted(RECIPES.keys() - {"tiny", "demo"}))
def test_crops_are_large_enough_for_windows_at_many_places(name: str) -> None:
    recipe = get_recipe(name)
    margin = recipe.pretrain.degradation.margin(recipe.data.scale)
    places = recipe.data.crop_size - recipe.pretrain.patch_size - 2 * margin + 1
    assert places > 80, "at 128 there were 17 a side, which is 4 % of a small photo's"


def named(loss: str | MseContentConfig | FeatureContentConfig) -> str:
    if isinstance(loss, FeatureContentConfig):
        assert (loss.network, loss.feature_scale) == ("vgg19", 1 / 12.75)
        assert loss.weights == "dcbb9e9d"
        return loss.layer
    return loss if isinstance(loss, str) else loss.kind


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="srgan_vgg54_x4"):
        get_recipe("srgan")


FEATURES = {
    "kind": "features",
    "network": "vgg19",
    "layer": "vgg54",
    "feature_scale": 0.1,
    "weights": "dcbb9e9d",
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": "vgg99"}, "vgg19 has no layer 'vgg99'; there are: vgg11, vgg12, vgg21"),
        ({"layer": "fire5"}, "vgg19 has no layer 'fire5'"),
        ({"network": "resnet"}, "efficientnet_lite1.*squeezenet1_1.*vgg19"),
        ({"weights": "vgg19.pth"}, "weights"),
        ({"feature_scale": 0}, "feature_scale"),
    ],
)
def test_a_content_loss_that_does_not_exist_fails_at_submit(
    change: dict[str, object], message: str
) -> None:
    stage = {"generator": {}, "steps": 1, "loss": {**FEATURES, **change}}
    with pytest.raises(ValidationError, match=message):
        PretrainConfig.model_validate(stage)


def test_patches_too_small_for_the_features_fail_at_submit() -> None:
    with pytest.raises(ValidationError, match="patch_size 16 is too small for features of vgg19"):
        PretrainConfig.model_validate(
            {"generator": {}, "steps": 1, "patch_size": 16, "loss": FEATURES}
        )


def test_the_recipe_for_photographs_is_decided_on_degraded_ones() -> None:
    assert get_recipe("real_x4").gate.sets == ("degraded",)


def test_patches_that_leave_no_room_for_the_degradation_fail_at_submit() -> None:
    recipe = get_recipe("real_x4").model_dump(mode="json")
    fits = Recipe.model_validate({**recipe, "data": {**recipe["data"], "crop_size": 248}})
    assert fits.pretrain.degradation.margin(4) == 76
    with pytest.raises(
        ValidationError, match=r"pretrain.patch_size 96 .* margin of 76 .* data.crop_size 244"
    ):
        Recipe.model_validate({**recipe, "data": {**recipe["data"], "crop_size": 244}})


@pytest.mark.parametrize(
    ("pairs", "share", "message"),
    [
        (None, 0.5, "adversarial.pair_share needs `pairs`"),
        ("phone", 0.0, "pairs 'phone' are used by no stage"),
        ("phone", 0.01, "pair_share 0.01 of batch_size 16 is less than half a pair"),
        ("phone", 1.5, "less than or equal to 1"),
    ],
)
def test_pairs_without_a_share_and_a_share_without_pairs_fail_at_submit(
    pairs: str | None, share: float, message: str
) -> None:
    recipe = get_recipe("real_x4").model_dump(mode="json")
    recipe["adversarial"]["pair_share"] = share
    with pytest.raises(ValidationError, match=message):
        Recipe.model_validate({**recipe, "pairs": pairs})


def test_a_share_is_rounded_to_whole_pairs() -> None:
    shares = {share: _paired(share).num_pairs for share in (0.0, 0.25, 0.3, 1.0)}
    assert shares == {0.0: 0, 0.25: 4, 0.3: 5, 1.0: 16}


def _paired(share: float) -> PretrainConfig:
    return PretrainConfig.model_validate({"generator": {}, "steps": 10, "pair_share": share})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": {"peak": float("inf")}}, "finite number"),
        ({"gradient_clip": float("inf")}, "finite number"),
        ({"learning_rate": {"warmup_steps": 10}}, "warmup_steps 10 leaves none of 10 steps"),
    ],
)
def test_a_schedule_that_cannot_be_followed_fails_at_submit(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        PretrainConfig.model_validate({"generator": {}, "steps": 10, **change})


@pytest.mark.parametrize(
    "gate", [{"max_psnr": 1}, {"max_psnr_loss_db": -1}, {"max_distance_ratio": 0.9}]
)
def test_a_gate_with_unknown_keys_or_impossible_margins_fails_at_submit(
    gate: dict[str, float],
) -> None:
    (name,) = gate
    recipe = get_recipe("tiny").model_dump(mode="json")
    with pytest.raises(ValidationError, match=rf"gate\.{name}"):
        Recipe.model_validate({**recipe, "gate": gate})


def test_every_field_is_described_because_forms_and_reference_show_that() -> None:
    found = [top for model in (Recipe, SetConfig, UpscaleConfig) for top in _models(model)]
    missing = [
        f"{model.__name__}.{name}"
        for model in found
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert len(found) > 15
    assert not missing, "write a docstring below each"


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for kind in _held(field.annotation):
            yield from _models(kind)


def _held(annotation: object) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _held(each)

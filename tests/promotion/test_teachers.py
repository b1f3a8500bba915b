"""Training of contestants, and the judges that taught them."""

import pytest

from srgan.config import AdversarialConfig, FeatureContentConfig, GateConfig, PretrainConfig
from srgan.config.networks import DISTANCES, FeatureNetwork
from srgan.errors import ConfigError
from srgan.models.weights import find_judges, publish_weights
from srgan.promotion.gate import verdict_of
from srgan.promotion.teachers import (
    Training,
    fair_judges,
    refuse_without_judge,
    trained_on_judge,
    training_of,
    training_of_recipe,
    trainings,
)
from srgan.recipes import get_recipe
from srgan.refs import CheckpointRef, ModelRef
from srgan.services.s3 import S3Store
from srgan.train.checkpoint import CheckpointManifest, CheckpointWriter, read_manifest
from tests.support.checkpoints import manifest, parts
from tests.support.reports import gans
from tests.support.stages import adversarial, pretrain

FEATURES = FeatureContentConfig(
    network="squeezenet1_1", layer="fire2", feature_scale=0.1, weights="00000000"
)
JUDGES: dict[FeatureNetwork, str] = {"squeezenet1_1": "0" * 64, "vgg19": "1" * 64}


def save(store: S3Store, run: str, config: PretrainConfig | AdversarialConfig) -> CheckpointRef:
    saved: CheckpointManifest = manifest(8, final=True).model_copy(
        update={"run": run, "stage": config.stage, "config": config.model_dump(mode="json")}
    )
    with CheckpointWriter(store) as writer:
        writer.save(saved, parts(8))
    return read_manifest(store, saved.key).ref(None)


def registered(run: str, pretrained_run: str | None = None) -> ModelRef:
    return ModelRef(
        name="srgan", version=1, run=run, weights_digest="d", pretrained_run=pretrained_run
    )


def test_every_mirrored_network_judges(object_store: S3Store) -> None:
    assert find_judges(object_store) == {}
    mirrored = publish_weights(object_store, "squeezenet1_1", b"weights", "here")
    assert find_judges(object_store) == {"squeezenet1_1": mirrored.sha256}


LEARNED = Training(beyond_pixels=True, networks=frozenset({"squeezenet1_1"}))


@pytest.mark.parametrize(
    "config", [adversarial(patch_size=32, content=FEATURES), pretrain(patch_size=32, loss=FEATURES)]
)
def test_the_training_of_a_contestant_is_found_by_checkpoint_and_by_version(
    object_store: S3Store, config: PretrainConfig | AdversarialConfig
) -> None:
    contestants = {"model": save(object_store, "one", config), "champion": registered("one")}
    contestants["pretrained"] = save(object_store, "two", pretrain())
    assert trainings(object_store, contestants) == {
        "model": LEARNED,
        "champion": LEARNED,
        "pretrained": Training(beyond_pixels=False),
    }


def test_a_blend_was_taught_by_whatever_taught_either_generator(object_store: S3Store) -> None:
    save(object_store, "pixels", pretrain())
    save(object_store, "features", pretrain(patch_size=32, loss=FEATURES))

    def blended(*runs: str) -> ModelRef:
        return registered("import-1").model_copy(update={"blended_runs": runs})

    assert training_of(object_store, blended("pixels", "pixels")) == Training(beyond_pixels=False)
    assert training_of(object_store, blended("pixels", "features")) == LEARNED
    unknown = training_of(object_store, blended("pixels", "unknown-1"))
    assert unknown == training_of(object_store, registered("import-1"))


def test_a_gan_is_trained_beyond_pixels_whatever_its_content_loss(object_store: S3Store) -> None:
    gan = save(object_store, "gan", adversarial())
    assert training_of(object_store, gan) == Training(beyond_pixels=True)
    assert training_of(object_store, registered("gan")) == Training(beyond_pixels=True)


def test_a_model_inherits_what_its_pretrained_generator_learned_from(object_store: S3Store) -> None:
    contestants = {
        "model": save(object_store, "gan", adversarial()),
        "pretrained": save(object_store, "first", pretrain(patch_size=32, loss=FEATURES)),
        "champion": registered("gan", pretrained_run="first"),
    }
    assert set(trainings(object_store, contestants).values()) == {LEARNED}


@pytest.mark.parametrize("pretrained_run", [None, "gone"])
def test_weights_trained_elsewhere_count_as_trained_beyond_pixels(
    object_store: S3Store, pretrained_run: str | None
) -> None:
    version = registered("imported", pretrained_run=pretrained_run)
    assert training_of(object_store, version) == Training(beyond_pixels=True)


def test_a_recipe_tells_what_its_model_will_have_been_trained_on() -> None:
    assert training_of_recipe(get_recipe("srresnet_mse_x4")) == Training(beyond_pixels=False)
    assert training_of_recipe(get_recipe("srgan_mse_x4")) == Training(beyond_pixels=True)
    learned = Training(beyond_pixels=True, networks=frozenset({"vgg19"}))
    assert training_of_recipe(get_recipe("srresnet_vgg22_x4")) == learned
    assert training_of_recipe(get_recipe("srgan_vgg54_x4")) == learned


def test_contestants_that_a_judge_taught_are_listed_by_its_distance() -> None:
    trained = {"model": LEARNED, "champion": LEARNED, "pretrained": Training(beyond_pixels=False)}
    assert trained_on_judge(trained, JUDGES) == {"squeezenet_distance": ["model", "champion"]}
    assert trained_on_judge(trained, {"vgg19": "1" * 64}) == {}


def test_a_judge_is_fair_if_it_taught_neither_and_the_gate_counts_or_names_it() -> None:
    mirrored: list[FeatureNetwork] = ["squeezenet1_1", "vgg19", "efficientnet_lite1"]
    compared = [LEARNED, Training(beyond_pixels=False)]
    assert fair_judges(mirrored, compared) == ["efficientnet_lite1_distance", "niqe"]
    assert fair_judges(["vgg19"], compared) == [], "NIQE does not decide alone"
    assert fair_judges(["vgg19"], compared, named=["vgg19_distance"]) == ["vgg19_distance"]
    assert fair_judges(["vgg16_st"], compared, named=["stlpips_vgg"]) == ["stlpips_vgg"]
    assert fair_judges([], compared, named=["niqe"]) == ["niqe"]
    assert fair_judges(["squeezenet1_1"], compared, named=["squeezenet_distance"]) == []
    assert fair_judges([], compared, named=["vgg19_distance"]) == []


def test_where_the_gate_names_judges_no_other_counts() -> None:
    mirrored: list[FeatureNetwork] = ["squeezenet1_1", "efficientnet_lite1"]
    assert fair_judges(mirrored, [LEARNED], named=["squeezenet_distance"]) == []


@pytest.mark.parametrize("named", [(), ("niqe",), ("squeezenet_distance",), ("vgg19_distance",)])
@pytest.mark.parametrize("mirrored", [(), ("squeezenet1_1",), ("efficientnet_lite1", "vgg19")])
def test_before_the_training_the_judges_are_those_of_the_gate(
    named: tuple[str, ...], mirrored: tuple[FeatureNetwork, ...]
) -> None:
    measured = {
        DISTANCES[each]: {"bicubic": 2.7, "model": 1.0, "champion": 1.3} for each in mirrored
    }
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {**measured, "niqe": {"bicubic": 8.4, "model": 5.1, "champion": 5.6}},
        size=(1024, 768),
        trained_on_judge=trained_on_judge({"model": LEARNED}, dict.fromkeys(mirrored, "0" * 64)),
    )
    try:
        verdict = verdict_of(figures, GateConfig(judges=named), challenger=2, champion=1)
        judged = verdict.rule.partition("judged by ")[2].partition(", which")[0].split(", ")
    except ConfigError:
        judged = []
    assert sorted(fair_judges(mirrored, [LEARNED, LEARNED], named)) == sorted(judged)


def test_an_unfair_comparison_by_psnr_is_refused_with_the_command() -> None:
    with pytest.raises(ConfigError, match="version 2 and version 1 cannot be compared") as caught:
        refuse_without_judge({"version 2": True, "version 1": False}, [])
    assert "here version 2" in str(caught.value)
    assert "`srgan weights mirror efficientnet_lite1`" in str(caught.value)


def test_judges_that_the_gate_names_are_named_where_none_of_them_is_fair() -> None:
    with pytest.raises(ConfigError, match=r"gate\.judges names \(squeezenet_distance\)") as caught:
        refuse_without_judge({"version 2": True, "version 1": False}, [], ["squeezenet_distance"])
    assert "srgan weights mirror" not in str(caught.value), "another network would not help"


def test_a_comparison_is_allowed_with_a_judge_or_between_models_trained_on_pixels() -> None:
    refuse_without_judge({"version 2": True, "version 1": True}, ["niqe"])
    refuse_without_judge({"version 2": False, "version 1": False}, [])

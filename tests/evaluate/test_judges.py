"""Who judges, and who has learned from the judge."""

import pytest

from srgan.adapters.s3 import S3Store
from srgan.config import AdversarialConfig, FeatureContentConfig, PretrainConfig
from srgan.evaluate.judges import find_judges, trained_on_judge
from srgan.models.weights import publish_weights
from srgan.refs import CheckpointRef, ModelRef
from srgan.train.checkpoint import Manifest, read_manifest
from srgan.train.checkpoint_writer import CheckpointWriter
from tests.train.stages import adversarial, pretrain
from tests.train.test_checkpoint import manifest, parts

FEATURES = FeatureContentConfig(
    network="squeezenet1_1", layer="fire2", feature_scale=0.1, weights="00000000"
)
JUDGES = {"squeezenet1_1": "0" * 64, "vgg19": "1" * 64}


def save(store: S3Store, run: str, config: PretrainConfig | AdversarialConfig) -> CheckpointRef:
    saved: Manifest = manifest(8, final=True).model_copy(
        update={"run": run, "config": config.model_dump(mode="json")}
    )
    with CheckpointWriter(store) as writer:
        writer.save(saved, parts(8))
    return read_manifest(store, saved.key).ref(None)


def registered(run: str) -> ModelRef:
    return ModelRef(name="srgan", version=1, run=run, weights_digest="d")


def test_every_mirrored_network_judges(object_store: S3Store) -> None:
    assert find_judges(object_store) == {}
    mirrored = publish_weights(object_store, "squeezenet1_1", b"weights", "here")
    assert find_judges(object_store) == {"squeezenet1_1": mirrored.sha256}


@pytest.mark.parametrize(
    "config", [adversarial(patch_size=32, content=FEATURES), pretrain(patch_size=32, loss=FEATURES)]
)
def test_a_contestant_that_learned_from_a_judge_is_named(
    object_store: S3Store, config: PretrainConfig | AdversarialConfig
) -> None:
    contestants = {"model": save(object_store, "one", config), "champion": registered("one")}
    contestants["pretrained"] = save(object_store, "two", pretrain())
    found = trained_on_judge(object_store, contestants, JUDGES)  # type: ignore[arg-type]
    assert found == {"squeezenet_distance": ["model", "champion"]}
    assert trained_on_judge(object_store, contestants, {"vgg19": "1" * 64}) == {}


def test_a_model_inherits_what_its_pretrained_generator_learned_from(object_store: S3Store) -> None:
    contestants = {
        "model": save(object_store, "gan", adversarial()),
        "pretrained": save(object_store, "first", pretrain(patch_size=32, loss=FEATURES)),
    }
    found = trained_on_judge(object_store, contestants, JUDGES)  # type: ignore[arg-type]
    assert found == {"squeezenet_distance": ["model", "pretrained"]}


def test_nothing_is_claimed_of_models_trained_elsewhere(object_store: S3Store) -> None:
    assert trained_on_judge(object_store, {"model": registered("imported")}, JUDGES) == {}  # type: ignore[arg-type]

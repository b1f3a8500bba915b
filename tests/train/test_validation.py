"""The perceptual network that judges a stage."""

from srgan.config import FeatureContentConfig
from srgan.config.networks import FeatureNetwork
from srgan.models.weights import publish_weights
from srgan.services.s3 import S3Store
from srgan.train.validation import build_judge
from tests.support.perceptual_weights import drawn_weights
from tests.support.stages import CPU, adversarial


def mirror(store: S3Store, network: FeatureNetwork) -> str:
    return publish_weights(store, network, drawn_weights(network), "drawn").sha256


def judge_of(store: S3Store, crop_size: int = 64, **options: object) -> str | None:
    judge = build_judge(store, adversarial(**options), crop_size=crop_size, device=CPU)
    return judge.name if judge else None


def test_no_network_judges_if_none_is_mirrored(object_store: S3Store) -> None:
    assert judge_of(object_store) is None


def test_a_mirrored_network_judges(object_store: S3Store) -> None:
    mirror(object_store, "squeezenet1_1")
    assert judge_of(object_store) == "squeezenet_distance"


def test_a_network_that_the_stage_does_not_learn_from_is_preferred(object_store: S3Store) -> None:
    learned = mirror(object_store, "squeezenet1_1")
    content = FeatureContentConfig(
        network="squeezenet1_1", layer="fire5", feature_scale=1.0, weights=learned
    )
    options = {"content": content, "patch_size": 32}
    assert judge_of(object_store, **options) == "squeezenet_distance", "better than none"
    mirror(object_store, "vgg19")
    assert judge_of(object_store, **options) == "vgg19_distance"


def test_crops_too_small_for_a_network_are_not_judged(object_store: S3Store) -> None:
    mirror(object_store, "squeezenet1_1")
    assert judge_of(object_store, crop_size=27) is None
    assert judge_of(object_store, crop_size=28) is not None

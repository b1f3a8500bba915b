"""Images that a validation measures, and the perceptual network that judges a stage."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.config import DegradationConfig, FeatureContentConfig, PretrainConfig
from srgan.config.networks import FeatureNetwork
from srgan.data.crops import join_pair
from srgan.errors import CheckpointError
from srgan.keys import mirrored_key, weights_key
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.weights import publish_weights
from srgan.refs import CheckpointRef
from srgan.services.s3 import S3Store
from srgan.train.checkpoint import CheckpointWriter, read_manifest
from srgan.train.course import Course
from srgan.train.validation import Validation, build_judge, fair_judge, teachers_of
from tests.support.checkpoints import manifest, parts
from tests.support.contents import crops_from
from tests.support.perceptual_weights import drawn_weights
from tests.support.stages import CPU, adversarial, pretrain, start

Draw = Callable[..., NDArray[np.uint8]]
DAMAGE = DegradationConfig(noise_sigma=(10, 30), jpeg_quality=(30, 60))


def mirror(store: S3Store, network: FeatureNetwork) -> str:
    return publish_weights(store, network, drawn_weights(network), "drawn").sha256


def judge_of(store: S3Store, crop_size: int = 64, **options: object) -> str | None:
    config = adversarial(**options)
    teachers = teachers_of(store, config, None)
    judge = build_judge(store, config, teachers, crop_size=crop_size, device=CPU)
    return judge.name if judge else None


def saved(store: S3Store, run: str, config: PretrainConfig, before: str | None) -> CheckpointRef:
    """The checkpoint of a stage that started from the run before it."""
    changes = {"run": run, "config": config.model_dump(mode="json"), "init_run": before}
    made = manifest(8, final=True).model_copy(update=changes)
    with CheckpointWriter(store) as writer:
        writer.save(made, parts(8))
    return read_manifest(store, made.key).ref(None)


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
    assert judge_of(object_store, **options) == "vgg19_distance", "no teacher of it"
    mirror(object_store, "efficientnet_lite1")
    assert judge_of(object_store, **options) == "efficientnet_lite1_distance"


def test_only_a_judge_that_the_gate_counts_chooses_the_checkpoint(object_store: S3Store) -> None:
    def chooser() -> str | None:
        judge = build_judge(object_store, adversarial(), (), crop_size=64, device=CPU)
        return fair_judge(judge, ())

    mirror(object_store, "vgg19")
    assert chooser() is None
    mirror(object_store, "squeezenet1_1")
    assert chooser() == "squeezenet_distance"


def test_a_network_that_taught_the_start_or_what_came_before_it_does_not_choose(
    object_store: S3Store,
) -> None:
    learned = FeatureContentConfig(
        network="squeezenet1_1", layer="fire5", feature_scale=1.0, weights="0" * 64
    )
    saved(object_store, "first", pretrain(loss=learned, patch_size=32), before="deleted")
    start = saved(object_store, "second", pretrain(), before="first")
    config = adversarial()
    teachers = teachers_of(object_store, config, start)
    assert (teachers, teachers_of(object_store, config, None)) == ({"squeezenet1_1"}, set())

    def judge(course: Course | None = None) -> PerceptualDistance:
        found = build_judge(object_store, config, teachers, course, crop_size=64, device=CPU)
        assert found is not None
        return found

    mirror(object_store, "squeezenet1_1")
    assert judge().name == "squeezenet_distance", "better than none, to look at"
    assert fair_judge(judge(), teachers) is None
    mirror(object_store, "efficientnet_lite1")
    assert fair_judge(judge(), teachers) == "efficientnet_lite1_distance"
    begun = Course(judge="squeezenet_distance", start=2.0, best=2.0)
    assert judge(begun).name == "squeezenet_distance", "its other distances are of that network"


def test_a_stage_on_its_way_is_judged_by_the_weights_that_it_began_with(
    object_store: S3Store,
) -> None:
    def judge(**course: str) -> PerceptualDistance | None:
        begun = Course(judge="squeezenet_distance", start=2.0, best=2.0, **course)
        return build_judge(object_store, adversarial(), (), begun, crop_size=64, device=CPU)

    first = mirror(object_store, "squeezenet1_1")
    other = drawn_weights("squeezenet1_1", seed=5)
    newest = publish_weights(object_store, "squeezenet1_1", other, "drawn again").sha256
    kept, unnamed = judge(judge_sha256=first), judge()
    assert kept is not None
    assert unnamed is not None
    assert (kept.weights_sha256, unnamed.weights_sha256) == (first, newest)

    object_store.delete(mirrored_key("squeezenet1_1"))
    mirror(object_store, "efficientnet_lite1")
    why = r"judged by squeezenet_distance.* of squeezenet1_1 .*`srgan weights mirror squeezenet1_1`"
    with pytest.raises(CheckpointError, match=why):
        judge()
    object_store.delete(weights_key(first))
    why = rf"{first}… of squeezenet1_1 are not in .* `srgan weights mirror squeezenet1_1 --from"
    with pytest.raises(CheckpointError, match=why):
        judge(judge_sha256=first)


def test_crops_too_small_for_a_network_are_not_judged(object_store: S3Store) -> None:
    mirror(object_store, "squeezenet1_1")
    assert judge_of(object_store, crop_size=27) is None
    assert judge_of(object_store, crop_size=28) is not None


def bicubic_of(seeds: list[int], draw_photo: Draw, degradation: DegradationConfig | None) -> float:
    crops = crops_from([draw_photo(seed, 32, 32) for seed in seeds])
    stage = start(pretrain())
    measured = Validation(crops, 2, CPU, degradation=degradation).measure(stage.result)
    return measured.metrics["bicubic_psnr"]


def test_a_validation_measures_on_lr_images_with_the_damage_of_the_stage(draw_photo: Draw) -> None:
    plain = bicubic_of([1, 2], draw_photo, None)
    assert bicubic_of([1, 2], draw_photo, DegradationConfig()) == plain
    assert bicubic_of([1, 2], draw_photo, DAMAGE) < plain - 3


def test_a_share_of_a_validation_is_pairs_with_their_own_lr(draw_photo: Draw) -> None:
    hr = [draw_photo(seed, 16, 16) for seed in range(32)]
    crops = crops_from(hr)
    black = np.zeros((8, 8, 3), np.uint8)
    pairs = replace(crops, shards=[np.stack([join_pair(each, black) for each in hr])], scale=2)
    stage = start(pretrain())

    def psnr(share: float) -> float:
        validation = Validation(crops, 2, CPU, pairs=pairs, pair_share=share)
        return validation.measure(stage.result).metrics["bicubic_psnr"]

    assert psnr(1.0) < psnr(0.5) < psnr(0.0)
    assert psnr(0.0) == Validation(crops, 2, CPU).measure(stage.result).metrics["bicubic_psnr"]
    assert psnr(0.5) == pytest.approx((psnr(0.0) + psnr(1.0)) / 2, abs=1)


def test_damage_at_a_validation_depends_on_the_pixels_of_a_crop_alone(draw_photo: Draw) -> None:
    together = bicubic_of([1, 2], draw_photo, DAMAGE)
    assert bicubic_of([2, 1], draw_photo, DAMAGE) == pytest.approx(together)
    alone = [bicubic_of([seed], draw_photo, DAMAGE) for seed in (1, 2)]
    assert sum(alone) / 2 == pytest.approx(together)

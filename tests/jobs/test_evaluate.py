"""Figures of an evaluation job, and the objects that it leaves in the bucket."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from srgan.config import (
    DataConfig,
    DegradationConfig,
    GateConfig,
    SecondOrderConfig,
    SetConfig,
)
from srgan.data.prepare import prepare_dataset
from srgan.jobs import evaluate as ray_evaluate
from srgan.keys import spec_key
from srgan.measure.evaluation import EvaluateSpec, Report
from srgan.measure.metrics import psnr
from srgan.measure.pictures import Details
from srgan.measure.sets import prepare_paired_set, prepare_set
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.models.weights import find_judges, publish_weights
from srgan.promotion.decide import read_set_reports
from srgan.promotion.gate import verdict_of
from srgan.refs import CheckpointRef, EvaluationRef, SetRef
from srgan.resize.arrays import imresize
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.train.checkpoint import CheckpointWriter, read_manifest
from srgan.version import reached
from tests.support.checkpoints import manifest
from tests.support.perceptual_weights import drawn_weights
from tests.support.places import place
from tests.support.stages import PLAIN
from tests.support.tracing import PACKAGE, definitions_run


def saved_generator(store: S3Store, gain: float) -> CheckpointRef:
    """An untrained generator, which is bicubic; its first weights are multiplied by `gain`."""
    generator = build_generator(PLAIN)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(gain)
    with CheckpointWriter(store) as writer:
        writer.save(manifest(8, final=True), {"generator": dump_generator(generator)})
    return read_manifest(store, manifest(8).key).ref(None)


@pytest.fixture
def evaluate(
    object_store: S3Store,
    s3_settings: Settings,
    draw_photo: Callable[..., object],
    encode_photo: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[EvaluationRef, Report]]:
    """Measure an untrained generator with the judges that the bucket has."""
    for seed in range(4):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed, 64, 64)))
    config = DataConfig(scale=2, crop_size=32, eval_share=0.3)
    dataset = prepare_dataset(place(object_store, "raw"), object_store, "drawn", config)

    def run(gain: float = 1.0, sets: tuple[SetRef, ...] = ()) -> tuple[EvaluationRef, Report]:
        spec = EvaluateSpec(
            dataset=dataset,
            contestants={"model": saved_generator(object_store, gain)},
            judges=find_judges(object_store),
            sets=sets,
            numerics_version="c",
            release_version="c",
        )
        monkeypatch.setattr(ray_evaluate, "start", lambda *_: (s3_settings, object_store, spec))
        ray_evaluate.run_evaluation(spec_key(spec.run))
        return (
            EvaluationRef.model_validate_json(object_store.get(spec.result_key)),
            Report.model_validate_json(object_store.get(spec.report_key)),
        )

    return run


def test_without_mirrored_weights_there_are_psnr_and_ssim_alone(
    evaluate: Callable[[], tuple[EvaluationRef, Report]],
) -> None:
    result, report = evaluate()
    assert result.metrics["model"].keys() == {"psnr", "ssim"}
    assert report.judges == {}


def test_whatever_runs_in_an_evaluation_is_part_of_the_numerics_version_or_cut_off(
    object_store: S3Store, evaluate: Callable[..., tuple[EvaluationRef, Report]]
) -> None:
    publish_weights(object_store, "squeezenet1_1", drawn_weights(), "drawn")
    degradation = DegradationConfig(second_order=SecondOrderConfig())
    config = SetConfig(crop_size=64, degradation=degradation)
    made = prepare_set(place(object_store, "raw"), object_store, "street", config)
    with definitions_run(set(reached(PACKAGE))) as others:
        evaluate(sets=(made.ref,))
    assert others == set()


def test_mirrored_weights_add_their_distance_to_every_contestant(
    object_store: S3Store, evaluate: Callable[[], tuple[EvaluationRef, Report]]
) -> None:
    mirrored = publish_weights(object_store, "squeezenet1_1", drawn_weights(), "drawn")
    result, report = evaluate()
    assert report.judges == {"squeezenet1_1": mirrored.sha256}
    for figures in result.metrics.values():
        assert figures["squeezenet_distance"] > 0
    each = [image.figures["model"].distances["squeezenet_distance"] for image in report.images]
    mean = result.metrics["model"]["squeezenet_distance"]
    assert mean == pytest.approx(sum(each) / len(each))
    assert result.trained_on_judge == {}


def test_the_same_evaluation_with_another_judge_is_another_evaluation(
    object_store: S3Store, evaluate: Callable[[], tuple[EvaluationRef, Report]]
) -> None:
    first, _ = evaluate()
    publish_weights(object_store, "squeezenet1_1", drawn_weights(), "drawn")
    second, _ = evaluate()
    assert first.key != second.key


def test_the_report_says_of_each_crop_what_the_guards_look_at_and_of_each_model_how_it_learned(
    evaluate: Callable[[], tuple[EvaluationRef, Report]],
) -> None:
    _, report = evaluate()
    assert report.beyond_pixels == []
    for image in report.images:
        assert image.signs.keys() == {"bicubic", "model"}
        assert image.signs["model"].finite
        assert image.signs["model"].contrast == pytest.approx(1, abs=0.1)


def test_the_crops_that_a_report_shows_lie_beside_it(
    object_store: S3Store, evaluate: Callable[..., tuple[EvaluationRef, Report]]
) -> None:
    result, report = evaluate(gain=1.1)
    key = result.key.rpartition("/")[0] + "/details.json"
    details = Details.model_validate_json(object_store.get(key)).details
    assert {each.source for each in details} == {image.source for image in report.images}
    assert details[0].images.keys() == {"bicubic", "model", "original"}


def test_each_evaluation_set_is_measured_and_has_its_own_report(
    object_store: S3Store,
    evaluate: Callable[..., tuple[EvaluationRef, Report]],
    draw_photo: Callable[..., object],
    encode_photo: Callable[..., bytes],
) -> None:
    publish_weights(object_store, "squeezenet1_1", drawn_weights(), "drawn")
    plain, _ = evaluate()
    for name, size in (("odd", (51, 67)), ("even", (64, 64))):
        for seed in (20, 21):
            photo = encode_photo(draw_photo(seed, *size))
            object_store.put(f"eval/{name}/{seed}.png", photo)
    sets = [
        prepare_set(
            place(object_store, f"eval/{name}"), object_store, name, SetConfig(crop_size=crop)
        ).ref
        for name, crop in (("odd", None), ("even", 32))
    ]
    result, report = evaluate(sets=tuple(sets))
    assert result.key != plain.key, "another evaluation"
    assert result.metrics == plain.metrics, "of the same held-out crops"
    assert report.sets == result.sets
    assert {name: each.num_images for name, each in result.sets.items()} == {"odd": 2, "even": 8}
    found = read_set_reports(object_store, report)
    for ref in sets:
        assert found[ref.name].on == ref
        assert found[ref.name].metrics == result.sets[ref.name].metrics
        assert found[ref.name].metrics["model"]["squeezenet_distance"] > 0
        assert found[ref.name].judges == report.judges


def test_the_photos_of_a_set_of_pairs_are_compared_with_their_enlarged_lr_photos(
    object_store: S3Store,
    evaluate: Callable[..., tuple[EvaluationRef, Report]],
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
) -> None:
    hr = imresize(draw_photo(20, 48, 64), scale=2)
    lr = (imresize(hr, scale=0.5) * 0.9).astype(np.uint8)
    object_store.put("eval/hr/20.png", encode_photo(hr))
    object_store.put("eval/lr/20.png", encode_photo(lr))
    folders = place(object_store, "eval/hr"), place(object_store, "eval/lr")
    made = prepare_paired_set(*folders, 2, object_store, "phone", SetConfig())
    _, report = evaluate(gain=0.0, sets=(made.ref,))
    (image,) = read_set_reports(object_store, report)["phone"].images
    expected = psnr(hr, imresize(lr, scale=2), border=2)
    assert image.figures["bicubic"].psnr == expected
    assert image.figures["model"].psnr == pytest.approx(expected, abs=0.1), "it is bicubic"
    assert image.signs["model"].brightness_shift < -8, "a model keeps the tone of the LR photo"


def test_a_generator_that_gives_no_numbers_is_reported_and_refused(
    object_store: S3Store, evaluate: Callable[..., tuple[EvaluationRef, Report]]
) -> None:
    publish_weights(object_store, "squeezenet1_1", drawn_weights(), "drawn")
    result, report = evaluate(gain=1e30)
    assert math.isnan(result.metrics["model"]["squeezenet_distance"])
    verdict = verdict_of(report, GateConfig(), challenger=1, champion=None)
    assert not verdict.promoted
    assert "NaN or infinite values" in verdict.reason

"""What an evaluation job measures and leaves in the bucket."""

from collections.abc import Callable

import pytest

from srgan.adapters import ray_evaluate
from srgan.adapters.s3 import S3Store
from srgan.config import DataConfig
from srgan.data.prepare import prepare_dataset
from srgan.evaluate.judges import find_judges
from srgan.evaluate.report import Report
from srgan.evaluate.spec import EvaluateSpec
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.models.weights import publish_weights
from srgan.refs import CheckpointRef, EvaluationRef
from srgan.settings import Settings
from srgan.train.checkpoint import read_manifest
from srgan.train.checkpoint_writer import CheckpointWriter
from tests.models.perceptual_weights import drawn_weights
from tests.train.stages import PLAIN
from tests.train.test_checkpoint import manifest


def saved_generator(store: S3Store) -> CheckpointRef:
    """An untrained generator, which is bicubic."""
    with CheckpointWriter(store) as writer:
        writer.save(manifest(8, final=True), {"generator": dump_generator(build_generator(PLAIN))})
    return read_manifest(store, manifest(8).key).ref(None)


@pytest.fixture
def evaluate(
    object_store: S3Store,
    s3_settings: Settings,
    draw_photo: Callable[..., object],
    encode_photo: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], tuple[EvaluationRef, Report]]:
    """Measure an untrained generator with the judges that the bucket has."""
    for seed in range(4):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed, 64, 64)))
    config = DataConfig(scale=2, crop_size=32, eval_share=0.3)
    dataset = prepare_dataset(object_store, "raw", object_store, "drawn", config)

    def run() -> tuple[EvaluationRef, Report]:
        spec = EvaluateSpec(
            dataset=dataset,
            contestants={"model": saved_generator(object_store)},
            judges=find_judges(object_store),
            code_version="c",
        )
        monkeypatch.setattr(ray_evaluate, "start", lambda *_: (s3_settings, object_store, spec))
        ray_evaluate.run_evaluation(spec.spec_key)
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

"""An evaluation as a Ray job: ``python -m srgan.jobs.evaluate <spec_key> <job_id>``.

Measures contestants on held-out crops and on evaluation sets.
"""

import logging
import sys
from collections.abc import Mapping, Sequence

from srgan.data.dataset import open_crops
from srgan.data.shards import ShardCache
from srgan.inference.engine import Engine
from srgan.jobs.failure import leaving_failure
from srgan.jobs.node import (
    Need,
    node_resources,
    options_of,
    start,
    uses_gpu,
    wait_for_cluster,
)
from srgan.measure.comparison import Distance, Upscale, compare, with_bicubic
from srgan.measure.evaluation import (
    CHAMPION,
    MODEL,
    PICTURE,
    EvaluateSpec,
    Report,
    means,
    weights_digest,
)
from srgan.measure.niqe import Naturalness
from srgan.measure.perceptual import open_distances
from srgan.measure.pictures import comparison_picture, most_different
from srgan.measure.sets import SetImages, read_set
from srgan.models.interchange import load_generator
from srgan.models.weights import read_weights
from srgan.promotion.teachers import trained_on_judge, trainings
from srgan.readable import Countdown
from srgan.refs import CheckpointRef, EvaluationRef, ModelRef, SetRef, SetResult, to_json
from srgan.report.costs import counting
from srgan.services import ray_metrics
from srgan.services.mlflow_models import Registry
from srgan.services.mlflow_runs import log_file, log_metrics
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.storage import read_document, write_document
from srgan.train.checkpoint import read_generator

logger = logging.getLogger(__name__)

_TILE = 192


def main(spec_key: str, job_id: str) -> None:
    """Wait for one CPU, and a GPU as the spec asks, and measure there."""
    import ray

    # Imported under its own name: as part of ``__main__`` it would travel by value.
    from srgan.jobs.evaluate import run_evaluation

    settings, store, spec = start(spec_key, EvaluateSpec)

    def need() -> Need:
        return Need("evaluation", cpus=1, gpus=1 if uses_gpu(spec.gpu, node_resources()) else 0)

    found = wait_for_cluster(need, settings.cluster_wait_s, job_id)
    remote = ray.remote(max_retries=2, **options_of(found))(run_evaluation)
    with counting(store, spec.run, job_id, stage="evaluate", cpus=1, gpus=int(found.gpus)):
        ray.get(remote.remote(spec_key))
    made = read_document(store, spec.result_key, EvaluationRef)
    num_images = made.num_images + sum(each.num_images for each in made.sets.values())
    # At once and not while it measures, which would change the numerics version.
    ray_metrics.EVALUATED_IMAGES.add(num_images, run=spec.run)


def run_evaluation(spec_key: str) -> None:
    """Measure, then publish picture, report and, last, the result, which marks it as complete."""
    settings, store, spec = start(spec_key, EvaluateSpec)
    scale = spec.dataset.scale
    cache = ShardCache(store, settings.home / "cache" / "shards", settings.cache_bytes)
    crops = open_crops(store, spec.dataset, "eval", cache)
    methods = with_bicubic(_engines(settings, store, spec), scale)
    distances: list[Distance] = [
        distance
        for network, sha256 in spec.judges.items()
        for distance in open_distances(network, read_weights(store, network, sha256))
    ]
    distances.append(Naturalness())
    progress = Countdown(logger.info, "images measured")
    images = compare(crops, methods, scale=scale, progress=progress, distances=distances)
    trained = trainings(store, spec.contestants)
    report = Report(
        dataset=spec.dataset,
        scale=scale,
        numerics_version=spec.numerics_version,
        weights={name: weights_digest(ref) for name, ref in spec.contestants.items()},
        judges=spec.judges,
        trained_on_judge=trained_on_judge(trained, spec.judges),
        beyond_pixels=[name for name, one in trained.items() if one.beyond_pixels],
        means=means(images),
        images=images,
    )
    sets = {ref.name: _on_set(store, spec, ref, report, methods, distances) for ref in spec.sets}
    report = report.model_copy(update={"sets": sets})
    picture = comparison_picture(crops, methods, scale=scale)
    write_document(store, spec.report_key, report)
    store.put(spec.picture_key, picture, content_type="image/png")
    details = most_different(crops, images, methods, scale=scale)
    write_document(store, spec.details_key, details)
    champion = spec.contestants.get(CHAMPION)
    evaluation = EvaluationRef(
        run=spec.contestants[MODEL].run,
        key=spec.report_key,
        picture_key=spec.picture_key,
        num_images=len(images),
        metrics=report.metrics,
        trained_on_judge=report.trained_on_judge,
        sets=sets,
        dataset_version=spec.dataset.version,
        champion=champion.version if isinstance(champion, ModelRef) else None,
        mlflow_run_id=spec.mlflow_run_id,
    )
    if spec.mlflow_run_id:
        _log(settings, spec.mlflow_run_id, report, picture)
    write_document(store, spec.result_key, evaluation)


def _on_set(
    store: S3Store,
    spec: EvaluateSpec,
    ref: SetRef,
    held_out: Report,
    methods: Mapping[str, Upscale],
    distances: Sequence[Distance],
) -> SetResult:
    """Measure an evaluation set with the same methods and judges, and store its own report."""
    logger.info("evaluation set %s, version %s", ref.name, ref.version)
    originals = SetImages(store, read_set(store, ref.key), spec.dataset.scale)
    progress = Countdown(logger.info, "images measured")
    images = compare(
        originals,
        methods,
        scale=held_out.scale,
        progress=progress,
        distances=distances,
        lr_of=originals.lr,
    )
    changed = {"on": ref, "means": means(images), "images": images}
    report = held_out.model_copy(update=changed)
    key = spec.set_report_key(ref.name)
    write_document(store, key, report)
    return SetResult(
        version=ref.version,
        key=key,
        num_images=len(images),
        lr_source=ref.lr_source,
        metrics=report.metrics,
    )


def _engines(settings: Settings, store: S3Store, spec: EvaluateSpec) -> dict[str, Upscale]:
    """Return `Engine.upscale` of each contestant, with weights verified by their digest."""
    engines: dict[str, Upscale] = {}
    for name, ref in spec.contestants.items():
        if isinstance(ref, CheckpointRef):
            data = read_generator(store, ref)
        else:
            data = Registry(settings).load_generator_bytes(ref)
        engines[name] = Engine(load_generator(data), tile=_TILE).upscale
    return engines


def _log(settings: Settings, run_id: str, report: Report, picture: bytes) -> None:
    measured = {"": report.metrics} | {f"{s}/": each.metrics for s, each in report.sets.items()}
    values = {
        f"{where}{figure}/{name}": value
        for where, metrics in measured.items()
        for name, figures in metrics.items()
        for figure, value in figures.items()
    }
    log_metrics(settings, run_id, values)
    log_file(settings, run_id, PICTURE, picture)
    log_file(settings, run_id, "report.json", to_json(report))


if __name__ == "__main__":
    with leaving_failure(*sys.argv[1:]):
        main(*sys.argv[1:])

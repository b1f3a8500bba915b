"""Evaluation: a checkpoint or model version on held-out crops, next to what it has to beat."""

from collections.abc import Sequence

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.support.jobs import root_flow_run_id, run_job, stop_jobs
from flows.support.register import find_champion, find_version
from flows.support.tasks import PATIENTLY, artifact_key
from flows.train import newest_version
from srgan.config import Name, Recipe
from srgan.errors import ConfigError
from srgan.measure.evaluation import (
    CHAMPION,
    MODEL,
    PICTURE,
    PRETRAINED,
    EvaluateSpec,
    weights_digest,
)
from srgan.measure.figures import means_table, one_line, trained_on_judge_note
from srgan.measure.overlap import refuse_overlap
from srgan.measure.sets import newest_set
from srgan.models.interchange import load_generator
from srgan.models.weights import find_judges
from srgan.promotion.teachers import refuse_without_judge, training_of, training_of_recipe
from srgan.refs import CheckpointRef, DatasetRef, EvaluationRef, ModelRef, SetRef
from srgan.services.mlflow_models import Registry
from srgan.services.mlflow_runs import artifact_url, find_run, run_url, tracked_run
from srgan.services.s3 import open_store
from srgan.settings import Settings
from srgan.storage import find_document, read_document
from srgan.version import numerics_version, release_version


@flow(name="evaluate", on_cancellation=[stop_jobs])
def evaluate(
    checkpoint: CheckpointRef | ModelRef,
    dataset: DatasetRef,
    pretrained: CheckpointRef | None = None,
    champion: ModelRef | None = None,
    sets: tuple[SetRef, ...] = (),
    code: str | None = None,
) -> EvaluationRef:
    """Measure a checkpoint on held-out crops and evaluation sets, as one Ray job.

    A champion is measured again on the same crops, whatever it was measured on before. An
    evaluation of the same weights, crops and code is reused. A retraining that has begun under
    earlier code passes the numerics version of that as `code`.
    """
    others = {PRETRAINED: pretrained, CHAMPION: champion}
    spec = EvaluateSpec(
        dataset=dataset,
        contestants={MODEL: checkpoint} | {name: ref for name, ref in others.items() if ref},
        judges=find_judges(open_store(Settings())),
        sets=sets,
        numerics_version=code or numerics_version(),
        release_version=release_version(),
    )
    evaluation = measure(spec)
    show_evaluation(spec, evaluation)
    return evaluation


@task(**PATIENTLY, cache_policy=NO_CACHE)
def check_judges(champion: ModelRef, challenger: ModelRef | Recipe) -> None:
    """Refuse a comparison that only PSNR could decide and must not, before it costs anything.

    `ConfigError` with the command that gets a perceptual network. The challenger may be a recipe
    that is yet to be trained.
    """
    store = open_store(Settings())
    if isinstance(challenger, Recipe):
        who, trained = f"a model of recipe {challenger.name}", training_of_recipe(challenger)
    else:
        who, trained = f"version {challenger.version}", training_of(store, challenger)
    before = f"champion version {champion.version} of {champion.name}"
    compared = {who: trained.beyond_pixels, before: training_of(store, champion).beyond_pixels}
    refuse_without_judge(compared, find_judges(store))


@task(**PATIENTLY, cache_policy=NO_CACHE)
def check_scales(scale: int, versions: Sequence[ModelRef]) -> None:
    """Refuse versions that upscale by another factor than crops are reduced by: `ConfigError`."""
    registry = Registry(Settings())
    for version in versions:
        found = load_generator(registry.load_generator_bytes(version)).scale
        if found != scale:
            raise ConfigError(
                f"{version.uri} upscales {found} times, and it would be measured at scale {scale}: "
                "a model of another scale needs a name and a dataset of its own"
            )


@flow(name="evaluate-model", on_cancellation=[stop_jobs])
def evaluate_model(
    model: str = "srgan", dataset: str | None = None, sets: list[Name] | None = None
) -> EvaluationRef:
    """Measure a registered model, next to its champion, on the newest version of a dataset.

    Args:
        model: A name, which means its champion, or an address such as ``models:/NAME/VERSION``.
        dataset: Name of a prepared dataset; without one, the version that the model came from.
        sets: Names of evaluation sets; without any, those of the version's gate.
    """
    version = find_version(model)
    champion = find_champion(version.name)
    names = named_sets(version) if sets is None else sets
    chosen = find_sets(names, models=[version, *([champion] if champion else [])])
    data = find_dataset(version, dataset)
    check_scales(data.scale, [version, *([champion] if champion else [])])
    return evaluate(version, data, champion=champion, sets=chosen)


@task(**PATIENTLY, cache_policy=NO_CACHE)
def named_sets(version: ModelRef) -> tuple[str, ...]:
    """The evaluation sets that a version's gate names."""
    return Registry(Settings()).record(version).gate.sets


@task(**PATIENTLY, cache_policy=NO_CACHE)
def find_sets(
    names: Sequence[str], datasets: Sequence[DatasetRef] = (), models: Sequence[ModelRef] = ()
) -> tuple[SetRef, ...]:
    """The newest versions of evaluation sets by name, none of them trained on.

    `DataError` naming both photos where a set shows what the train side of `datasets`, or of
    those that `models` and their ancestors were trained on, does. Of an imported model nobody
    knows.
    """
    settings = Settings()
    store, registry = open_store(settings), Registry(settings)
    found = [newest_set(store, name) for name in dict.fromkeys(names)]
    if not found:
        return ()
    by_key = {ref.key: ref for ref in datasets}
    for model in models:
        origins, gone = registry.datasets_of(model)
        by_key |= {ref.key: ref for ref in origins}
        if gone:
            get_run_logger().warning(
                "%s was fine-tuned from %s, which is gone from the registry: nobody can tell "
                "whether the evaluation sets show what that one was trained on",
                *(model.uri, gone),
            )
    for ref in refuse_overlap(store, found, by_key.values()):
        get_run_logger().warning(
            "%s version %s was prepared by an earlier release: its photos were compared with the "
            "evaluation sets by their pixels alone, not by how they look",
            ref.dataset,
            ref.version[:12],
        )
    return tuple(each.ref for each in found)


@task(**PATIENTLY, cache_policy=NO_CACHE)
def find_dataset(version: ModelRef, dataset: str | None) -> DatasetRef:
    """The newest version of a dataset by name; without one, what the model was registered with."""
    if dataset is None:
        return Registry(Settings()).dataset_of(version)
    return newest_version(dataset)


def measure(spec: EvaluateSpec) -> EvaluationRef:
    """The evaluation that an earlier run made of the same inputs, or a new one."""
    settings = Settings()
    store = open_store(settings)
    found = find_document(store, spec.result_key, EvaluationRef)
    if found is not None:
        get_run_logger().info("Evaluated before: %s", store.uri(spec.result_key))
        return found
    with tracked_run(
        settings,
        name=f"evaluate-{spec.digest[:8]}",
        key=spec.run,
        parent=find_run(settings, root_flow_run_id()),
        params={"dataset": spec.dataset.dataset, "dataset_version": spec.dataset.version}
        | {name: weights_digest(ref) for name, ref in spec.contestants.items()},
    ) as run_id:
        run_job(
            # With its digest: a retraining may need two, the second with another champion.
            stage=f"evaluate-{spec.digest[:8]}",
            run=spec.run,
            module="srgan.jobs.evaluate",
            spec=spec.model_copy(update={"mlflow_run_id": run_id}),
            spec_key=spec.spec_key,
            supersedes=("evaluate-",),
        )
    return read_document(store, spec.result_key, EvaluationRef)


@task(**PATIENTLY, cache_policy=NO_CACHE)
def show_evaluation(spec: EvaluateSpec, evaluation: EvaluationRef) -> None:
    """Table and picture as artifacts of the flow run; MLflow serves the picture."""
    settings = Settings()
    assert evaluation.mlflow_run_id is not None  # `measure` logs every evaluation
    taught = trained_on_judge_note(evaluation.trained_on_judge)
    key = artifact_key(spec.dataset.dataset, "evaluation")
    page = run_url(settings, evaluation.mlflow_run_id)
    create_markdown_artifact(
        f"{means_table(evaluation.metrics, evaluation.trained_on_judge).markdown()}\n\nMeans over "
        f"{evaluation.num_images} held-out crops of `{spec.dataset.dataset}`, luma channel, border "
        f"of {spec.dataset.scale} pixels left out. [Run in MLflow]({page})",
        key=f"{key}-metrics",
        description="Higher is better, of distances lower; bicubic is what a model has to beat",
    )
    for name, each in evaluation.sets.items():
        create_markdown_artifact(
            f"{means_table(each.metrics, evaluation.trained_on_judge).markdown()}\n\nMeans over "
            f"{each.num_images} images of evaluation set `{name}`. [Run in MLflow]({page})",
            key=f"{key}-{artifact_key(name, 'set')}",
            description=f"Evaluation set {name}, version {each.version[:12]}",
        )
        get_run_logger().info("Evaluation set %s: %s", name, one_line(each.metrics))
    create_image_artifact(
        artifact_url(settings, evaluation.mlflow_run_id, PICTURE),
        key=f"{key}-picture",
        description=". ".join(
            filter(None, ["The details that bicubic loses most, enlarged", taught])
        ),
    )
    get_run_logger().info("Evaluation: %s", one_line(evaluation.metrics))

"""Evaluation: a checkpoint or model version on held-out crops, next to what it has to beat."""

from prefect import flow, get_run_logger
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.runtime import flow_run

from flows.support.artifacts import artifact_key
from flows.support.inputs import check_held_out, check_scales, find_dataset, find_sets, named_sets
from flows.support.jobs import root_flow_run_id, run_job, stop_jobs
from flows.support.registry import find_champion, find_version
from flows.support.tasks import io_task
from srgan.config import Gpu, Name
from srgan.measure.evaluation import (
    CHAMPION,
    MODEL,
    PICTURE,
    PRETRAINED,
    EvaluateSpec,
    weights_digest,
)
from srgan.measure.figures import means_table, one_line, trained_on_judge_note
from srgan.models.weights import find_judges
from srgan.refs import CheckpointRef, DatasetRef, EvaluationRef, ModelRef, SetRef
from srgan.services.mlflow_runs import artifact_url, find_run, run_url, tracked_run
from srgan.storage import find_document, read_document
from srgan.version import numerics_version as numerics_of_this_code
from srgan.version import release_version
from srgan.versions.services import open_services


def run_name() -> str:
    """``evaluate pets-x4/3 on pets``, or the run of a checkpoint in place of a version."""
    measured, dataset = (flow_run.parameters[name] for name in ("checkpoint", "dataset"))
    of_version = isinstance(measured, ModelRef)
    what = f"{measured.name}/{measured.version}" if of_version else measured.run
    return f"evaluate {what} on {dataset.dataset}"


@flow(name="evaluate", flow_run_name=run_name, on_cancellation=[stop_jobs])
def evaluate(
    checkpoint: CheckpointRef | ModelRef,
    dataset: DatasetRef,
    pretrained: CheckpointRef | None = None,
    champion: ModelRef | None = None,
    sets: tuple[SetRef, ...] = (),
    numerics_version: str | None = None,
    gpu: Gpu = "auto",
) -> EvaluationRef:
    """Measure a checkpoint on held-out crops and evaluation sets, as one Ray job.

    A champion is measured again on the same crops, whatever it was measured on before. An
    evaluation of the same weights, crops and code is reused. A retraining that began under earlier
    code passes its `numerics_version`. `gpu` says whether to measure on a GPU: if the cluster has
    any (``auto``), ``required`` or ``never``.
    """
    spec = plan_evaluation(checkpoint, dataset, pretrained, champion, sets, numerics_version)
    evaluation = measure(spec.model_copy(update={"gpu": gpu}))
    show_evaluation(spec, evaluation)
    return evaluation


@flow(name="evaluate-model", flow_run_name="evaluate {model}", on_cancellation=[stop_jobs])
def evaluate_model(
    model: str = "srgan",
    dataset: str | None = None,
    sets: list[Name] | None = None,
    gpu: Gpu = "auto",
) -> EvaluationRef:
    """Measure a registered model, next to its champion, on the newest version of a dataset.

    Args:
        model: A name, which means its champion, or an address such as ``models:/NAME/VERSION``.
        dataset: Name of a prepared dataset; without one, the version that the model came from.
        sets: Names of evaluation sets; without any, those of the version's gate.
        gpu: Whether to measure on a GPU: if there is any (``auto``), ``required`` or ``never``.
    """
    version = find_version(model)
    champion = find_champion(version.name)
    compared = [each for each in (version, champion) if each]
    data = find_dataset(version, dataset)
    names = named_sets(version) if sets is None else sets
    chosen = find_sets(names, data.scale, models=compared)
    check_scales(data.scale, compared)
    check_held_out(data, compared, decides=False)
    return evaluate(version, data, champion=champion, sets=chosen, gpu=gpu)


@io_task
def plan_evaluation(
    checkpoint: CheckpointRef | ModelRef,
    dataset: DatasetRef,
    pretrained: CheckpointRef | None,
    champion: ModelRef | None,
    sets: tuple[SetRef, ...],
    numerics_version: str | None,
) -> EvaluateSpec:
    """Name everything that the figures depend on, with the judges that are mirrored now."""
    others = {PRETRAINED: pretrained, CHAMPION: champion}
    return EvaluateSpec(
        dataset=dataset,
        contestants={MODEL: checkpoint} | {name: ref for name, ref in others.items() if ref},
        judges=find_judges(open_services().store),
        sets=sets,
        numerics_version=numerics_version or numerics_of_this_code(),
        release_version=release_version(),
    )


def measure(spec: EvaluateSpec) -> EvaluationRef:
    """Return the evaluation that an earlier run made of the same inputs, or make one."""
    services = open_services()
    settings, store = services.settings, services.store
    found = find_document(store, spec.result_key, EvaluationRef)
    if found is not None:
        get_run_logger().info("Evaluated before: %s", store.uri(spec.result_key))
        return found
    with tracked_run(
        settings,
        name=f"evaluate-{spec.digest[:8]}",
        key=spec.run,
        parent=find_run(settings, root_flow_run_id()),
        tags={"flow_run": root_flow_run_id()},
        params={"dataset": spec.dataset.dataset, "dataset_version": spec.dataset.version}
        | {name: weights_digest(ref) for name, ref in spec.contestants.items()},
    ) as run_id:
        run_job(
            services=services,
            # With its digest: a retraining may need two, the second with another champion.
            label=f"evaluate-{spec.digest[:8]}",
            run=spec.run,
            module="srgan.jobs.evaluate",
            spec=spec.model_copy(update={"mlflow_run_id": run_id}),
            supersedes=("evaluate-",),
        )
    return read_document(store, spec.result_key, EvaluationRef)


@io_task
def show_evaluation(spec: EvaluateSpec, evaluation: EvaluationRef) -> None:
    """Show tables and the picture on the flow run's page; MLflow serves the picture."""
    settings = open_services().settings
    assert evaluation.mlflow_run_id is not None  # `measure` logs every evaluation
    taught = trained_on_judge_note(evaluation.trained_on_judge)
    key = artifact_key(spec.dataset.dataset, "evaluation")
    page = run_url(settings, evaluation.mlflow_run_id)
    create_markdown_artifact(
        f"{means_table(evaluation.metrics, evaluation.trained_on_judge).markdown()}\n\nMeans over "
        f"{evaluation.num_images} held-out crops of `{spec.dataset.dataset}`, luma channel, border "
        f"of {spec.dataset.scale} pixels left out. [Run in MLflow]({page})",
        key=f"{key}-metrics",
        description="Higher is better, but lower where there is an arrow; bicubic is to beat",
    )
    for name, each in evaluation.sets.items():
        create_markdown_artifact(
            f"{means_table(each.metrics, evaluation.trained_on_judge).markdown()}\n\nMeans over "
            f"the {each.images} of evaluation set `{name}`. [Run in MLflow]({page})",
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

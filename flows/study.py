"""A study: people judge a challenger beside the champion, and the flow run waits for them.

It waits suspended, without a process: workers and Prefect's server may stop and start meanwhile.
What ends the study resumes the run: its server once enough raters have judged everything, or
`srgan mos close`. A run that is resumed before the end suspends itself again.
"""

from contextlib import suppress
from typing import Annotated
from uuid import uuid4

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import Pause
from prefect.flow_runs import suspend_flow_run
from prefect.runtime import deployment, flow_run
from pydantic import Field

from flows.support.artifacts import artifact_key
from flows.support.inputs import check_scales, find_scale, find_sets
from flows.support.jobs import root_flow_run_id, run_job, stop_jobs
from flows.support.registry import find_challenger, find_champion
from flows.support.tasks import io_task
from srgan.config import Gpu, Name
from srgan.errors import ConfigError, OrchestratorError, StorageError
from srgan.jobs.study import StudySpec
from srgan.jobs.study_report import StudyReportSpec
from srgan.keys import study_report_key
from srgan.measure.figures import OPINION, Table, figure_text, interval_text
from srgan.mos.columns import Columns
from srgan.mos.results import rating_results
from srgan.promotion.findings import Opponent, opinion_within
from srgan.promotion.opinions import compare_opinions, read_studies
from srgan.refs import ModelRef, SetRef, config_digest
from srgan.services.mlflow_models import CHAMPION
from srgan.services.prefect_runs import resume_flow_run
from srgan.studies.close import hand_to_gates
from srgan.studies.create import Asked
from srgan.studies.design import (
    BREAK_AFTER,
    RATERS,
    REPEATS,
    SCREENS,
    SEED,
    Closed,
    StudyDesign,
    find_design,
    find_end,
    read_design,
)
from srgan.studies.parts import Part, judged_columns, read_parts
from srgan.version import release_version
from srgan.versions.services import open_services

Count = Annotated[int, Field(ge=1)]
_DIGITS = 16


@flow(name="study", flow_run_name="study {name} of {model}", on_cancellation=[stop_jobs])
def study(
    name: str,
    model: Name = "srgan",
    version: Count | None = None,
    eval_set: Name = "eval",
    raters: Count = RATERS,
    per_rater: Count | None = None,
    enough: Count | None = None,
    gpu: Gpu = "auto",
) -> Closed:
    """Have people judge a model's challenger, wait for them, and show what they said.

    A Ray job renders an evaluation set by the challenger, the champion, nearest and the original.
    Then `srgan mos serve NAME` serves the study, and this run waits suspended until it ends. The
    ratings are kept with the model, and the gate uses them at the next decision; another Ray job
    writes the report and keeps it with both versions.

    Args:
        name: Name of the study, a new one.
        model: Name of the registered model, whose champion the challenger is compared with.
        version: Version that challenges; without one, the alias ``challenger``.
        eval_set: Name of an evaluation set that neither of them was trained on.
        raters: Links to make.
        per_rater: Judgements of each rater; without it, everything.
        enough: Raters who have judged everything when the study closes by itself; without it, all.
        gpu: Whether to render on a GPU: if there is any (``auto``), ``required`` or ``never``.
    """
    design = find_own(name) or render(
        plan(name, model, version, eval_set, raters, per_rater, enough, gpu)
    )
    end = wait_for_end(design)
    finding = hand_over(design)
    if end.num_judgements:
        report(design, end)
    show_result(design, finding)
    return end


@io_task
def find_own(name: str) -> StudyDesign | None:
    """Return the study that an earlier attempt of this flow run has made; None before.

    `ConfigError` if this run could not wait: only a run of a deployment is started again.
    """
    if deployment.id is None or str(flow_run.id) != root_flow_run_id():
        command = open_services().settings.run_command("study/study", name=name)
        raise ConfigError(
            f"only a run of a deployment can wait for a study: `{command}`. Without one, use "
            "`srgan mos create`"
        )
    found = find_design(open_services().store, name)
    return found if found and found.flow_run == root_flow_run_id() else None


def plan(
    name: str,
    model: str,
    version: int | None,
    eval_set: str,
    raters: int,
    per_rater: int | None,
    enough: int | None,
    gpu: Gpu,
) -> StudySpec:
    """Find what is compared, and refuse what cannot be a study before it costs anything."""
    if enough and enough > raters:
        raise ConfigError(f"enough: {enough} cannot finish, because raters is {raters}")
    challenger = find_challenger(model, version)
    champion = find_champion(model)
    if champion is None or champion.version == challenger.version:
        why = "there is no champion yet" if champion is None else "it is the champion"
        raise ConfigError(
            f"version {challenger.version} of {model} would be compared with nothing, because "
            f"{why}. `srgan mos create` makes a study of other methods"
        )
    scale = find_scale(challenger)
    check_scales(scale, [champion])
    (images,) = find_sets((eval_set,), scale, models=[challenger, champion])
    asked = Asked(
        name=name,
        judging="ratings",
        scale=scale,
        screen=SCREENS["ratings"],
        num_raters=raters,
        judgements_per_rater=per_rater,
        repeats=REPEATS,
        break_after=BREAK_AFTER,
        seed=SEED,
        enough=enough or raters,
        flow_run=root_flow_run_id(),
    )
    return checked(asked, images, challenger, champion, gpu)


@io_task
def checked(
    asked: Asked, on: SetRef, challenger: ModelRef, champion: ModelRef, gpu: Gpu
) -> StudySpec:
    """Return the spec of the job that renders; `ConfigError` if it would fail."""
    spec = StudySpec(
        run=f"study-{config_digest(on, challenger, champion, asked.flow_run)[:_DIGITS]}",
        asked=asked,
        on=on,
        challenger=challenger,
        champion=champion,
        gpu=gpu,
        release_version=release_version(),
    )
    spec.check(open_services().store)
    return spec


def render(spec: StudySpec) -> StudyDesign:
    """Have a Ray job render the study, and return its design."""
    services = open_services()
    run_job(
        services=services,
        # With a digest: an attempt that was put back may find another challenger.
        label=f"{spec.run[:14]}",
        run=spec.run,
        module="srgan.jobs.study",
        spec=spec,
    )
    return read_design(services.store, spec.asked.name)


def wait_for_end(design: StudyDesign) -> Closed:
    """Return the end of a study; without one, suspend this flow run, which ends its process."""
    end = find_its_end(design)
    if end is not None:
        return end
    show_waiting(design)
    try:
        # By a new key, because Prefect takes each key once, and without a timeout, as is its
        # default. `pause_flow_run` would keep the process and fail after an hour.
        suspend_flow_run(key=str(uuid4()))
    except Pause:
        # Somebody may have ended the study a moment ago and found nothing to resume. A service that
        # is away now must not fail a run that waits.
        with suppress(StorageError, OrchestratorError):
            if find_end(open_services().store, design.name):
                resume_flow_run(str(flow_run.id))
        raise
    return wait_for_end(design)


@io_task
def find_its_end(design: StudyDesign) -> Closed | None:
    """Return the end of a study; None while people can rate."""
    return find_end(open_services().store, design.name)


@io_task
def show_waiting(design: StudyDesign) -> None:
    """Say in the log and as an artifact what a person has to do now."""
    text = (
        f"Study {design.name} is ready. `srgan mos serve {design.name}` prints a link for each of "
        f"{design.num_raters} raters. This flow run is suspended and goes on when {design.enough} "
        f"of them have judged everything, or after `srgan mos close {design.name}`"
    )
    get_run_logger().info(text)
    create_markdown_artifact(text, key=artifact_key(design.name, "study"), description="Waiting")


@io_task
def hand_over(design: StudyDesign) -> str:
    """Keep the ratings with the model, and return what the gate says of all its studies.

    Safe to repeat.
    """
    services = open_services()
    parts = read_parts(services.store, design.name)
    for key in hand_to_gates(services.store, design, parts):
        get_run_logger().info("The gate uses these ratings: %s", services.store.uri(key))
    champion, challenger = (each.version for each in design.methods if each.version)
    if services.registry.version(challenger.name, challenger.version) is None:
        return f"version {challenger.version} was deleted while people judged it"
    studies = read_studies(services.store, challenger.name)
    found = compare_opinions(studies, challenger, champion)
    if found is None:
        return "nobody has rated both versions"
    opponent = Opponent(CHAMPION, f"champion version {champion.version}'s")
    gate = services.registry.record(challenger).gate
    return opinion_within(found, opponent, gate.max_mos_loss).text


def report(design: StudyDesign, end: Closed) -> None:
    """Have a Ray job write the report and keep it with the versions; it measures the pictures."""
    run = f"study-report-{config_digest(design, end)[:_DIGITS]}"
    run_job(
        services=open_services(),
        label="study-report",
        run=run,
        module="srgan.jobs.study_report",
        spec=StudyReportSpec(run=run, study=design.name, release_version=release_version()),
    )


@io_task
def show_result(design: StudyDesign, finding: str) -> None:
    """Show opinions and the gate's finding in the log and as an artifact."""
    store = open_services().store
    parts = read_parts(store, design.name)
    counts = [part.num_judgements for part in parts if part.num_judgements]
    title = f"Study {design.name}: {sum(counts)} ratings by {len(counts)} raters; {finding}"
    get_run_logger().info(title)
    text = [title]
    if counts:
        text += [
            opinions(design, parts).markdown(),
            f"Everything else: `srgan mos results {design.name}`",
        ]
    # A study without answers has no report, nor has one whose raters have all withdrawn.
    if store.head(key := study_report_key(design.name)):
        text.append(f"Report: {store.uri(key)}")
    create_markdown_artifact(
        "\n\n".join(text),
        key=artifact_key(design.name, "study"),
        description="Mean opinion scores, from 1 (bad) to 5 (excellent)",
    )


def opinions(design: StudyDesign, parts: list[Part]) -> Table:
    """Make a row for each method, without the raters that screening rejects."""
    judged = judged_columns(design, parts)
    assert isinstance(judged, Columns)  # `plan` asks for ratings
    found = rating_results(judged).opinions
    return Table(
        heads=("method", "MOS", "95 % interval", "images", "raters"),
        rows=tuple(
            (
                method,
                figure_text(OPINION, each.mean),
                interval_text(OPINION, each.interval, signed=False),
                str(each.num_images),
                str(each.num_raters),
            )
            for method, each in found.items()
        ),
    )

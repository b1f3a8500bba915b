"""The end of a study: nobody can rate any more, and gate, report and versions hear of it."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from srgan.errors import ConflictError
from srgan.keys import study_end_key, study_report_key
from srgan.measure.figures import OPINION, STRENGTH, figure_text, interval_text
from srgan.measure.intervals import Interval
from srgan.mos.ratings import Rating
from srgan.mos.results import RatingResults, Results, results_of
from srgan.promotion.opinions import keep_study, read_studies
from srgan.report.page import render_study
from srgan.services.mlflow_models import Registry
from srgan.services.mlflow_runs import log_file, log_metrics, model_url
from srgan.settings import Settings
from srgan.storage import ObjectStore, write_document
from srgan.studies.database import Database
from srgan.studies.design import Closed, StudyDesign, find_end
from srgan.studies.exporting import export_parts
from srgan.studies.figures import ensure_figures
from srgan.studies.parts import Part, judged_columns, judgements_of, read_parts
from srgan.studies.report import study_content


def close_study(store: ObjectStore, design: StudyDesign, database: Database) -> Closed:
    """Refuse further answers, export the last ones and write the end of the study down."""
    database.close_study()
    export_parts(store, design.name, database)
    if (end := find_end(store, design.name)) is not None:
        return end
    counts = [part.num_judgements for part in parts_now(store, design, database)]
    end = Closed(
        closed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        num_raters=sum(count > 0 for count in counts),
        num_judgements=sum(counts),
    )
    try:
        write_document(store, study_end_key(design.name), end, if_absent=True)
    except ConflictError:  # another machine, or the server beside `srgan mos close`, was first
        first = find_end(store, design.name)
        assert first is not None  # an end is never deleted
        return first
    return end


def hand_to_gates(store: ObjectStore, design: StudyDesign, parts: Iterable[Part]) -> Iterator[str]:
    """Keep a closed study's ratings with each model whose versions were rated, once; yield keys.

    There a version of the model has its number as method; all others keep their names. Pair
    comparisons are not for the gate, whose rule is about scores.
    """
    source = f"study {design.name}"
    judgements = judgements_of(parts)
    ratings = [each for each in judgements if isinstance(each, Rating)]
    for model in design.models if ratings else []:
        kept = [key for key, each in read_studies(store, model).items() if each.source == source]
        if kept:  # somebody may have withdrawn since; the same raters must not count twice
            yield kept[0]
            continue
        versions = {
            each.name: each.version
            for each in design.methods
            if each.version and each.version.name == model
        }
        numbers = {name: str(version.version) for name, version in versions.items()}
        renamed = (
            each.model_copy(update={"method": numbers.get(each.method, each.method)})
            for each in ratings
        )
        yield keep_study(store, model, source, renamed, versions.values())


def write_report(
    store: ObjectStore,
    design: StudyDesign,
    parts: list[Part],
    progress: Callable[[int, int], object],
) -> tuple[Results, str] | None:
    """Write the report of a closed study into the bucket; return its results and the page.

    Repeating it writes it again, of the parts as they are. The pictures are measured once. Without
    a judgement there is None, and the report of people who have all withdrawn is deleted.
    """
    if not any(part.num_judgements for part in parts):
        store.delete(study_report_key(design.name))
        return None
    measured = ensure_figures(store, design, progress)
    judged = judged_columns(design, parts)
    found = results_of(judged, measured)
    end = find_end(store, design.name)
    page = render_study(study_content(store, design, parts, judged, found, end))
    store.put(study_report_key(design.name), page.encode(), content_type="text/html; charset=utf-8")
    return found, page


def note_with_versions(
    settings: Settings, registry: Registry, design: StudyDesign, found: Results, page: str
) -> Iterator[str]:
    """Keep results and report with the MLflow run of each registered version that was judged.

    Yields the addresses of the versions. One that was deleted since is left out, and so is one
    that nobody judged. Repeating it gives the run the same figures again.
    """
    for method in design.methods:
        judged = _judged(found, method.name)
        if method.version is None or judged is None:
            continue
        version = registry.version(method.version.name, method.version.version)
        if version is None:
            continue
        run_id = registry.record(version).mlflow_run
        assert run_id is not None  # every version that this project registers has one
        log_file(settings, run_id, f"opinions/{design.name}.html", page.encode())
        metrics = {f"{design.name}/{name}": value for name, value in judged.metrics.items()}
        log_metrics(settings, run_id, metrics)
        registry.set_tag(version, "opinion", f"{judged} in study {design.name}")
        yield model_url(settings, version.name, version.version)


def parts_now(store: ObjectStore, design: StudyDesign, database: Database) -> list[Part]:
    """Parts of this machine as they are now, and those that other machines have exported.

    Raters of this machine who have withdrawn are left out, also while their part is in the bucket.
    """
    with database.exporting():  # `withdrawn` names them until an export has deleted their part
        found = {part.rater: part for part in read_parts(store, design.name)}
        found |= {part.rater: part for part, _ in database.parts()}
        for rater in database.withdrawn():
            found.pop(rater, None)
    return sorted(found.values(), key=lambda each: (each.number, each.rater))


class _Verdict(NamedTuple):
    """Verdict of people on one method."""

    figure: str
    value: float
    interval: Interval | None
    num_raters: int

    @property
    def metrics(self) -> dict[str, float]:
        """Figures by their names in MLflow."""
        found = {self.figure: self.value, f"{self.figure}_raters": self.num_raters}
        if self.interval:
            found |= {
                f"{self.figure}_low": self.interval.low,
                f"{self.figure}_high": self.interval.high,
            }
        return found

    def __str__(self) -> str:
        """``mos 3.56 (3.40 to 3.72) by 24 raters``."""
        text = f"{self.figure} {figure_text(self.figure, self.value)}"
        if self.interval:
            text += f" ({interval_text(self.figure, self.interval, signed=False)})"
        return f"{text} by {self.num_raters} raters"


def _judged(found: Results, method: str) -> _Verdict | None:
    """The verdict on a method; None if nobody judged it."""
    if isinstance(found, RatingResults):
        if (opinion := found.opinions.get(method)) is None:
            return None
        return _Verdict(OPINION, opinion.mean, opinion.interval, opinion.num_raters)
    if (strength := found.strengths.get(method)) is None:
        return None
    num_raters = found.num_raters - len(found.rejected)
    return _Verdict(STRENGTH, strength.strength, strength.interval, num_raters)

"""Judgements by what `srgan mos results` takes, a study or a file, and the page about them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from srgan.cli.studies import collected
from srgan.errors import ConfigError
from srgan.readable import moment

if TYPE_CHECKING:
    from srgan.mos.agreement import FigureValues
    from srgan.mos.columns import Choices, Columns
    from srgan.mos.results import Results
    from srgan.services.s3 import S3Store
    from srgan.studies.design import StudyDesign
    from srgan.studies.parts import Part


@dataclass(frozen=True)
class Judged:
    """Judgements that a user asked for."""

    title: str
    columns: "Columns | Choices"
    measured: "FigureValues" = field(default_factory=dict)
    """Figures of a closed study's pictures."""
    study: "tuple[S3Store, StudyDesign, Sequence[Part]] | None" = None
    """None for a file."""


def judged_by(source: str) -> Judged:
    """The judgements of a study, by its name, or of a file."""
    file = Path(source)
    if file.suffix or file.is_file():  # names of studies have no dot
        return _of_file(file)
    from srgan.studies.figures import find_figures
    from srgan.studies.parts import judged_columns

    store, design, parts = collected(source)
    return Judged(
        title=f"study {source}",
        columns=judged_columns(design, parts),
        measured=find_figures(store, source),
        study=(store, design, parts),
    )


def page_of(judged: Judged, found: "Results") -> str:
    """HTML about the results; for a study with its pictures."""
    from srgan.report.page import render_study
    from srgan.report.study import StudyContent

    if judged.study is None:
        return render_study(StudyContent(judged.title, moment(datetime.now(UTC)), found))
    from srgan.studies.design import find_end
    from srgan.studies.report import study_content

    store, design, parts = judged.study
    end = find_end(store, design.name)
    return render_study(study_content(store, design, parts, judged.columns, found, end))


def read_file(file: Path) -> bytes:
    if not file.is_file():
        raise ConfigError(f"{file} does not exist or is not a file")
    return file.read_bytes()


def _of_file(file: Path) -> Judged:
    from srgan.mos.columns import choices_of, columns_of
    from srgan.mos.ratings import holds_preferences, parse_preferences, parse_ratings

    data = read_file(file)
    if holds_preferences(file.name, data):
        return Judged(file.name, choices_of(parse_preferences(file.name, data)))
    return Judged(file.name, columns_of(parse_ratings(file.name, data)))

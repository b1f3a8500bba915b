"""`srgan mos`: mean opinion scores, from studies in which people judged upscaled images."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srgan.cli.console import AsJson, Commands, print_json, say, show_tables
from srgan.cli.services import services_for
from srgan.cli.studies import close, collected, create, export, list_studies, serve, write_file
from srgan.errors import ConfigError, DataError
from srgan.readable import moment

if TYPE_CHECKING:
    from srgan.mos.agreement import FigureValues
    from srgan.mos.columns import Choices, Columns
    from srgan.mos.results import Results
    from srgan.promotion.opinions import Study
    from srgan.services.s3 import S3Store
    from srgan.studies.design import StudyDesign
    from srgan.studies.parts import Part

mos_app = Commands("Mean opinion scores of model versions.")
for verb in (create, serve, close, export):
    mos_app.command()(verb)
mos_app.command("list")(list_studies)


@mos_app.command("import")
def import_ratings(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ratings, .csv or .json")],
    model: Annotated[str, typer.Option(metavar="NAME", help="The registered model")],
) -> None:
    """Store a study of ratings from 1 to 5; the gate uses it for the versions that it rates.

    Besides versions it may rate other methods by name, such as nearest, bicubic and original.
    """
    from srgan.mos.ratings import parse_ratings
    from srgan.promotion.opinions import Study, keep_study, parts_of_others, read_studies

    prefix = f"{model}/"  # as the methods of a study are called
    ratings = [
        each.model_copy(update={"method": each.method.removeprefix(prefix)})
        for each in parse_ratings(file.name, read_file(file))
    ]
    with services_for(model) as services:
        versions = services.registry.versions(model)
        known = {each.version for each in versions}
        rated = Study(model=model, source=file.name, ratings=tuple(ratings)).versions
        unknown = sorted(rated - known)
        if unknown:
            raise DataError(
                f"{file} rates version {', '.join(map(str, unknown))} of {model}, which has "
                f"{', '.join(map(str, sorted(known)))}"
            )
        key = keep_study(services.store, model, file.name, ratings, versions)
        typer.echo(services.store.uri(key))
        studies = read_studies(services.store, model)
        if len(studies[key].ratings) > len(ratings):
            say(f"{file} is a part of this study, which was there: nothing is stored")
        for part, whole in parts_of_others(studies).items():
            if whole == key:
                say(f"{part} ({studies[part].source}) is a part of it and does not count")
        _show({key: studies[key]})


@mos_app.command()
def show(
    model: Annotated[str, typer.Argument(metavar="NAME", help="The registered model")],
) -> None:
    """Show the studies of a model, with the mean opinion score of each method."""
    from srgan.promotion.opinions import parts_of_others, read_studies

    with services_for(model) as services:
        studies = read_studies(services.store, model)
        if not studies:
            typer.echo(f"there is no study of {model} yet; see `srgan mos import --help`")
        parts = parts_of_others(studies)
        _show({key: study for key, study in studies.items() if key not in parts})
        for part, whole in parts.items():
            say(f"{part} ({studies[part].source}) is a part of {whole} and does not count")


@mos_app.command()
def results(
    source: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|FILE",
            help="Name of a study, or a file of ratings (.csv, .json) or pair comparisons (.csv)",
        ),
    ],
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV with method, image, and a column for each figure, such as psnr",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="HTML page to write, which needs nothing else"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Analyse ratings or pair comparisons: scores, rejected raters, what differs.

    A file needs no stack. With figures of the same images it also says which of them agrees with
    people; those of a study are measured by `srgan mos close`.
    """
    from srgan.cli.mos import judged_by, page_of
    from srgan.cli.mos_tables import results_tables
    from srgan.mos.agreement import parse_measured
    from srgan.mos.columns import Choices
    from srgan.mos.results import results_of

    judged = judged_by(source)
    measured = judged.measured
    if figures:
        if isinstance(judged.columns, Choices):
            raise ConfigError("--figures goes with ratings, and these are pair comparisons")
        measured = parse_measured(figures.name, read_file(figures))
    found = results_of(judged.columns, measured)
    if report:
        write_file(report, page_of(judged, found).encode())
    if as_json:
        return print_json(found)
    show_tables(*results_tables(judged.title, found))
    if report:
        typer.echo(str(report))
    return None


@mos_app.command()
def plan(
    images: Annotated[int, typer.Option(min=2, metavar="N", help="Images that each rater sees")],
    difference: Annotated[
        float, typer.Option(min=0.01, max=4, metavar="SCORE", help="Difference to be found")
    ] = 0.2,
    power: Annotated[
        float, typer.Option(min=0.01, max=0.99, metavar="SHARE", help="Chance to find it")
    ] = 0.8,
    like: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ratings of an earlier study, whose spread to assume"),
    ] = None,
) -> None:
    """Say how many raters a study needs until its interval shows a difference of two methods.

    Every rater rates both methods on each image.
    """
    from srgan.mos.plan import MAX_RATERS, Spread, raters_needed, spread_of
    from srgan.mos.ratings import parse_ratings

    spread = spread_of(parse_ratings(like.name, read_file(like))) if like else Spread()
    num_raters = raters_needed(spread, difference, images, power)
    typer.echo(
        f"spread of a difference{f' in {like.name}' if like else ', assumed'}: "
        f"{spread.images:.2f} between images, {spread.raters:.2f} between raters, "
        f"{spread.noise:.2f} noise"
    )
    if num_raters is None:
        raise ConfigError(
            f"not even {MAX_RATERS} raters find a difference of {difference:g} on {images} images "
            f"with {power:.0%} power; take more images"
        )
    typer.echo(
        f"{num_raters} raters, {images} images each: a difference of {difference:g} is found with "
        f"{power:.0%} power at 95 % confidence"
    )


def _show(studies: "dict[str, Study]") -> None:
    from srgan.cli.mos_tables import opinions_table
    from srgan.mos.scores import opinions

    show_tables(
        *(
            opinions_table(f"{study.source}, {key}", opinions(study.ratings))
            for key, study in studies.items()
        )
    )


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

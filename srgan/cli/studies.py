"""`srgan mos create`, `serve`, `list`, `close` and `export`: studies from design to file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from srgan.cli.console import AsJson, print_json, say, show_tables
from srgan.cli.progress import ProgressBar
from srgan.cli.services import services_for
from srgan.disk import write_atomically
from srgan.errors import ConfigError, DataError
from srgan.studies.design import BREAK_AFTER, RATERS, REPEATS, SCREENS, SEED

if TYPE_CHECKING:
    from srgan.services.s3 import S3Store
    from srgan.settings import Settings
    from srgan.studies.design import StudyDesign
    from srgan.studies.parts import Part

_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  # refused as part of links

StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study")]


def create(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="Name of the new study")],
    on: Annotated[str, typer.Option("--eval", metavar="SET", help="Evaluation set of its images")],
    methods: Annotated[
        str,
        typer.Option(
            metavar="A,B,…",
            help="bicubic, shipped, a weights file, models:/NAME@ALIAS, models:/NAME/N, or "
            "results that are there: s3://… or a folder. NAME=… names one",
        ),
    ],
    judging: Annotated[
        Literal["ratings", "pairs"], typer.Option(help="From 1 to 5, or which of two is better")
    ] = "ratings",
    scale: Annotated[int, typer.Option(min=2, help="Scale of the methods")] = 4,
    raters: Annotated[int, typer.Option(min=1, help="Links to make")] = RATERS,
    per_rater: Annotated[
        int | None, typer.Option(min=1, help="Judgements of each rater; default: all")
    ] = None,
    repeats: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of judgements asked a second time")
    ] = REPEATS,
    screen: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Largest picture; default: 960x540, for pairs 624x540"),
    ] = None,
    examples: Annotated[
        str | None,
        typer.Option(metavar="SET", help="Evaluation set of the training round; default: --eval"),
    ] = None,
    break_after: Annotated[
        int, typer.Option(min=1, help="Judgements until a break is offered")
    ] = BREAK_AFTER,
    seed: Annotated[int, typer.Option(min=0, help="Decides every order")] = SEED,
) -> None:
    """Render every image by every method into the bucket, and fix the study.

    Ratings always include nearest (the example of a 1) and original (5, the hidden reference).
    """
    from srgan.cli.study_methods import open_methods
    from srgan.measure.sets import newest_set
    from srgan.studies.create import Asked, check_asked, create_study
    from srgan.studies.methods import with_anchors

    settings, store = _open()
    asked = Asked(
        name=name,
        judging=judging,
        scale=scale,
        screen=_size(screen) if screen else SCREENS[judging],
        num_raters=raters,
        judgements_per_rater=per_rater,
        repeats=repeats,
        break_after=break_after,
        seed=seed,
    )
    images = newest_set(store, on)
    shown = newest_set(store, examples) if examples else images
    with open_methods(methods, settings, scale, images.config) as found:
        judged = found if judging == "pairs" else with_anchors(found, scale)
        check_asked(store, asked, judged)
        with ProgressBar("rendering") as progress:
            design = create_study(store, asked, images, judged, shown, progress)
    cropped = sum(each.crop is not None for each in design.images)
    typer.echo(
        f"study {name}: {len(design.methods)} methods ({', '.join(design.method_names)}), "
        f"{len(design.images)} images, {cropped} of them cut to {design.screen[0]}×"
        f"{design.screen[1]} where the methods differ most; {design.num_raters} raters with "
        f"{design.judgements_per_rater} judgements each and {design.repeats:.0%} repeats"
    )
    typer.echo(f"srgan mos serve {name}")


def serve(
    name: StudyArgument,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than loopback, others reach it")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on")] = 8500,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Beginning of the links, behind a proxy with HTTPS"),
    ] = None,
) -> None:
    """Serve a study to its raters until Ctrl-C; prints a link for each rater."""
    from srgan.studies.design import find_end, read_design
    from srgan.studies.serve import export_rest, serve_study

    if url is None and host in _EVERYWHERE:
        raise ConfigError(
            f"--host {host} is every address of this machine and cannot be part of a link; add "
            f"--url with the address that raters reach, such as --url http://NAME:{port}"
        )
    settings, store = _open()
    design = read_design(store, name)
    if find_end(store, name):
        export_rest(store, design, settings.home)
        raise ConfigError(f"study {name} is closed; create another one")
    serve_study(store, design, settings, host=host, port=port, public_url=url, say=typer.echo)


def list_studies(as_json: AsJson = False) -> None:
    """List the studies of the bucket with their ratings so far."""
    from srgan.cli.mos_tables import studies_table
    from srgan.studies.design import designs, find_end
    from srgan.studies.parts import read_parts

    _, store = _open()
    rows = []
    for design in designs(store):
        counts = [part.num_judgements for part in read_parts(store, design.name)]
        rows.append(
            {
                "study": design.name,
                "created": design.created_at,
                "judging": design.judging,
                "methods": design.method_names,
                "num_images": len(design.images),
                "num_raters": sum(count > 0 for count in counts),
                "num_judgements": sum(counts),
                "closed": find_end(store, design.name) is not None,
            }
        )
    print_json({"studies": rows}) if as_json else show_tables(studies_table(rows))


def close(name: StudyArgument) -> None:
    """Refuse further answers, hand ratings of versions to the gate of their models, and report.

    The report lies in the bucket and, for versions of models, in MLflow, where their scores become
    metrics. A flow run that waits for the study goes on. Runs where the study was served. Repeating
    it writes the report again.
    """
    from srgan.keys import study_report_key
    from srgan.studies.close import (
        close_study,
        hand_to_gates,
        note_with_versions,
        parts_now,
        write_report,
    )
    from srgan.studies.design import read_design
    from srgan.studies.serve import open_database
    from srgan.studies.waiting import resume_waiting

    settings, store = _open()
    design = read_design(store, name)
    database = open_database(settings.home, design)
    try:
        end = close_study(store, design, database)
        typer.echo(f"closed with {end.num_judgements} judgements of {end.num_raters} raters")
        parts = parts_now(store, design, database)
    finally:
        database.close_connection()
    for key in hand_to_gates(store, design, parts):
        typer.echo(store.uri(key))
    with ProgressBar("measuring what raters saw") as progress:
        written = write_report(store, design, parts, progress)
    if written:
        typer.echo(store.uri(study_report_key(name)))
    if written and design.models:
        with services_for() as services:
            for address in note_with_versions(settings, services.registry, design, *written):
                typer.echo(address)
    if not resume_waiting(design, settings, say):
        say(f"flow run {design.flow_run} is not suspended yet; it finds the end by itself")


def export(
    name: StudyArgument,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="To write: .csv, .parquet, or .json for SUREAL")
    ],
) -> None:
    """Write all judgements of a study into a file."""
    from srgan.studies.export import exported
    from srgan.studies.parts import judgements_of

    _, design, parts = collected(name)
    judgements = judgements_of(parts)
    data = exported(design, judgements, file.name)
    write_file(file, data)
    say(f"{len(judgements)} judgements")
    typer.echo(str(file))


def collected(name: str) -> "tuple[S3Store, StudyDesign, list[Part]]":
    """The parts of a study in the bucket; `DataError` if there is not a judgement in them."""
    from srgan.studies.design import read_design
    from srgan.studies.parts import read_parts

    _, store = _open()
    design = read_design(store, name)
    parts = read_parts(store, name)
    if not any(part.num_judgements for part in parts):
        raise DataError(
            f"study {name} has no judgements yet; a server writes them every few seconds"
        )
    return store, design, parts


def write_file(file: Path, data: bytes) -> None:
    """Write a file that a user asked for, whole; `ConfigError` if its folder is not there."""
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"the folder {file.absolute().parent} does not exist")
    with write_atomically(file) as draft:
        draft.write_bytes(data)


def _open() -> "tuple[Settings, S3Store]":
    from srgan.services.s3 import open_store
    from srgan.settings import Settings

    settings = Settings()
    return settings, open_store(settings)


def _size(given: str) -> tuple[int, int]:
    width, _, height = given.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) >= 64 and int(height) >= 64):
        raise ConfigError(f"--screen {given}: expected WIDTHxHEIGHT in pixels, at least 64x64")
    return int(width), int(height)

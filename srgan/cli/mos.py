"""`srgan mos`: mean opinion scores, from studies in which people rated upscaled images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srgan.cli.console import Commands
from srgan.cli.services import services_for
from srgan.errors import ConfigError, DataError

if TYPE_CHECKING:
    from srgan.promotion.opinions import Study

mos_app = Commands("Mean opinion scores of model versions.")


@mos_app.command("import")
def import_ratings(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ratings, .csv or .json")],
    model: Annotated[str, typer.Option(metavar="NAME", help="The registered model")],
) -> None:
    """Store a study of ratings from 1 to 5; the gate uses it for the versions that it rates.

    Besides versions it may rate other methods by name, such as nearest, bicubic and original.
    """
    from srgan.promotion.opinions import Study, keep_study, parse_ratings, read_studies

    if not file.is_file():
        raise ConfigError(f"{file} does not exist or is not a file")
    ratings = parse_ratings(file.name, file.read_bytes())
    with services_for(model) as services:
        known = {each.ref.version for each in services.registry.versions(model)}
        rated = Study(model=model, source=file.name, ratings=tuple(ratings)).versions
        unknown = sorted(rated - known)
        if unknown:
            raise DataError(
                f"{file} rates version {', '.join(map(str, unknown))} of {model}, which has "
                f"{', '.join(map(str, sorted(known)))}"
            )
        key = keep_study(services.store, model, file.name, ratings)
        typer.echo(services.store.uri(key))
        _show({key: read_studies(services.store, model)[key]})


@mos_app.command()
def show(
    model: Annotated[str, typer.Argument(metavar="NAME", help="The registered model")],
) -> None:
    """Show the studies of a model, with the mean opinion score of each method."""
    from srgan.promotion.opinions import read_studies

    with services_for(model) as services:
        studies = read_studies(services.store, model)
        if not studies:
            typer.echo(f"there is no study of {model} yet; see `srgan mos import --help`")
        _show(studies)


def _show(studies: "dict[str, Study]") -> None:
    from srgan.cli.tables import opinions_table, show_tables
    from srgan.promotion.opinions import opinions

    show_tables(
        *(
            opinions_table(f"{study.source}, {key}", opinions(study))
            for key, study in studies.items()
        )
    )

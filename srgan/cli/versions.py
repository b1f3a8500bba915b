"""`srgan trace` and `srgan gc`: where a version comes from, and versions that nobody needs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srgan.cli.console import AsJson, print_json, say
from srgan.cli.services import services_for
from srgan.errors import ConfigError
from srgan.readable import size
from srgan.report.chain import as_svg, as_text

if TYPE_CHECKING:
    from srgan.promotion.cleanup import Plan


def trace(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS", help="s3://BUCKET/KEY of an upscaled image, or models:/NAME/VERSION"
        ),
    ],
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw the chain into this SVG file")
    ] = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="Also list every photo that the model was trained on")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the chain from an upscaled image to its model, runs, dataset, photos and code."""
    from srgan.versions.trace import check_address, source_keys
    from srgan.versions.trace import trace as find

    if svg and not svg.parent.is_dir():
        raise ConfigError(f"--svg {svg}: there is no folder {svg.parent}")
    check_address(address)
    tell = say if as_json else typer.echo
    with services_for(say=tell) as services:
        chain = find(services, address)
        if not as_json:
            typer.echo(as_text(chain))
        if svg:
            svg.write_text(as_svg(chain, alone=True), encoding="utf-8")
            tell(f"\ndrawn in {svg}")
        photos = source_keys(services, address) if sources else None
        if as_json:
            print_json({"chain": chain, "photos": photos})
        elif photos is not None:
            typer.echo("\n".join(["\nphotos:", *photos]))


_DAY_S = 86_400


def gc(
    keep: Annotated[
        int, typer.Option(min=1, help="Always keep this many of each model's newest versions")
    ] = 5,
    older_than: Annotated[
        float,
        typer.Option(
            metavar="DAYS", min=0, help="Always keep what was written in the last DAYS days"
        ),
    ] = 7,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete what is listed; otherwise only list it")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List old model versions, runs and dataset versions that nothing needs; delete on request."""
    from srgan.services.prefect_runs import running_flow_runs
    from srgan.versions.delete import delete as delete_all
    from srgan.versions.delete import plan, refuse_while_busy
    from srgan.versions.services import open_services

    services = open_services(say if as_json else typer.echo)
    services.settings.require("prefect_api_url")
    running = running_flow_runs()
    if delete:
        refuse_while_busy(running)
    found = plan(services, running, keep=keep, before=time.time() - older_than * _DAY_S)
    things = [
        *(_Thing("model version", each.name, each.size_bytes) for each in found.versions),
        *(
            _Thing(each.kind, each.name, each.size_bytes, len(each.keys), each.why)
            for each in found.waste
        ),
    ]
    if not as_json:
        _list(found, things, delete=delete)
    if delete:
        delete_all(services, found, running_flow_runs())
    total_bytes = sum(each.size_bytes for each in things)
    if as_json:
        unread = list(found.unread)
        about = {"deleted": delete, "total_bytes": total_bytes, "kept": found.kept}
        print_json({**about, "unread": unread, "things": things})
    elif not things:
        typer.echo("nothing to delete")
    elif not delete:
        total = f"{len(things)} things, {size(total_bytes)}"
        typer.echo(f"{total}; delete them with `srgan gc --delete`")
    else:
        typer.echo(f"deleted {len(things)} things, {size(total_bytes)}")


@dataclass(frozen=True)
class _Thing:
    """One thing that can go."""

    kind: str
    name: str
    size_bytes: int
    num_objects: int = 0
    """Objects in the bucket; 0 for a model version, whose files MLflow keeps."""
    why: str = ""


def _list(found: "Plan", things: Sequence[_Thing], *, delete: bool) -> None:
    for why in found.unread:
        typer.echo(f"keeps   all runs and dataset versions: {why}")
    for name, why in found.kept.items():
        typer.echo(f"keeps   {name}: {why}")
    for each in things:
        objects = f", {each.num_objects} objects" if each.num_objects else ""
        typer.echo(
            f"{'deletes' if delete else 'would delete'}  {each.kind} {each.name}: "
            f"{size(each.size_bytes)}{objects}{'; ' if each.why else ''}{each.why}"
        )

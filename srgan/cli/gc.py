"""`srgan gc`: old versions and the data that only they needed."""

import time
from typing import Annotated

import typer

from srgan.readable import size

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
) -> None:
    """List old model versions, runs and dataset versions that nothing needs; delete on request."""
    from srgan.services.prefect_runs import running_flow_runs
    from srgan.services.s3 import open_store
    from srgan.settings import Settings
    from srgan.versions.delete import delete as delete_all
    from srgan.versions.delete import plan, refuse_while_busy

    settings = Settings()
    settings.require("prefect_api_url")
    running = running_flow_runs()
    if delete:
        refuse_while_busy(running)
    store = open_store(settings)
    found = plan(settings, store, running, keep=keep, before=time.time() - older_than * _DAY_S)
    rows = [
        *(("model version", each.name, 0, each.size_bytes, "") for each in found.versions),
        *(
            (each.kind, each.name, len(each.keys), each.size_bytes, each.why)
            for each in found.waste
        ),
    ]
    for why in found.unread:
        typer.echo(f"keeps   all runs and dataset versions: {why}")
    for name, why in found.kept.items():
        typer.echo(f"keeps   {name}: {why}")
    for kind, name, num_objects, size_bytes, why in rows:
        objects = f", {num_objects} objects" if num_objects else ""
        typer.echo(
            f"{'deletes' if delete else 'would delete'}  {kind} {name}: "
            f"{size(size_bytes)}{objects}{'; ' if why else ''}{why}"
        )
    total = size(sum(size_bytes for _, _, _, size_bytes, _ in rows))
    if not rows:
        typer.echo("nothing to delete")
    elif not delete:
        typer.echo(f"{len(rows)} things, {total}; delete them with `srgan gc --delete`")
    else:
        delete_all(settings, store, found, say=typer.echo)
        typer.echo(f"deleted {len(rows)} things, {total}")

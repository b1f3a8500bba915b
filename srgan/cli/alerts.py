"""`srgan alerts`: what Prefect's server tells people about runs; ours, or those of a file."""

from pathlib import Path
from typing import Annotated

import typer

from srgan.cli.console import warn


def alerts(
    file: Annotated[
        Path | None, typer.Argument(help="Your own file of automations; default: srgan's alerts")
    ] = None,
) -> None:
    """Apply alerts about runs to Prefect's server; safe to repeat.

    Messages go through the notification block of Prefect that is named srgan-alerts.
    """
    from srgan.services.prefect_alerts import ALERTS, BLOCK, apply_alerts
    from srgan.settings import Settings

    Settings().require("prefect_api_url")
    done = apply_alerts(file or ALERTS)
    for each in done.automations:
        typer.echo(f"{each.outcome:<10} {each.name}")
    if not done.sends:
        warn(
            f"nothing sends a message, because Prefect has no block named {BLOCK}. Make a "
            "notification block of that name on Prefect's page Blocks, and repeat this command"
        )

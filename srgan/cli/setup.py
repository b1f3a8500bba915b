"""`srgan deploy`, `srgan alerts` and `srgan doctor`: set services up, and check all of them."""

from pathlib import Path
from typing import Annotated

import typer

from srgan.cli.console import AsJson, print_json, warn


def deploy() -> None:
    """Register the flows with the Prefect server that PREFECT_API_URL names; safe to repeat.

    The work pool has to be there. With SRGAN_TEAM, deployments, pool and automations have the
    names of the team.
    """
    from srgan.services.deployments import read_project, register
    from srgan.settings import Settings
    from srgan.stack.environment import CHECKOUT, deployments_file

    settings = Settings()
    settings.require("prefect_api_url")
    register(read_project(deployments_file(), settings), CHECKOUT)
    typer.echo("deployed; see them with `prefect deployment ls`")


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


def doctor(as_json: AsJson = False) -> None:
    """Check S3, MLflow, Prefect, Ray and this machine; exit with 1 if anything failed.

    It writes, reads and deletes one small object in the bucket, and starts one job on Ray, which
    reserves no CPU. Each check has a time limit.
    """
    from srgan.doctor import examine
    from srgan.settings import Settings
    from srgan.stack.environment import CHECKOUT, deployments_file

    findings, part = [], ""
    for each in examine(Settings(), CHECKOUT, deployments_file):
        findings.append(each)
        if as_json:
            continue
        if each.part != part:
            part = each.part
            typer.echo(part)
        typer.echo(f"  {each.outcome:<12} {each.check}: {each.seen}")
        if each.remedy:
            typer.echo(f"  {'':<12} → {each.remedy}")
    num_failed = sum(each.outcome == "failed" for each in findings)
    if as_json:
        print_json({"failed": num_failed, "checks": findings})
    else:
        typer.echo(f"{num_failed} of {len(findings)} checks failed")
    if num_failed:
        raise typer.Exit(1)

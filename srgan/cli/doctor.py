"""`srgan doctor`: look at all services and this machine, and say what to do."""

import typer

from srgan.cli.console import AsJson, print_json


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

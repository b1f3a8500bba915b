"""`srgan deploy`: register the flows with a Prefect server."""

import typer


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

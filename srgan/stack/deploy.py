"""Register the flows of `prefect.yaml` with the running Prefect server."""

import subprocess
import sys
from pathlib import Path

from srgan.errors import StackError
from srgan.stack.environment import CHECKOUT, service_environment
from srgan.stack.local import Stack


def deploy(stack: Stack) -> None:
    """`prefect --no-prompt deploy --all` with this stack's environment; again changes nothing."""
    answer = subprocess.run(  # noqa: S603 - a fixed command
        [str(Path(sys.executable).with_name("prefect")), "--no-prompt", "deploy", "--all"],
        cwd=CHECKOUT,
        env=service_environment(stack.state),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise StackError(f"`prefect deploy --all` failed:\n{answer.stdout[-3000:]}")

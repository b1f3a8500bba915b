"""The real stack, started once for these tests, and stopped after the last of them."""

from collections.abc import Iterator

import pytest

from srgan.stack import Stack, environment
from srgan.stack.state import StackState
from tests.support.running_stack import Notebook, RunningStack

# Half of the server's work: tests read no task runs and no past events, and nothing is scheduled.
_UNREAD = ("TASK_RUN_RECORDER", "EVENT_PERSISTER", "SCHEDULER", "LATE_RUNS", "PAUSE_EXPIRATIONS")
LESS_WORK = {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _UNREAD}


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """All services on free ports in their own directory, with the flows deployed."""
    services = Stack(tmp_path_factory.mktemp("stack"))
    whole = environment.service_environment

    def service_environment(state: StackState) -> dict[str, str]:
        return {**whole(state), **LESS_WORK}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "service_environment", service_environment)
        try:
            services.up()
            services.deploy()
            yield RunningStack(services)
        finally:
            services.down()


@pytest.fixture(scope="package")
def notebook(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A process with the stack's environment, in which tests call flows."""
    opened = Notebook(stack.env, tmp_path_factory.mktemp("notebook") / "log")
    try:
        yield opened
    finally:
        opened.close()

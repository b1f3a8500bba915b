"""The real stack, started once per session."""

from collections.abc import Iterator

import pytest

from srgan.stack import Stack
from tests.support.running_stack import RunningStack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """All services on free ports in their own directory, with the flows deployed."""
    services = Stack(tmp_path_factory.mktemp("stack"))
    try:
        services.up()
        services.deploy()
        yield RunningStack(services)
    finally:
        services.down()

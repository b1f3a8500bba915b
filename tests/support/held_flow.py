"""A flow that does nothing until it is told to end; alone here, because workers import its file."""

import os
import time
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run


@flow
def hold(folder: str) -> None:
    """Write this process's number into a file named after the run; end when there is ``end``."""
    Path(folder, str(flow_run.id)).write_text(str(os.getpid()))
    while not Path(folder, "end").exists():
        time.sleep(0.2)

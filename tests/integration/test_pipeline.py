"""The main job through a deployment and the real worker, and what its users do next."""

import json
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import RunningStack, dead_leaves

pytestmark = pytest.mark.integration

RETRAIN = {
    "source": "s3://srgan/raw/leaves",
    "dataset": "leaves",
    "model": "leaves-x4",
    "recipe": "tiny",
}


@pytest.fixture(scope="module")
def retrained(stack: RunningStack) -> RunningStack:
    """Eight photos uploaded and one retraining finished through its deployment."""
    for seed in range(8):
        stack.store.put(f"raw/leaves/{seed}.png", dead_leaves(seed))
    done = stack.deployment("retrain/retrain", **RETRAIN)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    return stack

"""A folder with one of everything through the deployed flow; `make test-slow GROUP=bulk`."""

import hashlib
import json
from collections import Counter
from typing import Any

import pytest

from srgan.bulk.summary import Summary
from srgan.config import GeneratorConfig
from srgan.models.interchange import dump_generator
from srgan.promotion.lineage import ImportLineage
from srgan.versions.register import Registrar
from tests.support.flow_runs import Run
from tests.support.mixed_folder import SCALE, expected, found, mixed_folder, results
from tests.support.networks import random_generator
from tests.support.running_stack import RunningStack

pytestmark = [
    pytest.mark.slow(group="bulk"),
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic"),
]

DESTINATION = "bulk/mixed-large"
FAILURES = {"truncated": 3, "unsupported": 2, "not_an_image": 1, "empty": 1, "corrupt": 1}
LOSSES = {"further images": 1, "further channels": 1}


@pytest.fixture(scope="module")
def model(stack: RunningStack) -> str:
    """Address of a version of random weights, and the folder in the bucket."""
    for name, entry in mixed_folder().items():
        stack.store.put(f"bulk/mixed/{name}", entry.data)
    config = GeneratorConfig(kind="bicubic_resnet", scale=SCALE, num_blocks=1, num_channels=8)
    weights = dump_generator(random_generator(config))
    lineage = ImportLineage(
        source_file="drawn.pth",
        source_sha256="cd" * 32,
        source_format="drawn",
        weights_digest=hashlib.sha256(weights).hexdigest(),
    )
    return Registrar(stack.stack.settings()).register_import("mixed-x2", weights, lineage).uri


def upscale(stack: RunningStack, model: str, tolerance: float) -> tuple[Run, str]:
    """Start the deployment and wait; the run, and the type of its last state."""
    run = Run(
        stack,
        "upscale/upscale",
        {
            "source": "s3://srgan/bulk/mixed",
            "destination": f"s3://srgan/{DESTINATION}",
            "model": model,
            "config": {"failure_tolerance": tolerance},
        },
    )
    try:
        return run, run.wait(600)
    finally:
        run.close()


def artifacts(stack: RunningStack, run: Run) -> dict[str, Any]:
    """Content of a run's artifacts by their keys."""
    chosen = {"artifacts": {"flow_run_id": {"any_": [run.id]}}}
    listed = stack.prefect("POST", "/artifacts/filter", chosen)
    return {
        each["key"]: json.loads(each["data"]) if each["type"] == "table" else each["data"]
        for each in listed
    }


def summary_of(stack: RunningStack, run: Run) -> Summary:
    own = f"{DESTINATION}/_srgan/{run.id}"
    (key,) = (info.key for info in stack.store.list(own) if info.key.endswith("/summary.json"))
    return Summary.model_validate_json(stack.store.get(key))


def test_a_folder_with_one_of_everything_comes_out_as_the_docs_say(
    stack: RunningStack, model: str
) -> None:
    folder = mixed_folder()
    fates = expected(folder)
    outcomes = Counter(fate.outcome for fate in fates.values())
    passed_over = outcomes["passed_over"] + len(folder) - len(fates)

    run, state = upscale(stack, model, tolerance=0)

    assert state == "FAILED", "more failed than is tolerated, and everything else is done"
    assert found(stack.store, "bulk/mixed", DESTINATION, run.id) == dict(sorted(fates.items()))
    names = {fate.result.rpartition(" (")[0] for fate in fates.values() if fate.result}
    assert results(stack.store, DESTINATION) == names
    for told in (run.now["state"]["message"], run.logs):
        assert f"{outcomes['failed']} of {outcomes['done'] + outcomes['failed']} images" in told
    counts = summary_of(stack, run).counts
    assert (counts.num_done, counts.num_failed) == (outcomes["done"], outcomes["failed"])
    assert (counts.num_passed_over, counts.num_skipped) == (passed_over, 0)
    assert (counts.reasons, counts.losses) == (FAILURES, LOSSES)
    shown = artifacts(stack, run)
    (row,) = shown["upscale"]
    assert (row["done"], row["failed"]) == (outcomes["done"], outcomes["failed"])
    assert (row["not photos"], row["lost something"]) == (passed_over, len(LOSSES))
    assert {each["lost"]: each["images"] for each in shown["upscale-losses"]} == LOSSES
    failed = {name for name, fate in fates.items() if fate.outcome == "failed"}
    assert {each["image"] for each in shown["upscale-failures"]} == {
        f"bulk/mixed/{name}" for name in failed
    }
    assert {"upscale-progress", "upscale-stages"} <= shown.keys()

    again, state = upscale(stack, model, tolerance=0.5)

    assert state == "COMPLETED", "as many failures are tolerated"
    assert found(stack.store, "bulk/mixed", DESTINATION, again.id) == {
        name: fates[name] for name in sorted(failed)
    }, "only failures are tried again"
    assert summary_of(stack, again).counts.num_skipped == outcomes["done"]
    assert results(stack.store, DESTINATION) == names

"""The local stack's folder is its backup, as docs/operations.md says."""

import re
import subprocess
from pathlib import Path

import pytest

from srgan.services.s3 import open_store
from srgan.stack import Stack
from tests.support.checkout import ROOT
from tests.support.running_stack import RunningStack

pytestmark = pytest.mark.integration

_PAGE = (ROOT / "docs" / "operations.md").read_text()

_LOG = """
import mlflow
mlflow.set_experiment("kept")
with mlflow.start_run(run_name="kept"):
    mlflow.log_metric("psnr", 28.43)
    mlflow.log_text("figures", "kept.txt")
"""
_READ = """
import mlflow
(run,) = mlflow.search_runs(experiment_names=["kept"], output_format="list")
print(run.data.metrics["psnr"], mlflow.artifacts.load_text(run.info.artifact_uri + "/kept.txt"))
"""


@pytest.mark.slow(group="parts")
def test_a_stack_that_is_unpacked_elsewhere_has_everything_that_was_packed(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        folder.mkdir()
    packing, unpacking = re.findall(r"tar --(?:create|extract) [^\n`]+", _PAGE)
    stack = Stack(before / ".srgan")
    try:
        stack.up()
        stack.deploy()
        shell = RunningStack(stack)
        shell.store.put("raw/kept.txt", b"a photo")
        shell.python(_LOG)
    finally:
        stack.down()
    subprocess.run(packing.split(), cwd=before, check=True)
    archive = before / "srgan-backup.tar.gz"
    subprocess.run(unpacking.split(), cwd=archive.rename(after / archive.name).parent, check=True)
    (before / ".srgan").rename(before / "lost")
    stack = Stack(after / ".srgan")
    try:
        stack.up()
        shell = RunningStack(stack)
        assert open_store(stack.settings()).get("raw/kept.txt") == b"a photo"
        assert shell.python(_READ).split() == ["28.43", "figures"]
        deployed = shell.prefect("POST", "/deployments/filter", {})
        assert "retrain" in {each["name"] for each in deployed}
        schedules = {each["name"]: each["schedules"] for each in deployed}
        assert schedules["retrain"]
        done = shell.run("srgan", "doctor")
        assert done.returncode == 0, done.stdout
    finally:
        stack.down()

"""Modules that a process loads when it starts: torch, MLflow and Ray cost seconds each."""

import subprocess
import sys
from pathlib import Path

from tests.support.checkout import ROOT

HEAVY = {"torch", "mlflow", "ray", "skimage", "sklearn"}
FLOWS = sorted(f"flows.{path.stem}" for path in Path(ROOT, "flows").glob("[a-z]*.py"))


def test_flows_drivers_and_photos_load_what_computes_only_when_they_need_it() -> None:
    modules = ["srgan", "srgan.images.files", "srgan.images.resample", "srgan.jobs.upscale", *FLOWS]
    code = (
        "import importlib, sys\n"
        f"for name in {modules}:\n"
        "    importlib.import_module(name)\n"
        f"    print(name, sorted({HEAVY} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert done.stdout.splitlines() == [f"{name} []" for name in modules]

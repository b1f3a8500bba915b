"""Answers of nodes to the doctor, on a real Ray whose node claims to have a GPU."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import torch

from srgan.jobs.releases import blind_torch, main
from srgan.version import release_version

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of its processes

SEES_UNLESS_HIDDEN = """
import os
__version__ = "9.9"
class cuda:
    is_available = staticmethod(lambda: "CUDA_VISIBLE_DEVICES" not in os.environ)
"""


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of the only node."""
    # Nothing listens there; else Ray asks another cluster of this machine.
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:9")
    ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield ray.nodes()[0]["NodeManagerAddress"]
    ray.shutdown()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_node_with_a_gpu_that_torch_does_not_see_says_so(
    node: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main()
    told = json.loads(capsys.readouterr().out)
    assert told == {"releases": {node: release_version()}, "blind": {node: torch.__version__}}


@pytest.mark.parametrize("hidden", ["", "NoDevFiles"])
def test_gpus_that_ray_hides_from_a_task_without_one_are_seen(
    hidden: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text(SEES_UNLESS_HIDDEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert blind_torch() is None

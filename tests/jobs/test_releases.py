"""Answers of nodes to the doctor, on a real Ray whose node claims to have a GPU."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
import torch

from srgan.doctor import cluster
from srgan.jobs import releases
from srgan.jobs.releases import blind_torch, look, main
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
    assert told == {
        "releases": {node: release_version()},
        "blind": {node: torch.__version__},
        "unwell": {},
    }


def test_hung_nodes_do_not_keep_the_others_from_being_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hung = {"10.0.0.7", "10.0.0.9"}
    clock, nodes = [0.0], ["10.0.0.7", "10.0.0.8", "10.0.0.9"]

    def get(address: str, timeout: float) -> dict[str, str]:
        if address in hung:
            clock[0] += timeout
            raise ray.exceptions.GetTimeoutError
        return {"releases": "0.1.0"}

    tasks = iter([SimpleNamespace(remote=lambda _, each=each: each) for each in nodes])
    task = SimpleNamespace(options=lambda **_: next(tasks))
    alive = [
        {"NodeManagerAddress": each, "NodeID": "ab" * 28, "Alive": True, "Resources": {}}
        for each in nodes
    ]
    monkeypatch.setattr(releases, "connect", lambda: None)
    monkeypatch.setattr(releases.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(ray, "nodes", lambda: alive)
    monkeypatch.setattr(ray, "remote", lambda **_: lambda _: task)
    monkeypatch.setattr(ray, "get", get)
    main()
    told = json.loads(capsys.readouterr().out)
    assert told["releases"] == {"10.0.0.8": "0.1.0"}
    assert told["unwell"] == dict.fromkeys(hung, "no answer within 60 s")
    assert clock[0] < cluster._JOB_LIMIT_S, "the doctor would have stopped the job"


def pretend_torch(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "torch.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise ImportError('libcudart.so.12: no such file')", "libcudart.so.12: no such file"),
        ("import os; os.abort()", "SIGABRT"),
    ],
)
def test_a_node_whose_torch_fails_tells_its_release_and_the_error(
    code: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_torch(code, tmp_path, monkeypatch)
    found = look(has_gpu=True)
    assert found.keys() == {"releases", "unwell"}
    assert found["releases"] == release_version()
    assert found["unwell"].startswith("torch fails: ")
    assert problem in found["unwell"]
    assert look(has_gpu=False) == {"releases": release_version()}


def test_a_node_whose_torch_hangs_tells_its_release_and_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_torch("import signal; signal.pause()", tmp_path, monkeypatch)
    monkeypatch.setattr(releases, "_LOOK_LIMIT_S", 0.5)
    assert look(has_gpu=True) == {
        "releases": release_version(),
        "unwell": "torch is not imported within 0.5 s",
    }


@pytest.mark.parametrize("hidden", ["", "NoDevFiles"])
def test_gpus_that_ray_hides_from_a_task_without_one_are_seen(
    hidden: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_torch(SEES_UNLESS_HIDDEN, tmp_path, monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert blind_torch() is None

"""Print each node's release as one line of JSON: ``python -m srgan.jobs.releases``.

`srgan doctor` submits it. What it prints is ``{"releases": {"10.0.0.7": "0.1.0+…"}, "blind":
{"10.0.0.7": "2.13.0+cpu"}}``: a node without our code has the error in place of its release, and
``blind`` has the version of torch of each node with GPUs that it does not see.
"""

import json
import os
import subprocess
import sys

from srgan.jobs.node import connect

_LIMIT_S = 60.0
_LOOK_LIMIT_S = 45.0
_LOOK = "import torch; print(torch.__version__, torch.cuda.is_available())"


def main() -> None:
    """Ask all nodes at once. The tasks reserve nothing, so they start on a busy cluster too."""
    connect()
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's, untyped
    task = ray.remote(num_cpus=0, max_retries=0)(look)
    asked = {
        node["NodeManagerAddress"]: task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(node["Resources"].get("GPU", 0) > 0)
        for node in nodes
        if node["Alive"]
    }
    releases, blind = {}, {}
    for address, answer in asked.items():
        try:
            releases[address], torch = ray.get(answer, timeout=_LIMIT_S)
        except Exception as error:
            # Whatever keeps a node from answering is the answer.
            releases[address], torch = str(error).strip().splitlines()[-1], None
        if torch:
            blind[address] = torch
    told = json.dumps({"releases": releases, "blind": blind})
    print(told, flush=True)  # noqa: T201  # read from the job's log


def look(has_gpu: bool) -> tuple[str, str | None]:
    """Return the release here, and the version of torch if the node has GPUs it does not see."""
    from srgan.version import release_version

    return release_version(), blind_torch() if has_gpu else None


def blind_torch() -> str | None:
    """Return the version of torch if it sees no GPU on this machine; None if it sees one."""
    # Another process: Ray hides GPUs from a task that reserves none, and torch would stay in this
    # one, with a context on the GPU.
    seeing = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run(  # noqa: S603 - a fixed command
        [sys.executable, "-c", _LOOK],
        env=seeing,
        capture_output=True,
        text=True,
        check=True,
        timeout=_LOOK_LIMIT_S,
    )
    torch, sees = done.stdout.split()
    return None if sees == "True" else torch


if __name__ == "__main__":
    # `look` is of `__main__`, so nodes get a copy, also those whose srgan lacks this file.
    main()

"""Print each node's release as one line of JSON: ``python -m srgan.jobs.releases``.

`srgan doctor` submits it. What it prints is ``{"releases": {"10.0.0.7": "0.1.0+…"}, "blind":
{"10.0.0.7": "2.13.0+cpu"}, "unwell": {"10.0.0.8": "torch fails: …"}}``. A node without our code has
the error in place of its release. ``blind`` has the version of torch on nodes whose GPUs torch does
not see. ``unwell`` says what is wrong with nodes that do not answer or whose torch fails.
"""

import json
import os
import subprocess
import sys
import time

from srgan.jobs.node import connect

_LIMIT_S = 60.0
"""For all nodes together: `srgan doctor` gives the job half a minute more, to start too."""
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
    told: dict[str, dict[str, str]] = {"releases": {}, "blind": {}, "unwell": {}}
    deadline = time.monotonic() + _LIMIT_S
    for address, answer in asked.items():
        try:
            found = ray.get(answer, timeout=max(0.0, deadline - time.monotonic()))
        except ray.exceptions.GetTimeoutError:
            found = {"unwell": f"no answer within {_LIMIT_S:g} s"}
        except Exception as error:
            # Whatever else keeps a node from answering is the answer.
            found = {"releases": str(error).strip().splitlines()[-1]}
        for what, text in found.items():
            told[what][address] = text
    print(json.dumps(told), flush=True)  # noqa: T201  # read from the job's log


def look(has_gpu: bool) -> dict[str, str]:
    """Return what this node has to tell, by the part of the answer that it belongs to."""
    from srgan.version import release_version

    found = {"releases": release_version()}
    try:
        if has_gpu and (torch := blind_torch()):
            found["blind"] = torch
    except subprocess.TimeoutExpired:
        found["unwell"] = f"torch is not imported within {_LOOK_LIMIT_S:g} s"
    except subprocess.CalledProcessError as error:
        # A process that a signal ended says nothing.
        last = [str(error), *error.stderr.strip().splitlines()][-1]
        found["unwell"] = f"torch fails: {last}"
    return found


def blind_torch() -> str | None:
    """Return the version of torch if it sees no GPU on this machine; None if it sees one.

    `subprocess.SubprocessError` if it cannot be imported, or not in time.
    """
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

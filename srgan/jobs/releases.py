"""Print each node's release as one line of JSON: ``python -m srgan.jobs.releases``.

`srgan doctor` submits it. What it prints is ``{"releases": {"10.0.0.7": "0.1.0+…"}}``; a node
without our code has the error in place of its release.
"""

import json

from srgan.jobs.node import connect

_LIMIT_S = 60.0


def main() -> None:
    """Ask all nodes at once. The tasks reserve nothing, so they start on a busy cluster too."""
    connect()
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's, untyped
    task = ray.remote(num_cpus=0, max_retries=0)(release)
    asked = {
        node["NodeManagerAddress"]: task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in nodes
        if node["Alive"]
    }
    found = {}
    for address, answer in asked.items():
        try:
            found[address] = ray.get(answer, timeout=_LIMIT_S)
        except Exception as error:
            # Whatever keeps a node from answering is the answer.
            found[address] = str(error).strip().splitlines()[-1]
    print(json.dumps({"releases": found}), flush=True)  # noqa: T201  # read from the job's log


def release() -> str:
    """Return the release on the node that this runs on."""
    from srgan.version import release_version

    return release_version()


if __name__ == "__main__":
    # `release` is of `__main__`, so nodes get a copy, also those whose srgan lacks this file.
    main()

"""Cost of metrics for an image and for a line of progress: ``python benchmarks/metrics.py``.

Microseconds of CPU time, the least of rounds, in a process of a Ray of one CPU that is started for
it, and before that outside of Ray, where nothing is recorded. docs/monitoring.md states it.
"""

import time
from collections.abc import Callable

from srgan.bulk.records import Record
from srgan.progress import StageProgress
from srgan.services import ray_metrics

ROUNDS, CALLS = 5, 2000
ROW = Record("k", "t", 1, "m", "c", "done", width=4000, height=3000)
PROGRESS = StageProgress(
    stage="adversarial",
    step=50,
    steps=1000,
    crops_per_s=20.0,
    eta_s=60.0,
    learning_rate=1e-4,
    losses={"content": 0.1, "adversarial": 0.7, "discriminator": 0.7, "skipped": 0.0},
    data_wait_share=0.0,
    data_wait_s=0.0,
    missed_share=None,
    memory_bytes=1,
)


def main() -> None:
    """Print a line for each place."""
    show("outside of Ray")
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    show("in a process of Ray")
    ray.shutdown()


def show(place: str) -> None:
    """Measure both calls here."""
    image = microseconds(lambda: ray_metrics.count_image("run", ROW))
    line = microseconds(lambda: ray_metrics.show_training("run", PROGRESS))
    print(f"{place:20} {image:6.1f} µs for an image, {line:6.1f} µs for a line of progress")


def microseconds(call: Callable[[], None]) -> float:
    """CPU time of one call."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(CALLS):
            call()
        best = min(best, time.process_time() - begun)
    return best / CALLS * 1e6


if __name__ == "__main__":
    main()

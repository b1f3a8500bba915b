"""What a training run told MLflow, step by step."""

from collections.abc import Collection

from srgan.adapters.tracking import mlflow_client
from srgan.settings import Settings


def read_curves(
    settings: Settings, run_id: str, names: Collection[str]
) -> dict[str, list[tuple[int, float]]]:
    """Step and value of each of the named metrics that the run has, steps ascending.

    A stage that was resumed logged some steps twice; the later value counts.
    """
    client = mlflow_client(settings)
    known = client.get_run(run_id).data.metrics.keys()
    curves = {}
    for name in names:
        if name in known:
            history = sorted(client.get_metric_history(run_id, name), key=lambda m: m.timestamp)
            curves[name] = sorted({metric.step: metric.value for metric in history}.items())
    return curves

"""Curves of a run on a real MLflow server."""

from mlflow.entities import Metric

from srgan.services.mlflow_runs import mlflow_client, read_curves, start_run
from srgan.settings import Settings


def test_curves_are_in_the_order_of_steps_and_a_resumed_stage_counts_once(
    mlflow_settings: Settings,
) -> None:
    run_id = start_run(mlflow_settings, name="curves", key="curves", parent=None, params={})
    logged = [("loss", 3.0, 1, 1), ("loss", 9.0, 2, 3), ("loss", 2.0, 3, 2), ("loss", 1.0, 4, 3)]
    mlflow_client(mlflow_settings).log_batch(
        run_id, metrics=[Metric(*each) for each in [*logged, ("other", 1.0, 1, 1)]]
    )
    assert read_curves(mlflow_settings, run_id, ["loss", "psnr"]) == {
        "loss": [(1, 3.0), (2, 2.0), (3, 1.0)]
    }

"""Send figures and pictures of a running training to MLflow, which can neither delay nor end it."""

import logging
import queue
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from srgan.services.mlflow_runs import log_file, mlflow_client
from srgan.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

# MLflow refuses more metrics than this in one request.
_MAX_METRICS_PER_REQUEST = 1000
_FLUSH_INTERVAL_S = 2.0


class MetricLog:
    """Metrics and pictures of one run, sent in batches from a background thread.

    An MLflow server that is down costs figures but never the training: what cannot be sent is kept,
    tried again with the next batch, and given up with a warning at `close`.
    """

    def __init__(self, settings: Settings, run_id: str) -> None:
        settings.require("mlflow_tracking_uri")  # fails here if it is missing, not in the thread
        self._settings = settings
        self._run_id = run_id
        self._queue: queue.Queue[tuple[str, float, int, int] | tuple[str, bytes] | None] = (
            queue.Queue()
        )
        # A daemon: a killed or failing training process must not wait for MLflow.
        self._thread = threading.Thread(target=self._send_all, name="metric-log", daemon=True)
        self._thread.start()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Queue the metrics of one step; return at once."""
        now_ms = int(time.time() * 1000)
        for name, value in values.items():
            self._queue.put((name, float(value), now_ms, step))

    def picture(self, name: str, png: bytes) -> None:
        """Queue a PNG as artifact ``pictures/<name>.png``; return at once."""
        self._queue.put((f"pictures/{name}.png", png))

    def note(self, name: str, text: str) -> None:
        """Queue a text as artifact ``<name>.txt``; return at once."""
        self._queue.put((f"{name}.txt", text.encode()))

    def close(self, timeout_s: float = 60.0) -> None:
        """Send what is queued and stop; give up after `timeout_s`."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            logger.warning("MLflow took longer than %.0f s; its last figures are lost", timeout_s)

    def _send_all(self) -> None:
        client = mlflow_client(self._settings)
        pending: list[tuple[str, float, int, int]] = []
        pictures: list[tuple[str, bytes]] = []
        closing = False
        while not closing:
            closing = self._collect(pending, pictures)
            try:
                self._send(client, pending, pictures)
            except Exception as error:  # of any kind, because training must go on
                logger.warning("MLflow did not take figures of run %s: %s", self._run_id, error)
        if pending or pictures:
            logger.warning(
                "lost %d figures and %d pictures of MLflow run %s",
                len(pending),
                len(pictures),
                self._run_id,
            )

    def _collect(
        self, pending: list[tuple[str, float, int, int]], pictures: list[tuple[str, bytes]]
    ) -> bool:
        """Take from the queue what arrives within the interval; True if the log was closed."""
        deadline = time.monotonic() + _FLUSH_INTERVAL_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                item = self._queue.get(timeout=left)
            except queue.Empty:
                break
            if item is None:
                return True
            if len(item) == 2:
                pictures.append(item)
            else:
                pending.append(item)
        return False

    def _send(
        self,
        client: "MlflowClient",
        pending: list[tuple[str, float, int, int]],
        pictures: list[tuple[str, bytes]],
    ) -> None:
        from mlflow.entities import Metric

        while pending:
            batch = pending[:_MAX_METRICS_PER_REQUEST]
            client.log_batch(self._run_id, metrics=[Metric(*entry) for entry in batch])
            del pending[: len(batch)]
        while pictures:
            path, png = pictures[0]
            log_file(self._settings, self._run_id, path, png)
            del pictures[0]

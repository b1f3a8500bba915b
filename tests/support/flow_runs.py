"""Flow runs of deployments on the running stack."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.support.running_stack import RunningStack
from tests.support.waiting import wait_until

ENDS = {"COMPLETED", "FAILED", "CANCELLED"}


class Run:
    """A flow run of a deployment, seen through Prefect's and Ray's interfaces."""

    def __init__(
        self,
        stack: RunningStack,
        deployment: str,
        parameters: Mapping[str, object],
    ) -> None:
        self._stack = stack
        # Not through Ray's client: it remembers for the life of a process whether tokens are on.
        token = Path(stack.env["RAY_AUTH_TOKEN_PATH"]).read_text().strip()
        self._jobs = httpx.Client(
            base_url=stack.env["RAY_ADDRESS"],
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        found = self._stack.prefect("GET", f"/deployments/name/{deployment}")["id"]
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        self.id: str = self._stack.prefect("POST", f"/deployments/{found}/create_flow_run", body)[
            "id"
        ]

    @property
    def now(self) -> dict[str, Any]:
        return dict(self._stack.prefect("GET", f"/flow_runs/{self.id}"))

    @property
    def history(self) -> list[str]:
        states = self._stack.prefect("GET", "/flow_run_states/", flow_run_id=self.id)
        return [s["name"] for s in sorted(states, key=lambda s: str(s["timestamp"]))]

    @property
    def logs(self) -> str:
        return self._stack.logs(self.id)

    def tells(self, text: str) -> None:
        """Wait for a text in the log, whose last lines arrive after the last state."""
        wait_until(lambda: text in self.logs.lower(), f"{text!r} in the log", 30)

    def wait(self, timeout_s: float = 480) -> str:
        """Wait for the end; returns the type of the last state."""
        # Once a second, because answers cost the server time that the run needs.
        wait_until(self.is_over, "the flow run ends", timeout_s, every_s=1)
        return str(self.now["state_type"])

    def is_over(self) -> bool:
        return self.now["state_type"] in ENDS

    def cancel(self) -> None:
        self._stack.prefect(
            "POST", f"/flow_runs/{self.id}/set_state", {"state": {"type": "CANCELLING"}}
        )

    def says(self, text: str) -> bool:
        """Whether one of the newest log lines of any flow run contains a text."""
        lines = self._stack.prefect(
            "POST", "/logs/filter", {"limit": 200, "sort": "TIMESTAMP_DESC"}
        )
        return any(text in line["message"] for line in lines)

    def training(self) -> list[dict[str, Any]]:
        """The Ray jobs of this flow run's pretrain stage, oldest first."""
        jobs = self._jobs.get("/api/jobs/").raise_for_status().json()
        ours = [job for job in jobs if job["submission_id"].startswith(f"{self.id}-pretrain-")]
        return sorted(ours, key=lambda job: int(job["start_time"]))

    def statuses(self) -> list[str]:
        return [job["status"] for job in self.training()]

    def close(self) -> None:
        """Leave nothing running, however the test ended, and give back the connection."""
        if not self.is_over():
            self.cancel()
            for job in self.training():
                self._jobs.post(f"/api/jobs/{job['submission_id']}/stop")
        self._jobs.close()

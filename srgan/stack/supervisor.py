"""Talk to supervisor, the process manager of the local stack, over its unix socket."""

import http.client
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import Faults, SupervisorTransport

from srgan.errors import StackError

_START_S = 15.0
_LAUNCH_LIMIT_S = 60.0


@dataclass(frozen=True)
class ProgramState:
    """State of one service as supervisor reports it."""

    state: str
    """STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN."""
    pid: int | None
    uptime_s: int

    @property
    def is_dead(self) -> bool:
        """True if it was started and ended by itself."""
        return self.state in {"BACKOFF", "EXITED", "FATAL", "UNKNOWN"}

    @property
    def is_up(self) -> bool:
        return self.state in {"STARTING", "RUNNING"}


class Supervisor:
    """A supervisord, found by the folder of its socket."""

    def __init__(self, runtime: Path) -> None:
        self._socket = runtime / "supervisor.sock"

    def is_running(self) -> bool:
        try:
            self._call("getState")
        except StackError:
            return False
        return True

    def launch(self, config: Path, environment: Mapping[str, str]) -> None:
        """Start the daemon and wait until it answers; it starts no service by itself."""
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)]
        try:
            answer = subprocess.run(  # noqa: S603 - a fixed command
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_LAUNCH_LIMIT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise StackError(
                f"`{' '.join(command)}` has not gone to the background after "
                f"{_LAUNCH_LIMIT_S:.0f} s"
            ) from error
        if answer.returncode:
            raise StackError(f"supervisord did not start: {(answer.stdout + answer.stderr)[-800:]}")
        deadline = time.monotonic() + _START_S
        while not self.is_running():
            if time.monotonic() > deadline:
                raise StackError(f"supervisord does not answer on {self._socket}")
            time.sleep(0.05)

    def programs(self) -> dict[str, ProgramState]:
        return {
            info["name"]: ProgramState(
                state=info["statename"],
                pid=info["pid"] or None,
                uptime_s=max(0, info["now"] - info["start"]) if info["pid"] else 0,
            )
            for info in self._call("getAllProcessInfo")
        }

    def start(self, name: str) -> None:
        """Start without waiting; leave one that already runs as it is."""
        self._call("startProcess", name, False, allowed=Faults.ALREADY_STARTED)

    def stop(self, names: Iterable[str]) -> None:
        """Stop all of these at once and wait until they have ended."""
        names = list(names)
        for name in names:
            self._call("stopProcess", name, False, allowed=Faults.NOT_RUNNING)
        while any(
            program.is_up or program.state == "STOPPING"
            for name, program in self.programs().items()
            if name in names
        ):
            time.sleep(0.1)

    def shutdown(self) -> None:
        """End the daemon and all that still runs under it."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: Any, allowed: int | None = None) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        server = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == allowed:
                return None
            raise StackError(f"supervisor: {method}{arguments}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException) as error:
            raise StackError(f"supervisor does not answer on {self._socket}: {error}") from error
        finally:
            transport.close()

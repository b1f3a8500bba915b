"""A flow in its own process, whose log a failure shows."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.running_stack import Shell
from tests.support.waiting import wait_until

_SHOWN_CHARS = 6000


class FlowProcess:
    """A flow that Python code starts; its log lies in a file."""

    def __init__(self, shell: Shell, code: str, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] = shell.start_python(code, log)

    @property
    def text(self) -> str:
        """The flow's log so far."""
        return self._log.read_text(errors="replace")

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait while the flow lives."""
        try:
            wait_until(lambda: condition() or not self.runs, what, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.text[-_SHOWN_CHARS:]}") from error
        assert condition(), f"the flow ended before {what}:\n{self.text[-_SHOWN_CHARS:]}"

    def wait_for_end(self, timeout_s: float) -> None:
        """Wait for the end, which has to be a good one."""
        try:
            code = self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(self.text[-_SHOWN_CHARS:]) from error
        assert code == 0, self.text[-_SHOWN_CHARS:]

    def close(self) -> None:
        """End the flow if it has not ended."""
        self._process.kill()
        self._process.wait()

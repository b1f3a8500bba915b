"""State of the local stack in its home: ports, generated credentials, a short folder."""

import hashlib
import json
import os
import secrets
import socket
import stat
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from srgan.disk import write_atomically
from srgan.errors import StackError

# Above Ray's default worker ports, below those that Linux gives to outgoing connections.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000

PORT_NAMES = (
    "s3", "s3_grpc", "master", "master_grpc", "volume", "volume_grpc", "filer", "filer_grpc",
    "admin", "admin_grpc", "prefect", "worker", "mlflow", "ray", "ray_gcs", "ray_agent",
    "ray_client",
)  # fmt: skip


@dataclass(frozen=True)
class StackState:
    """Values that all `srgan stack` commands on one home must agree on."""

    home: Path
    runtime: Path
    """Sockets and Ray's files: unix socket paths end at 107 bytes, and `home` may be deep."""
    ports: dict[str, int]
    s3_access_key: str
    s3_secret_key: str
    ray_token_path: Path

    def __repr__(self) -> str:
        return f"StackState(home={str(self.home)!r})"

    def url(self, port_name: str) -> str:
        return f"http://127.0.0.1:{self.ports[port_name]}"


def runtime_folder(home: Path) -> Path:
    """Return ``/tmp/srgan-<uid>-<hash of home>``, the same for every command on this home."""
    name = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    return Path("/tmp") / f"srgan-{os.getuid()}-{name}"  # noqa: S108 - mode and owner are checked


def load_state(home: Path) -> StackState:
    """Read the state of a home; `StackError` if its stack was never up."""
    try:
        ports = json.loads((home / "stack.json").read_text())["ports"]
        keys = json.loads((home / "credentials.json").read_text())
        return StackState(
            home=home,
            runtime=runtime_folder(home),
            ports={name: int(ports[name]) for name in PORT_NAMES},
            s3_access_key=keys["s3_access_key"],
            s3_secret_key=keys["s3_secret_key"],
            ray_token_path=home / "ray.token",
        )
    except FileNotFoundError as error:
        raise StackError(
            f"no local stack in {home} ({error.filename} is missing): `srgan stack up` makes one"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise StackError(
            f"stack.json or credentials.json in {home} is damaged ({error!r}): delete both, "
            "`srgan stack up` makes new ones"
        ) from error


def create_state(home: Path) -> StackState:
    """Make what is missing in `home`; keep the rest."""
    for folder in (home, home / "logs", home / "s3", home / "mlflow", home / "prefect"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    if not (home / "credentials.json").exists():
        keys = {
            # A user name, not a secret: SeaweedFS writes it into its log.
            "s3_access_key": "srgan-local",
            "s3_secret_key": secrets.token_hex(20),
        }
        _write_private(home / "credentials.json", json.dumps(keys))
    if not (home / "ray.token").exists():
        _write_private(home / "ray.token", secrets.token_hex(32))
    if not (home / "stack.json").exists():
        _write_ports(home, choose_ports(PORT_NAMES))
    return load_state(home)


def replace_taken_ports(state: StackState) -> list[str]:
    """Replace remembered ports that other programs now listen on; return their names."""
    taken = [name for name, port in state.ports.items() if not is_free(port)]
    if taken:
        _write_ports(state.home, state.ports | choose_ports(taken))
    return taken


def create_runtime(state: StackState) -> None:
    """Make the short folder; refuse one that somebody else made under its name."""
    state.runtime.mkdir(mode=0o700, exist_ok=True)
    info = state.runtime.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise StackError(
            f"{state.runtime} exists but is not a folder of yours with mode 0700; remove it"
        )
    link = state.home / "run"
    if link.is_symlink():
        link.unlink()
    link.symlink_to(state.runtime)


def choose_ports(names: Iterable[str]) -> dict[str, int]:
    """Choose a free port for each name; all are held until the end, so that none is used twice."""
    chosen = {}
    with ExitStack() as held:
        for name in names:
            for _ in range(1000):
                port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)
                probe = held.enter_context(socket.socket())
                if _binds(probe, port):
                    chosen[name] = port
                    break
            else:
                raise StackError(f"no free port between {_FIRST_PORT} and {_LAST_PORT}")
    return chosen


def is_free(port: int) -> bool:
    """Return True if no program listens on `port`."""
    with socket.socket() as probe:
        return _binds(probe, port)


def _binds(probe: socket.socket, port: int) -> bool:
    # Without it, connections of a service that just ended would count as a listener.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("", port))
        probe.listen(1)
    except OSError:
        return False
    return True


def _write_ports(home: Path, ports: dict[str, int]) -> None:
    _write_private(home / "stack.json", json.dumps({"ports": ports}, indent=1))


def _write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, and never readable by others, not even for a moment."""
    with write_atomically(path) as draft:
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_text(text)

"""Debian's PostgreSQL with the databases of infra/, prepared as PostgreSQL's own image does it.

The server does not run as root, so root hands its files to Debian's user ``postgres``.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.manifests import KUBERNETES, services
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

DATABASES_SH = KUBERNETES / "components" / "postgres" / "databases.sh"
_USER = "postgres"


def why_no_postgres() -> str | None:
    """Say in words what this machine lacks to run PostgreSQL; None if it can."""
    if _newest() is None:
        return "PostgreSQL is not installed (Debian: postgresql)"
    return None


def programs() -> Path:
    """The folder with the programs of Debian's newest PostgreSQL."""
    found = _newest()
    assert found is not None, why_no_postgres()
    return found


def make_databases(folder: Path, passwords: Mapping[str, str]) -> None:
    """Make a cluster of databases in a new folder and run databases.sh in it.

    `passwords` has the variables of the service ``postgres`` of compose.yaml. As the image does it,
    the server that runs the script listens on its socket alone.
    """
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, _USER, _USER)
    secret = folder / "administrator"
    secret.write_text(passwords["POSTGRES_PASSWORD"])
    secret.chmod(0o644)
    made = ("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}")
    _run("initdb", f"--pgdata={folder}/data", f"--username={_USER}", "--no-sync", *made)
    secret.unlink()
    # Not only from loopback, which is all that initdb allows.
    with (folder / "data" / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")
    control = ("--pgdata", f"{folder}/data", "--wait", "--timeout=120")
    options = f"-k {folder} -c listen_addresses=''"
    _run("pg_ctl", *control, "--log", f"{folder}/log", "--options", options, "start")
    try:
        done = subprocess.run(
            ["bash", str(DATABASES_SH)],
            env={**os.environ, **passwords, "PGHOST": str(folder)},
            text=True,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    finally:
        _run("pg_ctl", *control, "stop")


def serve(folder: Path, address: str, port: int) -> list[str]:
    """The command that serves these databases on an address; ``*`` stands for all."""
    server = [f"{programs()}/postgres", "-D", f"{folder}/data", "-k", str(folder)]
    as_user = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups"]
    listens = ["-c", f"listen_addresses={address}", "-p", str(port)]
    return [*(as_user if os.geteuid() == 0 else []), *server, *listens]


@contextmanager
def run_postgres(password: str) -> Iterator[int]:
    """A server on a port of loopback; the users of both databases have this password."""
    # A short path, because sockets are made in it; others than root pass through it.
    home = Path(tempfile.mkdtemp(prefix="srgan-", dir="/tmp"))
    home.chmod(0o755)
    folder = home / "postgres"
    variables = services()["postgres"]["environment"]
    make_databases(folder, dict.fromkeys(variables, password))
    port = free_ports(1)[0]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            serve(folder, "127.0.0.1", port), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        ready = [f"{programs()}/pg_isready", "--host=127.0.0.1", f"--port={port}", "--quiet"]
        wait_until(
            lambda: subprocess.run(ready, check=False, timeout=30).returncode == 0,
            "PostgreSQL answers",
            60,
        )
        yield port
    finally:
        server.send_signal(signal.SIGINT)  # at SIGTERM it would wait for its clients to go
        server.wait(60)
        shutil.rmtree(home)


def _newest() -> Path | None:
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def _run(program: str, *arguments: str) -> None:
    as_user = {"user": _USER, "group": _USER, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(
        [f"{programs()}/{program}", *arguments],
        cwd="/",
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=180,
        check=False,
        **as_user,
    )
    assert done.returncode == 0, f"{program}: {done.stdout}"

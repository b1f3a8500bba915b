"""Hosts on one machine: each has a network, processes, mounts and a name apart, in Linux's spaces.

A host is one process and what that has started. Its end is the end of everything in the host, also
of its network, so that nothing is left when a test dies half-way. Only the bridge that connects the
hosts has to be removed; what a killed run leaves of it, the next run removes.
"""

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support.waiting import wait_until

_PREFIX = "srgh"  # the names of network devices have at most 15 characters
_SPACES = ("--net", "--pid", "--fork", "--mount", "--mount-proc", "--uts")
_LATENCY = "1ms"  # on the way to each host
_BOOT = """
echo booted
until ip link show eth0; do sleep 0.1; done >/dev/null 2>&1
ip link set lo up
ip link set eth0 address {hardware}
ip address add {address}/24 dev eth0
ip link set eth0 up
hostname {name}
mount --bind {folder}/etc-hosts /etc/hosts
while :; do
    date
    {service}
    sleep 2
done
"""


def why_no_hosts() -> str | None:
    """Say in words what this machine lacks to make hosts; None if it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts are made of Linux namespaces, which needs root"
    missing = [
        name for name in ("ip", "tc", "unshare", "nsenter", "setpriv") if not shutil.which(name)
    ]
    if missing:
        return f"hosts need the commands {', '.join(missing)} (Debian: iproute2, util-linux)"
    trial = f"{_PREFIX}{os.getpid()}t"
    for command in (
        ["unshare", *_SPACES, "true"],
        ["ip", "link", "add", trial, "type", "bridge"],
        ["ip", "link", "delete", trial],
    ):
        done = _run(command)
        if done.returncode:
            return f"this machine does not let root make hosts: {done.stderr.strip()}"
    return None


class Network:
    """A bridge, on which this machine has the first address and each host one of the next."""

    def __init__(self) -> None:
        self.name = f"{_PREFIX}{os.getpid()}"
        self._subnet = f"10.73.{os.getpid() % 250}"
        self.has_latency = False
        """Whether packets to a host are delayed; some kernels have no ``netem``."""

    @property
    def address(self) -> str:
        """This machine's address, which all hosts reach."""
        return self.address_of(1)

    def address_of(self, number: int) -> str:
        return f"{self._subnet}.{number}"

    def __enter__(self) -> "Network":
        _sweep()
        _ip("link", "add", self.name, "type", "bridge")
        _ip("address", "add", f"{self.address}/24", "dev", self.name)
        _ip("link", "set", self.name, "up")
        return self

    def __exit__(self, *_: object) -> None:
        _ip("link", "delete", self.name)

    def plug(self, port: str, pid: int) -> None:
        """Connect the space of a process with the bridge; there its device is ``eth0``."""
        _ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        _ip("link", "set", port, "master", self.name, "up")
        delay = ["tc", "qdisc", "add", "dev", port, "root", "netem", "delay", _LATENCY]
        done = _run(delay)
        self.has_latency = done.returncode == 0


class Host:
    """A host that runs one service, and starts it again when it ends, as an init system does."""

    def __init__(self, network: Network, number: int, name: str, folder: Path) -> None:
        self.name = name
        self.address = network.address_of(number)
        self.folder = folder
        """Files of this host alone; a short path, because Ray makes sockets in it."""
        self.log = folder / "console.log"
        self._network = network
        self._port = f"{network.name}n{number}"
        # The same after a restart, as a real card's; others remember it for a while.
        self._hardware = f"02:00:00:00:00:{number:02x}"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        # As Debian and Ubuntu write it: the host's own name leads to loopback.
        (folder / "etc-hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n")

    def start(self, service: str, env: dict[str, str]) -> None:
        """Boot the host; `service` is a command of a shell."""
        script = _BOOT.format(
            address=self.address,
            hardware=self._hardware,
            name=self.name,
            folder=self.folder,
            service=service,
        )
        # If this process dies, its child is killed, and with that all that is in the host.
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", *_SPACES, "--kill-child"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "bash", "-c", script],
                env=env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        # Before that, the other end of the cable would be in this machine's own space.
        wait_until(lambda: b"booted" in self.log.read_bytes(), f"{self.name} boots", 30)
        self._network.plug(self._port, self._process.pid)

    def stop(self) -> None:
        """Pull the plug: everything in the host is gone at once."""
        if self._process is None:
            return
        inside = self._inside()
        _run(["ip", "link", "delete", self._port])
        self._process.kill()
        self._process.wait()
        self._process = None
        psutil.wait_procs(inside, timeout=30)

    def cut(self) -> None:
        """Take the link away; packets are lost without a word."""
        _ip("link", "set", self._port, "down")

    def mend(self) -> None:
        """Give the link back."""
        _ip("link", "set", self._port, "up")

    def pids(self, words: str) -> list[int]:
        """The host's processes whose command line contains some words."""
        found = []
        for process in self._inside():
            with suppress(psutil.Error):
                if words in " ".join(process.cmdline()):
                    found.append(process.pid)
        return found

    def command(self, *words: str) -> list[str]:
        """The command that runs another one in the host."""
        assert self._process is not None, f"{self.name} does not run"
        shells = psutil.Process(self._process.pid).children()
        assert shells, f"{self.name} has ended:\n{self.log.read_text(errors='replace')}"
        return [
            "nsenter",
            f"--target={shells[0].pid}",
            "--net",
            "--pid",
            "--mount",
            "--uts",
            *words,
        ]

    def _inside(self) -> list[psutil.Process]:
        assert self._process is not None, f"{self.name} does not run"
        return psutil.Process(self._process.pid).children(recursive=True)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def _ip(*arguments: str) -> None:
    done = _run(["ip", *arguments])
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


def _sweep() -> None:
    """Remove the devices of runs that were killed; a host's end takes its own along."""
    for device in Path("/sys/class/net").glob(f"{_PREFIX}*"):
        number = re.fullmatch(rf"{_PREFIX}(\d+).*", device.name)
        if number and not Path(f"/proc/{number[1]}").exists():
            _run(["ip", "link", "delete", device.name])

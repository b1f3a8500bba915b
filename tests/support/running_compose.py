"""The services of compose.yaml without a container engine: each by its command, as its user.

Each service is a host apart (`tests.support.hosts`) with its own network, processes and mounts. Its
root is the built image, which nobody can write to but in ``/tmp`` and the user's home. It knows the
names of the services with which compose.yaml lets it share a network.

What an engine would do besides is not there: limits of memory and CPU, published ports, and
networks that packets cannot leave. PostgreSQL is Debian's server, in place of PostgreSQL's image.
"""

import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from tests.support.hosts import Host, Network
from tests.support.image import Image
from tests.support.manifests import services
from tests.support.postgres import make_databases, programs, serve
from tests.support.waiting import wait_until

DATABASE = "postgres"
_READY_LIMIT_S = 900.0
_SHARED_MEMORY = "64mb"  # what an engine gives if nothing is said

# Runs before each start of the service; only the first has something to do.
_BEGIN = """
if ! mountpoint --quiet {root}/proc; then
    ip route add default via {nowhere} &&
    mount --bind {image} {root} &&
    mount -o remount,bind,ro {root} &&
    mount -t proc proc {root}/proc &&
    mount --rbind /sys {root}/sys &&
    mount --rbind /dev {root}/dev &&
    mount -t tmpfs -o size={shared_memory} tmpfs {root}/dev/shm &&
    mount --bind {folder}/home {root}{home} &&
    mount --bind {folder}/tmp {root}/tmp &&
    mount --bind {folder}/etc-hosts {root}/etc/hosts &&
    mount --bind /dev/null {root}/etc/resolv.conf || exit
fi
echo starts >> {folder}/starts
"""


class Container:
    """One service of compose.yaml."""

    def __init__(self, host: Host, image: Image, name: str, nowhere: str) -> None:
        self.host = host
        self.name = name
        self._image = image
        self._about = services()[name]
        self._root = host.folder / "root"
        self._nowhere = nowhere

    @property
    def num_starts(self) -> int:
        """How often the service was started; more than once if it ended by itself."""
        return len((self.host.folder / "starts").read_text().splitlines())

    def start(self) -> None:
        """Boot the host of the service, which starts it again when it ends, as an engine does."""
        if self.name == DATABASE:
            make_databases(self.host.folder / "databases", self._about["environment"])
            command = serve(self.host.folder / "databases", "*", 5432)
        else:
            self._make_folders()
            command = self._inside(self._about["command"])
        service = shlex.join(command)
        if self._about["restart"] == "on-failure":
            service = f"{service} && touch {self.host.folder}/ended && sleep infinity"
        self.host.start(self._begin() + service, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def wait(self) -> None:
        """Wait until the service is healthy by its own check, or has ended without an error."""
        what = f"{self.name} is ready"
        try:
            wait_until(self._is_ready, what, _READY_LIMIT_S, every_s=2)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.console}") from error

    @property
    def console(self) -> str:
        """The last lines that the service printed."""
        return self.host.log.read_text(errors="replace")[-4000:]

    def run(self, *words: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command beside the service, as `docker compose exec` does."""
        command = list(words) if self.name == DATABASE else self._inside(list(words))
        return subprocess.run(
            self.host.command(*command),
            text=True,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )

    def _is_ready(self) -> bool:
        if self._about["restart"] == "on-failure":
            return (self.host.folder / "ended").exists()
        kind, *words = self._about["healthcheck"]["test"]
        assert kind == "CMD"
        if self.name == DATABASE:
            words[0] = f"{programs()}/{words[0]}"
        return self.run(*words).returncode == 0

    def _make_folders(self) -> None:
        """A home as the image has it, which is also where volumes are, and an empty ``/tmp``."""
        self._root.mkdir()
        home = str(self._image.root) + self._image.environment["HOME"]
        subprocess.run(
            ["cp", "--archive", home, self.host.folder / "home"], check=True, timeout=120
        )
        (self.host.folder / "tmp").mkdir()
        (self.host.folder / "tmp").chmod(0o1777)

    def _begin(self) -> str:
        if self.name == DATABASE:
            return f"echo starts >> {self.host.folder}/starts\n"
        return _BEGIN.format(
            root=self._root,
            image=self._image.root,
            folder=self.host.folder,
            home=self._image.environment["HOME"],
            nowhere=self._nowhere,
            shared_memory=self._about.get("shm_size", _SHARED_MEMORY).removesuffix("b"),
        )

    def _inside(self, words: list[str]) -> list[str]:
        """The command that runs another one in the image, as its user and without new rights."""
        variables = self._image.environment | self._about["environment"]
        return [
            *("setpriv", "--no-new-privs"),
            *("chroot", f"--userspec={self._image.user}", str(self._root)),
            *("env", "--ignore-environment", f"--chdir={self._image.folder}"),
            *(f"{name}={value}" for name, value in variables.items()),
            *words,
        ]


class RunningCompose:
    """All services but those of a profile, started one after the other, each when it may start."""

    def __init__(self, image: Image, network: Network, folder: Path) -> None:
        names = _in_order()
        hosts = {
            name: Host(network, 2 + number, name, folder / name)
            for number, name in enumerate(names)
        }
        for name, host in hosts.items():
            known = [other for other in names if _networks(name) & _networks(other)]
            lines = ["127.0.0.1 localhost", *(f"{hosts[each].address} {each}" for each in known)]
            (host.folder / "etc-hosts").write_text("".join(f"{line}\n" for line in lines))
        # Packets for the outside find a way, as in a container, and nobody takes them.
        nowhere = network.address_of(254)
        self.containers = {
            name: Container(host, image, name, nowhere) for name, host in hosts.items()
        }

    def start(self) -> dict[str, float]:
        """Start all; seconds until each was ready."""
        took = {}
        for name, container in self.containers.items():
            begin = time.monotonic()
            container.start()
            container.wait()
            took[name] = time.monotonic() - begin
        return took

    def stop(self) -> None:
        for container in reversed(self.containers.values()):
            container.host.stop()

    def store(self) -> S3Store:
        """The bucket, as somebody on the Docker host reaches it."""
        variables = services()["worker"]["environment"]
        return open_store(
            Settings.model_validate(
                {
                    **{name: variables[name] for name in variables if name.startswith("AWS_")},
                    "AWS_ENDPOINT_URL": f"http://{self.containers['s3'].host.address}:8333",
                    "bucket": variables["SRGAN_BUCKET"],
                }
            )
        )


@contextmanager
def running_compose(image: Image) -> Iterator[RunningCompose]:
    """The started services; at the end nothing of them is left."""
    with ExitStack() as ends:
        folder = Path(tempfile.mkdtemp(prefix="srgan-", dir="/tmp"))
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)  # PostgreSQL is not root
        network = ends.enter_context(Network())
        compose = RunningCompose(image, network, folder)
        ends.callback(compose.stop)
        for name, seconds in compose.start().items():
            print(f"{name}: ready after {seconds:.0f} s")
        yield compose


def _in_order() -> list[str]:
    """Names of the services, each after those that it waits for."""
    wanted = {name: one for name, one in services().items() if "profiles" not in one}
    needs: dict[str, Any] = {name: one.get("depends_on", {}) for name, one in wanted.items()}
    return list(TopologicalSorter(needs).static_order())


def _networks(name: str) -> set[str]:
    return set(services()[name].get("networks", ["default"]))

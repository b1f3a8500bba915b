"""A worker of a bulk run that fails as its test wants; alone here, because Ray imports its file."""

import json
import os
import time
from pathlib import Path

from srgan.errors import ConfigError
from srgan.jobs.upscale import UpscaleSpec


class Worker:
    """Notes what it does in a folder; `destination` is that folder."""

    def __init__(self, spec: UpscaleSpec, num_cpus: int) -> None:
        self._name = f"{os.getpid()} with {num_cpus} CPUs"
        self._folder = Path(spec.destination)
        if spec.run == "stillborn":
            os._exit(1)

    def ready(self) -> None: ...

    def run(self, batch: int) -> str:
        number = len(list(self._folder.glob(f"{batch}-*")))
        (self._folder / f"{batch}-{number}").write_text(self._name)
        plan = json.loads((self._folder / "plan.json").read_text()).get(str(batch), {})
        time.sleep(0.05)
        match plan.get(str(number)) or plan.get("always"):
            case "dies":
                os._exit(1)
            case "is joined":
                while len({path.read_text() for path in self._folder.glob("*-*")}) < 2:
                    time.sleep(0.1)
            case "hangs":
                time.sleep(600)
            case "fails":
                raise RuntimeError("again")
            case "is hopeless":
                raise ConfigError("for ever")
        return f"batch {batch} done"

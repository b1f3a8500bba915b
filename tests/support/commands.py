"""The `srgan` command in its own process, as a shell starts it."""

import os
import subprocess
import sys
from pathlib import Path

SRGAN = str(Path(sys.executable).with_name("srgan"))


def srgan(*arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SRGAN_HOME": str(home or "/nonexistent")}
    return subprocess.run(
        [SRGAN, *arguments], env=environment, capture_output=True, text=True, check=False
    )

"""Print the dependencies of pyproject.toml and of the extras named, one a line.

    python requirements.py judge postgres > requirements.txt

pip installs a project's dependencies only together with the project. The image installs them first.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
wanted = [
    project["dependencies"],
    *(project["optional-dependencies"][name] for name in sys.argv[1:]),
]
sys.stdout.writelines(f"{line}\n" for lines in wanted for line in lines)

"""Published namings, as the page about commands lists them."""

import re
from pathlib import Path

from pydantic import ValidationError

from srgan.config import GeneratorConfig
from srgan.models.foreign import CONTAINERS
from srgan.models.namings import NAMINGS

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
KINDS = {"SRResNet": "srresnet", "MSRResNet": "msrresnet", "RRDBNet": "rrdbnet"}


def scales_of(title: str) -> str:
    """Scales in which a network can be built."""
    kind = KINDS.get(title.split()[0], "srvgg")
    possible = []
    for scale in range(1, 9):
        try:
            GeneratorConfig.model_validate({"kind": kind, "scale": scale})
        except ValidationError:
            continue
        possible.append(str(scale))
    return ", ".join(possible)


def test_the_table_of_networks_is_the_one_that_the_code_reads() -> None:
    rows = re.findall(r"^\| (\S.*) \| ([\d, ]+) \| `(\S+)` \|$", PAGE, re.MULTILINE)
    assert rows == [(each.title, scales_of(each.title), each.mark) for each in NAMINGS]


def test_the_places_of_weights_in_a_checkpoint_are_listed_in_their_order() -> None:
    *first, last = (f"`{name}`" for name in CONTAINERS)
    listed = " ".join(PAGE.split())
    assert f"under {', '.join(first)} or {last}; averaged weights come first" in listed

"""The training of the shipped generators: its photographs and their credits."""

from pathlib import Path

import pytest

from benchmarks.shipped.photos import credits_table, read_credits, unpacked
from srgan.errors import DataError
from srgan.models.shipped import shipped_card


def test_the_model_card_credits_every_photograph() -> None:
    assert credits_table() in shipped_card()
    assert len(read_credits()) == len({(each.package, each.file) for each in read_credits()})


def test_a_missing_photograph_is_named_with_the_commands_that_get_it(tmp_path: Path) -> None:
    first, *others = read_credits()
    for each in others:
        path = tmp_path / each.package / each.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(DataError, match=rf"{first.file} is missing \(1 of {len(others) + 1}\)"):
        unpacked(tmp_path)
    (tmp_path / first.package / first.file).touch()
    assert len(unpacked(tmp_path)) == len(others) + 1

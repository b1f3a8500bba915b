"""The training of the shipped generators: its photographs, their credits, and the command."""

import importlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from PIL import Image

from benchmarks.quality.contestants import Contestant
from benchmarks.quality.timing import with_steps
from benchmarks.shipped import __main__ as command
from benchmarks.shipped import stages
from benchmarks.shipped.photos import credits_table, read_credits, unpacked
from srgan.config import DataConfig
from srgan.errors import DataError
from srgan.models.interchange import load_generator
from srgan.models.shipped import SHIPPED, shipped_card
from tests.support.perceptual_weights import drawn_weights
from tests.support.photos import DrawPhoto


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


def test_no_recipe_decides_how_the_shipped_files_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_recipe(name: str) -> NoReturn:
        raise AssertionError(f"the recipe {name} was asked for")

    monkeypatch.setattr("srgan.recipes.get_recipe", get_recipe)
    importlib.reload(stages)
    assert stages.sharp().start == stages.plain()


def test_the_command_trains_and_writes_both_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw_photo: DrawPhoto
) -> None:
    photos = [tmp_path / f"{seed}.png" for seed in range(5)]
    for seed, path in enumerate(photos):
        Image.fromarray(draw_photo(seed, height=96, width=96)).save(path)
    package = tmp_path / "package"
    (package / "shipped").mkdir(parents=True)
    monkeypatch.setattr(command, "use_large_pages", lambda: None)  # of the whole process
    monkeypatch.setattr(command, "unpacked", lambda folder: photos)
    monkeypatch.setattr(command, "models", SimpleNamespace(__file__=str(package / "__init__.py")))
    monkeypatch.setattr(
        command, "fetch_named", lambda *_, **__: drawn_weights("efficientnet_lite0")
    )
    for name in ("plain", "sharp"):
        monkeypatch.setattr(command, name, partial(_tiny, getattr(stages, name)()))
    command.main([str(tmp_path), "--out", str(tmp_path / "out")])
    plain, sharp = (
        load_generator((package / "shipped" / file).read_bytes()) for file in SHIPPED.values()
    )
    assert plain.config == sharp.config == stages.plain().stage.generator
    assert sharp.blend is not None
    assert [each.model for each in sharp.blend.sources] == ["plain", "sharp"]


def _tiny(one: Contestant) -> Contestant:
    """Two steps on two small patches, from a start as short."""
    small = {"batch_size": 2, "patch_size": 32, "discriminator_warmup": 1}
    fields = type(one.stage).model_fields
    changes = {name: value for name, value in small.items() if name in fields}
    stage = with_steps(one.stage, 2).model_copy(update=changes)
    start = _tiny(one.start) if isinstance(one.start, Contestant) else one.start
    return replace(one, stage=stage, start=start, data=DataConfig(crop_size=64))

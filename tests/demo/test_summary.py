"""The end of the demo names a command that works as it stands."""

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from numpy.typing import NDArray
from rich.console import Console

from srgan.config import DataConfig
from srgan.data.manifest import read_latest, read_photos
from srgan.data.prepare import prepare_dataset
from srgan.demo.photos import hold_out
from srgan.demo.summary import DemoResults, print_summary
from srgan.measure.overlap import find_overlap
from srgan.measure.sets import newest_set
from srgan.refs import EvaluationRef, ModelRef
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.studies.design import read_design
from tests.support.commands import srgan
from tests.support.places import place
from tests.support.shelf import MODEL
from tests.support.versions import lineage, weights

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")


@pytest.fixture
def prepared(
    object_store: S3Store,
    draw_photo: Callable[..., NDArray[Any]],
    encode_photo: Callable[..., bytes],
) -> S3Store:
    """The photos of a demo, and the dataset that its retraining makes."""
    for seed in range(8):
        object_store.put(f"raw/demo/trip/{seed}.png", encode_photo(draw_photo(seed)))
    data = DataConfig(scale=4, crop_size=32, eval_share=0.4)
    prepare_dataset(place(object_store, "raw/demo"), object_store, "demo", data)
    return object_store


def version(number: int) -> ModelRef:
    return ModelRef(name="pets", version=number, run=f"r{number}", weights_digest=f"d{number}")


def summary(newest: ModelRef, opponent: int | None) -> str:
    """The summary of a demo whose newest version became champion."""
    return printed(newest, opponent, champion=newest)


def printed(
    newest: ModelRef,
    opponent: int | None,
    champion: ModelRef | None,
    *,
    width: int = 100,
    **figures: float,
) -> str:
    """The summary of a demo that ended with these versions, and with further figures of them."""
    evaluation = lineage("adversarial-shelf-11", weights(11)).evaluation
    assert isinstance(evaluation, EvaluationRef)
    metrics = {name: {**means, **figures} for name, means in evaluation.metrics.items()}
    evaluation = evaluation.model_copy(update={"metrics": metrics})
    outcome = DemoResults(
        name="demo",
        newest=newest,
        champion=champion,
        opponent=opponent,
        decision="version 3 is better",
        evaluation=evaluation,
        picture=Path("/demo/comparison.png"),
        num_upscaled=4,
        upscaled="s3://srgan/upscaled/demo",
    )
    state = SimpleNamespace(url=lambda name: f"http://{name}", ray_token_path="/ray.token")
    output = io.StringIO()
    stack: Any = SimpleNamespace(state=state, settings=Settings)
    print_summary(Console(file=output, width=width), stack, outcome)
    return output.getvalue()


@pytest.mark.usefixtures("service_store")
def test_the_command_makes_a_study_of_the_newest_version_and_of_what_it_was_compared_with(
    prepared: S3Store, versions: list[ModelRef], tmp_path: Path
) -> None:
    hold_out(prepared, "demo")
    found = re.search(r"srgan (mos create .*?)  \(in that shell\)", summary(versions[2], 1))
    assert found is not None
    done = srgan(*found[1].split(), home=tmp_path)
    assert done.returncode == 0, done.stderr
    design = read_design(prepared, "demo")
    assert design.method_names == [
        "bicubic", f"{MODEL}/1", f"{MODEL}/3", "nearest", "original"
    ]  # fmt: skip


def test_in_80_columns_every_judge_has_its_whole_name() -> None:
    judges = {f"efficientnet_lite{number}_distance": 2.0 for number in (0, 1)}
    text = printed(version(2), 1, version(2), width=80, ssim=0.8, niqe=13.0, **judges)
    heads = text.partition("┡")[0]
    assert "…" not in heads, text
    assert "Lite0" in heads
    assert "Lite1" in heads


@pytest.mark.parametrize(
    ("executable", "path", "program"),
    [
        ("{here}/.venv/bin/python", "/usr/bin", ".venv/bin/srgan"),
        ("{here}/of wheels/bin/python", "{here}/of wheels/bin", "srgan"),
        ("/opt/of wheels/bin/python", "/usr/bin", "'/opt/of wheels/bin/srgan'"),
    ],
    ids=["a checkout", "on the path", "elsewhere"],
)
def test_commands_are_named_as_this_shell_can_call_them(
    executable: str, path: str, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Path(executable.format(here=tmp_path)).with_name("srgan")
    if ours.is_relative_to(tmp_path):
        ours.parent.mkdir(parents=True)
        ours.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", executable.format(here=tmp_path))
    monkeypatch.setenv("PATH", path.format(here=tmp_path))
    text = summary(version(1), None)
    assert f"\nstop      {program} stack down\n" in text
    assert f'eval "$({program} stack env)"' in text


def test_a_first_version_is_judged_beside_bicubic_alone() -> None:
    text = summary(version(1), None)
    assert "mos create demo --eval demo --methods bicubic,models:/pets/1  (in that shell)" in text


def closing_text(champion: ModelRef | None) -> str:
    """The last paragraph in one line, after version 2 was compared with version 1."""
    text = printed(version(2), 1, champion)
    return " ".join(text.rsplit("\n\n", 1)[-1].split())


def test_a_promoted_version_is_said_to_be_the_champion_by_its_figures() -> None:
    text = closing_text(champion=version(2))
    assert "Version 2 is the champion; the decision says by which figures." in text
    assert "did not become" not in text


def test_a_refused_version_is_not_said_to_be_better() -> None:
    text = closing_text(champion=version(1))
    assert "Version 2 did not become the champion, and version 1 stays;" in text
    assert "nothing here shows that the GAN's images are better" in text
    assert "is the champion" not in text


def test_without_any_champion_none_is_said_to_stay() -> None:
    text = closing_text(champion=None)
    assert "Version 2 did not become the champion; the decision says why." in text


@pytest.mark.parametrize("champion", [version(2), version(1), None])
def test_the_end_never_claims_that_images_look_sharper(champion: ModelRef | None) -> None:
    text = closing_text(champion)
    assert "Ask people before you trust a judge" in text, "this is the closing text"
    assert not re.search("sharper|crisper", text)


def test_people_judge_on_photos_that_nothing_was_trained_on(prepared: S3Store) -> None:
    hold_out(prepared, "demo")
    made = newest_set(prepared, "demo")
    manifest, _ = read_latest(prepared, "demo")
    assert manifest is not None
    photos = read_photos(prepared, manifest)
    assert {each.pixels for each in made.photos} == {
        each.pixels for each in photos if each.split == "eval"
    }
    assert find_overlap(made.photos, [each for each in photos if each.split == "train"]) == []
    before = prepared.head("sets/demo/latest.json")
    hold_out(prepared, "demo")
    assert prepared.head("sets/demo/latest.json") == before, "the second run finds it"

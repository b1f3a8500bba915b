"""Results of the command that exist already: kept, refused or written over."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from srgan.bulk.files import Existing, ExistingRule, stamp_of_files
from srgan.bulk.run import Stamp
from srgan.config import GeneratorConfig
from srgan.disk import write_atomically
from srgan.errors import ImageError
from srgan.models.interpolation import Bicubic, Nearest
from srgan.services.folder import FolderStore
from tests.support.networks import random_generator

STAMP = Stamp(model="m", config_digest="c")


@pytest.fixture(params=["extended attributes", "no extended attributes"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``photo``, on both kinds of disks."""
    if request.param.startswith("no"):

        def refuse(*_: object) -> bytes:
            raise OSError("Operation not supported")

        monkeypatch.setattr(os, "setxattr", refuse)
        monkeypatch.setattr(os, "getxattr", refuse)
    (tmp_path / "photo").write_bytes(b"photo")
    return tmp_path


def existing(folder: Path, rule: ExistingRule = "skip", stamp: Stamp = STAMP) -> Existing:
    return Existing(FolderStore(folder), stamp, rule)


def make(folder: Path) -> Path:
    """A result of the photo, written as the command does."""
    target = folder / "result"
    with write_atomically(target) as draft:
        draft.write_bytes(b"result")
        existing(folder).describe(folder / "photo", target, draft)
    return target


def test_a_result_of_the_same_photo_model_and_settings_is_kept(folder: Path) -> None:
    assert not existing(folder).keeps(folder / "photo", folder / "result"), "it is not there"
    assert existing(folder).keeps(folder / "photo", make(folder))


def test_a_result_of_a_photo_that_has_changed_is_made_again(folder: Path) -> None:
    result = make(folder)
    (folder / "photo").write_bytes(b"another photo")
    assert not existing(folder).keeps(folder / "photo", result)


def test_what_this_model_and_these_settings_did_not_make_is_refused(folder: Path) -> None:
    result = make(folder)
    shutil.copyfile(folder / "photo", folder / "other")
    for knows, source in (
        (existing(folder, stamp=Stamp("another", "c")), "photo"),
        (existing(folder, stamp=Stamp("m", "other settings")), "photo"),
        (existing(folder), "other"),
    ):
        with pytest.raises(ImageError, match=r"occupied: .*result exists and was not made from"):
            knows.keeps(folder / source, result)
    result.write_bytes(b"edited by somebody")
    with pytest.raises(ImageError, match="occupied"):
        existing(folder).keeps(folder / "photo", result)


@pytest.mark.parametrize("make_it", [lambda p: p.mkdir(), lambda p: p.symlink_to("gone")])
def test_folders_and_links_that_lead_nowhere_are_refused_too(folder: Path, make_it: object) -> None:
    make_it(folder / "result")  # type: ignore[operator]  # parametrized
    with pytest.raises(ImageError, match="occupied"):
        existing(folder).keeps(folder / "photo", folder / "result")


def test_all_is_written_over_or_refused_on_request(folder: Path) -> None:
    result = make(folder)
    assert not existing(folder, "overwrite").keeps(folder / "photo", result)
    with pytest.raises(ImageError, match=r"occupied: .*result exists"):
        existing(folder, "fail").keeps(folder / "photo", result)


def test_a_run_that_is_killed_before_a_result_is_there_leaves_nothing_behind(folder: Path) -> None:
    draft = folder / ".draft"
    draft.write_bytes(b"result")
    existing(folder).describe(folder / "photo", folder / "result", draft)
    assert not existing(folder).keeps(folder / "photo", folder / "result")


def test_networks_are_told_apart_by_kind_scale_weights_and_settings() -> None:
    config = GeneratorConfig(kind="msrresnet", scale=2, num_blocks=1, num_channels=4)
    network = random_generator(config)
    stamps = [stamp_of_files(each, "png") for each in (network, Nearest(2), Nearest(3), Bicubic(2))]
    stamps.append(stamp_of_files(network, "webp"))
    first = stamp_of_files(network, "png")
    with torch.no_grad():
        next(network.parameters()).add_(0.5)
    stamps.append(stamp_of_files(network, "png"))
    assert first == stamps[0]
    assert len({*stamps}) == len(stamps)

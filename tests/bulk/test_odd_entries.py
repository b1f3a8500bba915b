"""A bulk run over a folder with everything that folders hold besides photos."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srgan.bulk.batch import BatchPipeline
from srgan.bulk.plan import BulkPlan, make_plan, preview, read_batch
from srgan.bulk.records import Record, Tally, from_parquet, tally, to_parquet
from srgan.bulk.run import BulkRun
from srgan.bulk.sources import KeyList
from srgan.bulk.summary import Summary, check, others, summarise
from srgan.config import UpscaleConfig
from srgan.errors import DataError, ImageError
from srgan.images import decode
from srgan.images.entries import SUFFIXES, kind_of, look_through
from srgan.images.files import read_photo
from srgan.inference.engine import Engine
from srgan.models.interpolation import Nearest
from srgan.services.folder import FolderStore
from srgan.storage import Place
from tests.support.bulk_runs import CHAMPION
from tests.support.entries import forbid

NOT_PHOTOS = (".DS_Store", "._a.png", "Thumbs.db", "desktop.ini", "a.xmp", ".trash/b.png")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "NOSUFFIX", "saved.jfif"):
        Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(folder / name, "png")
    for name in (*NOT_PHOTOS, "README", "empty", "video.bin"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"" if name == "empty" else b"\0\5\x16\7rest of it")
    return folder


def run_of(source: Path, name: str = "run") -> BulkRun:
    destination = source.parent / "out"
    destination.mkdir(exist_ok=True)
    return BulkRun(
        name=name,
        source=Place(str(source), FolderStore(source)),
        destination=Place(str(destination), FolderStore(destination)),
        model=CHAMPION,
        config=UpscaleConfig(),
    )


def upscale(source: Path, name: str = "run") -> tuple[BulkPlan, Summary, dict[str, Record]]:
    """Plan and do a run; its summary, and the rows by path below the source."""
    run = run_of(source, name)
    plan = make_plan(run)
    batch = BatchPipeline(run, Engine(Nearest(2)), decode)
    rows = {
        number: batch.run(number, read_batch(run, number)) for number in range(plan.num_batches)
    }
    summary = summarise(plan, {number: tally(found) for number, found in rows.items()}, {})
    store, own = run.destination.store, f"{run.destination.prefix}_srgan/{name}/records/"
    parts = [store.get(info.key) for info in store.list(own)]
    found = [row for part in parts for row in from_parquet(part, own)]
    return plan, summary, {row.source_key.removeprefix(f"{source}/"): row for row in found}


def test_what_is_not_a_photo_never_makes_a_run_fail_and_is_counted_apart(source: Path) -> None:
    plan, summary, rows = upscale(source)
    assert {name: row.outcome for name, row in rows.items()} == {
        "a.png": "done",
        "NOSUFFIX": "done",
        "saved.jfif": "done",
        "README": "passed_over",
        "empty": "passed_over",
        "video.bin": "passed_over",
    }
    counts = summary.counts
    assert (summary.num_keys, counts.num_done, counts.num_failed) == (3, 3, 0)
    assert counts.num_passed_over == len(NOT_PHOTOS) + 3
    assert {Path(key).name for key in plan.passed_over.passed_over} == {
        Path(name).name for name in NOT_PHOTOS
    }
    assert "6 passed over that are not photos" in plan.forecast_text
    assert others(counts).startswith(", 9 are not photos (")
    check(summary, failure_tolerance=0)
    out = source.parent / "out"
    assert {path.name for path in out.iterdir()} == {"a.png", "NOSUFFIX", "saved.jfif", "_srgan"}


def test_a_second_run_has_nothing_to_do_and_counts_the_same(source: Path) -> None:
    _, first, _ = upscale(source)
    plan, again, rows = upscale(source, "again")
    assert (plan.num_todo, plan.num_batches, rows) == (0, 0, {})
    assert (again.counts.num_skipped, again.num_keys) == (3, 3)
    assert again.counts.num_passed_over == first.counts.num_passed_over
    check(again, failure_tolerance=0)


def test_a_plan_deletes_what_killed_workers_left_a_day_ago_and_nothing_fresh(source: Path) -> None:
    unfinished = run_of(source).destination.prefix + "_srgan/unfinished"
    Path(unfinished).mkdir(parents=True)
    for name, age_s in (("old", 90_000), ("fresh", 80_000)):
        path = Path(unfinished, name)
        path.write_bytes(b"half an image")
        os.utime(path, (time.time() - age_s, time.time() - age_s))
    preview(run_of(source))
    assert {path.name for path in Path(unfinished).iterdir()} == {"old", "fresh"}
    upscale(source)
    assert {path.name for path in Path(unfinished).iterdir()} == {"fresh"}


def test_a_folder_of_nothing_but_unknown_files_that_are_not_photos_is_done(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "README").write_text("text")
    _, summary, _ = upscale(tmp_path / "in")
    assert (summary.num_keys, summary.counts.num_passed_over) == (0, 1)
    check(summary, failure_tolerance=0)


def test_a_folder_without_any_photo_by_its_names_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("text")
    with pytest.raises(DataError, match=r"holds no photos\. It has 1 objects, .*notes\.txt"):
        make_plan(run_of(tmp_path / "in"))


def test_an_odd_entry_is_failed_and_named_and_the_rest_is_done(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "dangling.jpg").symlink_to("gone")
    (source / "loop.png").symlink_to("loop.png")
    (source / "lost+found").mkdir()
    os.mkfifo(source / "pipe.png")
    os.mkfifo(source / ".pipe")
    Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9.png")).write_bytes(b"x")
    (source / "line\nbreak.png").write_bytes(b"x")
    (source / "page.jpg").write_bytes(b"<html>")
    (source / ("n" * 251 + ".png")).write_bytes(b"x")
    forbid(monkeypatch, source / "lost+found")
    _, summary, rows = upscale(source)
    failed = {name: row.reason for name, row in rows.items() if row.outcome == "failed"}
    assert failed == {
        "dangling.jpg": "unreadable",
        "loop.png": "unreadable",
        "lost+found/": "unreadable",
        "pipe.png": "unreadable",
        r"caf\xe9.png": "unsafe_name",
        "line\nbreak.png": "unsafe_name",
        "page.jpg": "not_an_image",
        "n" * 251 + ".png": "not_an_image",
    }
    assert summary.counts.num_done == 3
    assert summary.counts.num_failed == len(failed)


def test_commands_and_bulk_runs_do_what_the_table_of_the_docs_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "upscaling.md").read_text()
    table = text.split("| entry | examples | outcome |\n")[1].split("\n\n")[0].splitlines()[1:]
    expected = {}
    for line in table:
        _, entry, examples, outcome, _ = re.split(r" ?\| ?", line)
        for example in re.findall("`([^`]+)`", examples):
            _make_example(tmp_path / "in" / example, entry)
            expected[example] = outcome
    forbid(monkeypatch, tmp_path / "in" / "lost+found")
    assert set(expected.values()) == {"read", "failed", "passed over"}
    assert _command_outcomes(tmp_path / "in") == expected
    assert _bulk_outcomes(tmp_path / "in") == expected


def _make_example(path: Path, entry: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name == "lost+found":
        path.mkdir()
    elif entry.startswith("a link"):
        targets = {"linked.png": "photo.jpg", "loop.png": "loop.png"}
        path.symlink_to(targets.get(path.name, "nowhere"))
    elif entry.startswith("a pipe"):
        os.mkfifo(path)
    elif entry.startswith("a photo under"):
        Image.new("RGB", (16, 12)).save(path, "jpeg")
    elif entry.startswith("a photo in a format"):
        path.write_bytes(b"8BPS")
    else:
        path.write_bytes(b"" if path.stem == "empty" else b"text")


def _command_outcomes(folder: Path) -> dict[str, str]:
    found = look_through(folder)
    outcomes = dict.fromkeys(found.passed_over, "passed over") | dict.fromkeys(
        found.failed, "failed"
    )
    for path in found.photos:
        try:
            read_photo(path)
            outcomes[path] = "read"
        except ImageError:
            outcomes[path] = "failed"
    return _by_example(folder, outcomes)


def _bulk_outcomes(folder: Path) -> dict[str, str]:
    plan, _, rows = upscale(folder)
    words = {"done": "read", "failed": "failed", "passed_over": "passed over"}
    outcomes = {folder / name: words[row.outcome] for name, row in rows.items()}
    outcomes |= {Path(key): "passed over" for key in plan.passed_over.passed_over}
    return _by_example(folder, outcomes)


def _by_example(folder: Path, outcomes: dict[Path, str]) -> dict[str, str]:
    """Outcomes by the examples of the docs; a folder that is passed over stands for its photo."""
    within = {".trash", "@eaDir", "__MACOSX"}
    names = {path: str(path.relative_to(folder)) for path in outcomes}
    return {
        f"{name}/photo.jpg"
        if name in within
        else name.replace("lost+found", "lost+found/"): outcome
        for path, outcome in outcomes.items()
        if (name := names[path])
    }


def test_the_docs_list_the_suffixes_of_the_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "upscaling.md").read_text()
    for title, kind in (("of photos", "photo"), ("of what is not a photo", "other")):
        listed = text.split(f"**Suffixes {title}**")[1].split("`")[1].split()
        assert listed == sorted(listed)
        assert {kind_of(f"name{suffix}") for suffix in listed} == {kind}
        assert set(listed) == {s for s in SUFFIXES if kind_of(f"name{s}") == kind}


def test_a_manifest_may_name_any_entry(source: Path, tmp_path: Path) -> None:
    (source / "loop.png").symlink_to("loop.png")
    names = ["a.png", "loop.png", "a.xmp", "gone.png"]
    (tmp_path / "list.csv").write_text("\n".join(["key", *names]))
    key_list = KeyList(tmp_path / "list.csv", "/list.csv")
    plan = make_plan(run_of(source), key_list)
    assert (plan.num_todo, plan.passed_over.num_passed_over) == (1, 1)
    assert plan.refused.reasons == {"missing": 1, "unreadable": 1}


def test_a_link_that_leads_nowhere_is_not_a_free_place_for_an_output(source: Path) -> None:
    (source.parent / "out").mkdir()
    (source.parent / "out" / "a.png").symlink_to("/mnt/away/a.png")
    _, summary, rows = upscale(source)
    assert rows["a.png"].outcome == "failed"
    assert rows["a.png"].detail.endswith("a.png is a link to a file that is not there")
    assert (source.parent / "out" / "a.png").is_symlink()
    assert summary.counts.num_done == 2


def test_a_detail_that_names_a_file_without_utf8_is_recorded() -> None:
    made = Record("a", "t", 1, "m", "c", outcome="failed", detail="caf\udce9.png is bad")
    (read,) = from_parquet(to_parquet([made]), "records")
    assert read.detail == r"caf\udce9.png is bad"


def test_a_tally_names_only_the_first_of_what_was_passed_over() -> None:
    def rows(batch: int) -> list[Record]:
        return [Record(f"{batch}/{k}", "t", 1, "m", "c", outcome="passed_over") for k in range(15)]

    total = sum((tally(rows(batch)) for batch in range(3)), Tally())
    assert total.num_passed_over == 45
    assert total.passed_over[0] == "0/0"
    assert len(total.passed_over) == 20

"""A folder with one of everything, from its plan to its summary in one process."""

import pytest

from srgan.bulk.batch import BatchPipeline
from srgan.bulk.plan import make_plan, read_batch
from srgan.bulk.records import tally
from srgan.bulk.summary import Summary, check, summarise
from srgan.errors import DataError
from srgan.images import decode
from srgan.inference.engine import Engine
from srgan.models.interpolation import Nearest
from srgan.services.s3 import S3Store
from tests.support.bulk_runs import bulk_run
from tests.support.mixed_folder import (
    SCALE,
    Entry,
    Fate,
    expected,
    found,
    mixed_folder,
    results,
)


def upscale(store: S3Store, folder: dict[str, Entry], name: str) -> tuple[Summary, dict[str, Fate]]:
    """Put the entries below ``photos/`` and upscale them; the summary, and the fates by name."""
    for entry in folder:
        store.put(f"photos/{entry}", folder[entry].data)
    run = bulk_run(store, name)
    plan = make_plan(run)
    batch = BatchPipeline(run, Engine(Nearest(SCALE)), decode)
    finished = {
        number: tally(batch.run(number, read_batch(run, number)))
        for number in range(plan.num_batches)
    }
    return summarise(plan, finished, {}), found(store, "photos", "up", name)


def test_a_folder_with_one_of_everything_comes_out_as_the_docs_say(object_store: S3Store) -> None:
    folder = mixed_folder()
    summary, fates = upscale(object_store, folder, "run")
    assert fates == dict(sorted(expected(folder).items()))
    outcomes = [fate.outcome for fate in fates.values()]
    counts = summary.counts
    assert counts.num_done == outcomes.count("done")
    assert counts.num_failed == outcomes.count("failed") == summary.num_keys - counts.num_done
    assert counts.num_passed_over == len(folder) - summary.num_keys
    assert counts.losses == {"further images": 1, "further channels": 1}
    with pytest.raises(DataError, match=r"8 of .* images failed .*not_an_image 1"):
        check(summary, failure_tolerance=0)
    check(summary, failure_tolerance=0.5)
    names = {fate.result.rpartition(" (")[0] for fate in fates.values() if fate.result}
    assert results(object_store, "up") == names


def test_a_second_run_tries_only_what_failed(object_store: S3Store) -> None:
    folder = mixed_folder()
    upscale(object_store, folder, "run")
    run = bulk_run(object_store, "again")
    plan = make_plan(run)
    tried = {item.key for n in range(plan.num_batches) for item in read_batch(run, n)}
    failed = {name for name, fate in expected(folder).items() if fate.outcome == "failed"}
    assert tried == {f"photos/{name}" for name in failed}


@pytest.mark.parametrize(
    ("name", "libraries"),
    [("phone.heic", ()), ("new.jxl", ("pillow_jxl", "imagecodecs")), ("camera.dng", ("rawpy",))],
)
def test_a_format_that_needs_its_own_library_is_read_in_bulk(
    object_store: S3Store, name: str, libraries: tuple[str, ...]
) -> None:
    for library in libraries:
        pytest.importorskip(library)
    folder = {name: mixed_folder()[name]}
    _, fates = upscale(object_store, folder, "run")
    assert fates == expected(folder)

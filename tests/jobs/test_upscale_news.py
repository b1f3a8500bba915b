"""News of a bulk run for its flow, on a store of the test."""

import json

from srgan.config import UpscaleConfig
from srgan.jobs.upscale_news import News
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.refs import ModelRef
from tests.support.pretended_runs import Store


def news(store: Store, num_left: int) -> News:
    """News of a job that has so many of ten batches left."""
    spec = UpscaleSpec(
        run="b",
        source="/photos",
        destination="/large",
        model=ModelRef(name="m", version=1, run="r", weights_digest="ab" * 32),
        config=UpscaleConfig(),
        batches=tuple(range(10 - num_left, 10)),
        num_batches=10,
        release_version="1",
    )
    return News(spec, store)  # type: ignore[arg-type]  # only puts


def progress(store: Store) -> dict[str, int]:
    found: dict[str, int] = json.loads(store.objects["runs/upscale-b/progress.json"])
    return found


def test_a_job_that_goes_on_with_fewer_batches_gets_further_than_those_before() -> None:
    store = Store()
    first = news(store, 10)
    for _ in range(6):
        first.done()
    assert progress(store) == {"step": 6, "steps": 10}
    second = news(store, 4)
    second.done()
    assert progress(store) == {"step": 7, "steps": 10}

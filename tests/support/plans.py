"""Plans of bulk runs from `photos/` to `up/`, and what their batches would leave."""

from typing import Any

from srgan.bulk.join import Item
from srgan.bulk.plan import BulkPlan, make_plan, read_batch
from srgan.bulk.records import Record, to_parquet
from srgan.bulk.sources import KeyList
from srgan.keys import records_key
from srgan.services.s3 import S3Store
from srgan.storage import ObjectStore
from tests.support.bulk_runs import bulk_run, run_of


def plan(
    store: S3Store, run: str = "run1", *, key_list: KeyList | None = None, **options: Any
) -> BulkPlan:
    """Plan from ``photos/`` to ``up/``; `options` are those of `bulk_run`."""
    return make_plan(bulk_run(store, run, **options), key_list)


def batches(store: ObjectStore, made: BulkPlan) -> list[tuple[Item, ...]]:
    run = run_of(made, store)
    return [read_batch(run, number) for number in range(made.num_batches)]


def todo(store: S3Store, made: BulkPlan) -> list[str]:
    return [item.key for items in batches(store, made) for item in items]


def finish(store: ObjectStore, made: BulkPlan, *, only: int | None = None) -> None:
    """Pretend that the run's batches did their work, or only one of them."""
    for number, items in enumerate(batches(store, made)):
        if only in (None, number):
            rows = [row(item, made, store.put(item.output, b"upscaled")) for item in items]
            store.put(records_key(made.destination, made.run, number), to_parquet(rows))


def row(item: Item, made: BulkPlan, token: str) -> Record:
    return Record(
        source_key=item.key,
        source_token=item.token,
        source_bytes=item.size_bytes,
        model=made.stamp.model,
        config_digest=made.stamp.config_digest,
        outcome="done",
        destination_key=item.output,
        destination_token=token,
    )


def put_photos(store: S3Store, *names: str) -> None:
    for name in names:
        store.put(f"photos/{name}", f"bytes of {name}".encode())

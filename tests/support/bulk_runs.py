"""Bulk runs whose stores are open already."""

from srgan.bulk.plan import BulkPlan
from srgan.bulk.run import BulkRun
from srgan.config import UpscaleConfig
from srgan.refs import ModelRef
from srgan.storage import ObjectStore, Place

CHAMPION = ModelRef(name="m", version=1, run="r", weights_digest="ab" * 32)


def bulk_run(
    store: ObjectStore,
    name: str = "run",
    *,
    source: str = "photos",
    destination: str = "up",
    model: ModelRef = CHAMPION,
    **config: object,
) -> BulkRun:
    """A run between two prefixes of one bucket."""
    return BulkRun(
        name=name,
        source=Place(store.uri(source), store),
        destination=Place(store.uri(destination), store),
        model=model,
        config=UpscaleConfig.model_validate(config),
    )


def run_of(plan: BulkPlan, store: ObjectStore) -> BulkRun:
    """The run that a plan was made for, with `store` on both sides."""
    return BulkRun(
        name=plan.run,
        source=Place(plan.source, store),
        destination=Place(plan.destination, store),
        model=plan.model,
        config=plan.config,
    )

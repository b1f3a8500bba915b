"""The event of a dataset that has grown, which automations and deployments may be triggered by."""

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from flows.support.tasks import PATIENTLY
from srgan.config import GrowthConfig
from srgan.data.changes import growth_since_announced, mark_announced
from srgan.refs import DatasetRef
from srgan.services.s3 import open_store
from srgan.settings import Settings

GROWN = "srgan.dataset.grown"


@task(**PATIENTLY, cache_policy=NO_CACHE)
def announce_growth(ref: DatasetRef, growth: GrowthConfig) -> None:
    """Emit `GROWN` when enough photos have changed since it was last emitted for this dataset.

    Its resource is ``srgan.dataset.<name>``, its payload holds the version and the counts. Marked
    after it was emitted: twice is better than never, for a retraining decides by itself.
    """
    store = open_store(Settings())
    changes = growth_since_announced(store, ref)
    if not changes.enough(growth):
        get_run_logger().info(
            "Since dataset %s was last announced as grown: %s; it is again from %d and %g %% on",
            *(ref.dataset, changes, growth.min_changed_photos, 100 * growth.min_changed_share),
        )
        return
    emit_event(
        GROWN,
        resource={
            "prefect.resource.id": f"srgan.dataset.{ref.dataset}",
            "prefect.resource.name": ref.dataset,
            "srgan.source": ref.source,
        },
        payload={
            "version": ref.version,
            "num_before": changes.num_before,
            "num_new": len(changes.new),
            "num_changed": len(changes.changed),
            "num_removed": len(changes.removed),
        },
    )
    mark_announced(store, ref)
    get_run_logger().info("Announced (event %s): dataset %s, %s", GROWN, ref.dataset, changes)

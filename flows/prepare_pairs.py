"""Bring a dataset of pairs up to date with HR and LR photos below two prefixes."""

from prefect import flow, get_run_logger

from flows.prepare import latest_version, show_dataset
from flows.support.tasks import io_task
from srgan.config import DataConfig, Name, Positive, Scale
from srgan.data.pairs import Prefix
from srgan.data.pairs import prepare_pairs as make_pairs
from srgan.readable import Countdown
from srgan.refs import DatasetRef
from srgan.services.s3 import open_store
from srgan.storage import split_uri
from srgan.versions.services import open_services


@flow(name="prepare-pairs", flow_run_name="prepare-pairs {dataset}")
def prepare_pairs(
    hr: str,
    lr: str,
    dataset: Name,
    scale: Scale = 4,
    crop_size: Positive = 256,
    licence: str | None = None,
) -> DatasetRef:
    """Cut HR photos and their LR photos into pairs of crops: an immutable version of a dataset.

    A recipe names it in ``pairs``, its stages take their ``pair_share`` from it. Photos are matched
    by name; pairs that do not fit are left out and shown with the reason. Pairs that have not
    changed since the last time are not read again.

    Args:
        hr: S3 address of the large photos, ``s3://BUCKET/pairs/hr``.
        lr: S3 address of the small ones, with the same names below it.
        dataset: Name of the dataset, new or to be brought up to date.
        scale: How many times as large the HR photos are.
        crop_size: Side of the HR crops in pixels.
        licence: Licence of the photos, such as ``CC BY 4.0``; without it the previous version's.
    """
    before = latest_version(dataset)
    config = DataConfig(scale=scale, crop_size=crop_size)
    ref = cut_pairs(hr, lr, dataset, config, licence)
    show_dataset(ref, before)
    return ref


@io_task
def cut_pairs(
    hr: str, lr: str, dataset: str, config: DataConfig, licence: str | None = None
) -> DatasetRef:
    """Read the pairs that changed since the last published version, and publish the next."""
    services = open_services()
    larger, smaller = (
        Prefix(open_store(services.settings, bucket), path)
        for bucket, path in (split_uri(hr), split_uri(lr))
    )
    return make_pairs(
        larger,
        smaller,
        services.store,
        dataset,
        config,
        progress=Countdown(get_run_logger().info, "new or changed pairs read"),
        licence=licence,
    )

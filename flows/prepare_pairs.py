"""Bring a dataset of pairs up to date with HR and LR photos below two prefixes."""

from prefect import flow

from flows.prepare import cut, latest_version, show_dataset
from flows.support.jobs import stop_jobs
from srgan.config import DataConfig, Name, Positive, Scale
from srgan.jobs.prepare import PhotoPairs
from srgan.refs import DatasetRef


@flow(
    name="prepare-pairs",
    flow_run_name="prepare-pairs {dataset}",
    on_cancellation=[stop_jobs],
)
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
    changed since the last time are not read again; a Ray job reads the others.

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
    ref = cut(PhotoPairs(hr=hr, lr=lr, dataset=dataset, config=config, licence=licence))
    show_dataset(ref, before)
    return ref

"""The store behind an address: S3, or a folder that this machine sees."""

from pathlib import Path

from srgan.adapters.folder import FolderStore
from srgan.adapters.s3 import open_store
from srgan.errors import ClusterError
from srgan.settings import Settings
from srgan.storage import ObjectStore, is_folder, prefix_of


def open_address(settings: Settings, address: str) -> ObjectStore:
    """Store of ``s3://BUCKET/PREFIX`` or of ``/a/folder``; `ConfigError` for anything else."""
    bucket, prefix = prefix_of(address)
    return FolderStore(Path(prefix)) if is_folder(address) else open_store(settings, bucket)


def require_visible(address: str, *, machine: str) -> None:
    """`ClusterError` when `address` is a folder that this machine does not see."""
    if is_folder(address) and not Path(prefix_of(address)[1]).is_dir():
        raise ClusterError(
            f"{machine} does not see the folder {address}: local folders have to be on a disk that "
            "the flow and every Ray node share under the same path; otherwise use S3"
        )

"""Open the store of an address: S3, or a folder that this machine sees."""

from pathlib import Path

from srgan.bulk.run import Place
from srgan.errors import ClusterError
from srgan.services.folder import FolderStore
from srgan.services.s3 import open_store
from srgan.settings import Settings
from srgan.storage import is_folder, prefix_of


def open_place(settings: Settings, address: str) -> Place:
    """Open ``s3://BUCKET/PREFIX`` or ``/a/folder``; `ConfigError` for anything else."""
    bucket, prefix = prefix_of(address)
    if is_folder(address):
        return Place(address, FolderStore(Path(prefix)))
    own = bucket == settings.bucket
    return Place(address, open_store(settings, bucket), is_own_bucket=own)


def require_visible(place: Place, *, machine: str) -> None:
    """`ClusterError` if the place is a folder that this machine does not see."""
    if is_folder(place.address) and not Path(place.prefix).is_dir():
        raise ClusterError(
            f"{machine} does not see the folder {place.address}: local folders have to be on a "
            "disk that the flow and every Ray node share under the same path; otherwise use S3"
        )

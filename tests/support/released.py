"""The bucket that the previous release wrote, in the bucket of a test."""

import json
import zipfile
from pathlib import Path

from srgan.services.s3 import S3Store

PREVIOUS = Path(__file__).parent / "buckets" / "0.1.0.zip"


def fill(store: S3Store) -> None:
    """Put every object back, with its metadata."""
    with zipfile.ZipFile(PREVIOUS) as archive:
        for entry in archive.infolist():
            store.put(entry.filename, archive.read(entry), metadata=json.loads(entry.comment))

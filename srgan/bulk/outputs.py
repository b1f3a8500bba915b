"""Outputs of a bulk run in their store: whose an object is, and how one is encoded and written."""

import tempfile
from io import BytesIO
from typing import BinaryIO

from srgan.bulk.in_flight import InFlight
from srgan.bulk.names import SOURCE, SOURCE_BUCKET, origin
from srgan.bulk.records import LOST_SEP
from srgan.bulk.run import BulkRun
from srgan.errors import ConflictError, ImageError, StorageError
from srgan.images import Photo
from srgan.images.rows import encode_into
from srgan.images.spool import SpooledPhoto


class Outputs:
    """The run's destination. Safe for many threads, each with another image."""

    def __init__(self, run: BulkRun) -> None:
        self._source_bucket = run.source.store.bucket
        self._store = run.destination.store
        self._stamp = run.stamp
        self._config = run.config

    def is_there(self, image: InFlight) -> bool:
        """True if an attempt that was killed, or a run without records, made the output.

        `ImageError` (``occupied``) for an object that was not made from this source: it may be
        somebody's only copy.
        """
        key = image.row.destination_key
        info = self._store.head(key)
        image.replaces = None if info is None else info.token
        if info is None:
            return False
        # Outputs of earlier releases, and of files, do not name a bucket.
        bucket = {SOURCE_BUCKET: self._source_bucket}
        found = bucket | self._store.metadata(key)
        wanted = bucket | self._origin(image)
        if any(found.get(name) != wanted[name] for name in (SOURCE, SOURCE_BUCKET)):
            raise ImageError(
                "occupied",
                f"{self._store.uri(key)} exists and was not made from this source; move "
                "it away, or choose another destination",
            )
        if not wanted.items() <= found.items():
            return False
        image.note(destination_token=info.token, destination_bytes=info.size_bytes)
        return True

    def write(self, image: InFlight, photo: Photo) -> None:
        """Encode and store the output, and note it in the row.

        The row stays as it is if another run has made the output meanwhile. `ImageError` if it
        cannot be encoded, or somebody else's object is there now (``occupied``).
        """
        # If the pixels are in a file, the encoded output goes to one too.
        on_disk = isinstance(photo, SpooledPhoto)
        with tempfile.TemporaryFile() if on_disk else BytesIO() as file:
            with image.timed("encode"):
                lost = encode_into(
                    file,
                    photo,
                    format=image.format,
                    jpeg_quality=self._config.jpeg_quality,
                    jpeg_subsampling=self._config.jpeg_subsampling,
                    compression=self._config.compression,
                )
                num_bytes = file.tell()
                file.seek(0)
            with image.timed("write"):
                token = self._put(image, file)
        if token is None:
            return
        height, width = photo.pixels.shape[:2]
        image.note(outcome="done", destination_token=token, destination_bytes=num_bytes)
        image.note(width=width, height=height, lost=LOST_SEP.join(lost))

    def _put(self, image: InFlight, file: BinaryIO) -> str | None:
        """Store an output and return its change token; None if another run has made it meanwhile.

        Written on the condition that `is_there` still holds, at no further request: two sources
        of a batch may turn out to have one output, and people write below a destination too.
        """
        key = image.row.destination_key
        try:
            return self._store.put(
                key,
                file,
                metadata=self._origin(image),
                content_type=f"image/{image.format}",
                if_absent=image.replaces is None,
                if_token=image.replaces,
            )
        except ConflictError as error:
            if self.is_there(image):
                return None
            # Deleted again, or of another model's run: a `StorageError`, so it is tried again.
            uri = self._store.uri(key)
            raise StorageError(f"{uri} has changed while it was written") from error

    def _origin(self, image: InFlight) -> dict[str, str]:
        item = image.item
        return origin(self._source_bucket, item.key, item.token, self._stamp)

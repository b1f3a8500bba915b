"""Keep results that do not fit into memory in temporary files until they are encoded."""

import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from srgan.errors import ImageError, reason_of
from srgan.images.photo import Photo

_MIB = 2**20


class Plane:
    """Values (H, W, C) or (H, W), row by row, in a file without a name.

    No other process sees the file. It disappears with the last reference to this object or to
    `values`, even if the process is killed. `ImageError` (``no_space``) if the disk is full.
    """

    def __init__(self, folder: Path | None, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.folder = folder
        self._value_bytes = self.dtype.itemsize * int(np.prod(shape[2:]))
        size_bytes = shape[0] * shape[1] * self._value_bytes
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # closed below
        weakref.finalize(self, file.close)
        self._file = file.fileno()
        os.truncate(self._file, size_bytes)
        self.values: NDArray[Any] = np.memmap(file, self.dtype, "r", shape=shape)
        """Memory-mapped: read from the disk when used."""

    @property
    def path(self) -> str:
        """Path by which this process can open the file."""
        return f"/dev/fd/{self._file}"

    def write(self, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        """Write values (h, w, C) or (h, w) to the given rows and columns.

        Not through the mapping: written pages would count as memory of this process, and a full
        disk would raise a signal instead of an error.
        """
        stride = self.shape[1] * self._value_bytes
        first = rows.start * stride + columns.start * self._value_bytes
        values = np.ascontiguousarray(values)
        # Whole rows have the same layout in the file as in memory.
        parts = [values] if values.shape[1] == self.shape[1] else values
        try:
            for number, part in enumerate(parts):
                self._write(part.reshape(-1).view(np.uint8).data, first + number * stride)
        except OSError as error:
            raise ImageError(reason_of(error), f"{_named(self.folder)}: {error}") from error

    def read(self, rows: slice) -> NDArray[Any]:
        """Copy some rows (h, W, C) or (h, W) into memory."""
        stride = self.shape[1] * self._value_bytes
        result = np.empty((rows.stop - rows.start, *self.shape[1:]), self.dtype)
        data = result.reshape(-1).view(np.uint8).data
        done = 0
        while done < result.nbytes:
            done += os.preadv(self._file, [data[done:]], rows.start * stride + done)
        return result

    def _write(self, data: memoryview, at: int) -> None:
        while data:
            count = os.pwrite(self._file, data, at)
            data, at = data[count:], at + count


@dataclass(frozen=True, eq=False, kw_only=True)
class SpooledPhoto(Photo):
    """A photo whose pixels are on disk; `srgan.images.rows.encode_into` writes it row by row.

    `pixels` and `alpha` work as those of any photo, but take memory as they are read.
    """

    colours: Plane
    opacity: Plane | None = None

    @classmethod
    def of(
        cls, photo: Photo, colours: Plane, opacity: Plane | None, **changes: Any
    ) -> "SpooledPhoto":
        """Copy the metadata of `photo`, except for `changes`, and take the pixels from planes."""
        kept = {field.name: getattr(photo, field.name) for field in fields(Photo)}
        kept |= {"pixels": colours.values, "alpha": None if opacity is None else opacity.values}
        return cls(**(kept | changes), colours=colours, opacity=opacity)


def check_room(folder: Path | None, size_bytes: int) -> None:
    """Raise `ImageError` (``no_space``) unless `folder` has room for `size_bytes`."""
    free = shutil.disk_usage(folder or tempfile.gettempdir()).free
    if free < size_bytes:
        raise ImageError(
            "no_space",
            f"the result takes {size_bytes // _MIB + 1} MiB in {_named(folder)}, where "
            f"{free // _MIB} MiB are free; make room, choose another folder (--spool, TMPDIR) or "
            "raise the memory budget (--memory)",
        )


def _named(folder: Path | None) -> str:
    return str(folder or tempfile.gettempdir())

"""Upscale photos of this disk by the steps of a bulk run, and forecast time and bytes."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from srgan.bulk.decoders import Decode
from srgan.bulk.forecast import Forecast, Throughput, encoded_bytes, free_bytes, middle, spread
from srgan.bulk.names import SOURCE_TOKEN, Oversize, origin, rerouted
from srgan.bulk.run import Stamp
from srgan.bulk.sizing import Sizing, target_format
from srgan.errors import ImageError
from srgan.images.entries import check_file_size
from srgan.images.files import (
    MAX_PIXELS,
    FilePlan,
    FileResult,
    read_bytes,
    size_bytes,
    write_photo,
)
from srgan.images.photo import Photo
from srgan.inference.device import whole_device
from srgan.inference.engine import Engine
from srgan.readable import printable
from srgan.refs import config_digest
from srgan.storage import file_token

if TYPE_CHECKING:
    from srgan.models.base import Generator


_ATTRIBUTE, _TOKEN = "user.srgan", "srgan-token"
"""Extended attribute of a result, and the change token of the file within it."""

ExistingRule = Literal["skip", "overwrite", "fail"]


class Descriptions(Protocol):
    """Where metadata of results is kept; a `FolderStore` is such a place."""

    def describe(self, key: str, file: Path, metadata: Mapping[str, str]) -> None:
        """Keep metadata for the object at `key` as soon as `file` is renamed to it."""

    def metadata(self, key: str) -> dict[str, str]:
        """Metadata of the object as it is now; empty once somebody has changed it."""


@dataclass(frozen=True, slots=True)
class Existing:
    """Knows which results a command has made, and decides about files that are there already.

    What a result was made of is an extended attribute of its file, which is there as soon as the
    file is. A disk without extended attributes has it in `beside`, as bulk runs do.
    """

    beside: Descriptions
    stamp: Stamp
    rule: ExistingRule

    def keeps(self, source: Path, target: Path) -> bool:
        """True if `target` is whole and was made from `source` as it is now with this stamp.

        `ImageError` (``occupied``) for a file that must not be written over.
        """
        if self.rule == "overwrite" or not os.path.lexists(target):
            return False
        if self.rule == "fail":
            raise ImageError("occupied", f"{target} exists")
        wanted, found = self._origin(source), self._found(target)
        if any(found.get(name) != wanted[name] for name in wanted if name != SOURCE_TOKEN):
            raise ImageError(
                "occupied",
                f"{target} exists and was not made from this photo by this model and these "
                "settings; choose another destination, or --existing overwrite",
            )
        return found[SOURCE_TOKEN] == wanted[SOURCE_TOKEN]

    def describe(self, source: Path, target: Path, draft: Path) -> None:
        """Remember what `draft`, which will replace `target`, was made of."""
        made_of = self._origin(source)
        try:
            mark = json.dumps({_TOKEN: file_token(draft.stat()), **made_of})
            os.setxattr(draft, _ATTRIBUTE, mark.encode())
        except OSError:
            self.beside.describe(_absolute(target), draft, made_of)

    def _found(self, target: Path) -> dict[str, str]:
        """Origin of the file as it is now; empty once somebody has changed it."""
        if not target.is_file():
            return {}
        try:
            mark: dict[str, str] = json.loads(os.getxattr(target, _ATTRIBUTE))
        except OSError:
            return self.beside.metadata(_absolute(target))
        return mark if mark.get(_TOKEN) == file_token(target.stat()) else {}

    def _origin(self, source: Path) -> dict[str, str]:
        return origin("", printable(_absolute(source)), file_token(source.stat()), self.stamp)


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100  # links stay links


@dataclass(frozen=True, slots=True)
class FileUpscaler:
    """Upscales one file after the other with the same engine and options."""

    engine: Engine
    decode: Decode
    sizing: Sizing
    output_format: str
    """``same`` is the format of the photo itself, whatever its suffix says."""
    oversize: Oversize
    jpeg_quality: int
    jpeg_subsampling: str
    compression: int
    salvage: bool
    existing: Existing

    def __call__(
        self, source: Path, target: Path, share: Callable[[float], object] = lambda done: None
    ) -> FileResult:
        """Write the result to `target`, or beside it if it cannot be written in its format.

        Returns where the result is and what it lost; `share` is told how much of the work is done.
        `ImageError` if the photo cannot be read, or its result cannot be written or must not be
        written over. Most of that is found before the network runs. `DeviceError` if a GPU fails:
        the next files would fail too.
        """
        if self.keeps(source, target):
            return FileResult(target, kept=True)
        photo = self.read(source)
        wanted = photo.format if self.output_format == "same" else self.output_format
        format = target_format(photo, wanted, self.oversize, self.sizing)
        if format != wanted:
            target = target.with_name(rerouted(target.name, format))
            if self.keeps(source, target):
                return FileResult(target, kept=True)
        with whole_device():
            result = self.sizing.fitted(self.engine.upscale_photo(photo, share), photo)
        lost = write_photo(
            target,
            result,
            format=format,
            jpeg_quality=self.jpeg_quality,
            jpeg_subsampling=self.jpeg_subsampling,
            compression=self.compression,
            before=lambda draft: self.existing.describe(source, target, draft),
        )
        return FileResult(target, lost)

    def read(self, source: Path) -> Photo:
        """Read the photo in its own depth and with all its pages; `ImageError` with the reason."""
        check_file_size(size_bytes(source), MAX_PIXELS)
        return self.decode(read_bytes(source), max_pixels=MAX_PIXELS, salvage=self.salvage)

    def keeps(self, source: Path, target: Path) -> bool:
        """Tell whether the result exists and stays; `ImageError` if it must not be written over."""
        try:
            return self.existing.keeps(source, target)
        except FileNotFoundError as error:
            raise ImageError("unreadable", str(error)) from error


def stamp_of_files(generator: "Generator", *settings: object) -> Stamp:
    """Make a stamp of a network, by its kind and weights, and of all that decides the results."""
    # Imports torch, as the generator's own module does.
    import torch

    config = generator.config.model_dump_json() if generator.config else ""
    found = hashlib.sha256(config.encode())
    for name, tensor in sorted(generator.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    kind = type(generator).__name__
    return Stamp(
        model=f"{kind} ×{generator.scale}@{found.hexdigest()[:16]}",
        config_digest=config_digest(*map(str, settings)),
    )


def forecast_files(
    plan: FilePlan,
    folder: Path,
    upscaler: FileUpscaler,
    progress: Callable[[float, float], object] = lambda done, total: None,
) -> tuple[Forecast, dict[Path, str]]:
    """Forecast time and bytes from a few of the photos; the engine upscales a small part of each.

    Returns also the photos that are known to fail, with the reason: those whose result must not be
    written over, and those of the few that cannot be read. Results are in `folder`. `progress` is
    told how many of how many photos are measured. `ConfigError` if that disk is too small.
    """
    destination = str(folder.absolute())
    todo, failed = list[Path](), dict[Path, str]()
    for path, target in plan.files:
        try:
            todo += [] if upscaler.keeps(path, target) else [path]
        except (ImageError, OSError) as error:
            failed[path] = str(error)
    num_refused = len(failed)
    measured = Throughput(measured_on="a few of the photos")
    sample = list(spread(todo, len(todo)))
    for number, path in enumerate(sample):
        progress(number, len(sample))
        try:
            measured += Throughput(source_bytes=size_bytes(path))
            photo = upscaler.read(path)
            megapixels = upscaler.sizing.num_pixels(photo) / 1e6
        except ImageError as error:
            failed[path] = str(error)
            continue
        engine = upscaler.engine
        num_bytes = encoded_bytes(
            photo,
            format=upscaler.output_format,
            jpeg_quality=upscaler.jpeg_quality,
            compression=upscaler.compression,
            sizing=upscaler.sizing,
        )
        computed = engine.scale**2 * sum(page.num_pixels for page in (photo, *photo.pages)) / 1e6
        seconds = computed / _megapixels_per_s(engine, middle(photo))
        measured += Throughput(output_bytes=num_bytes, megapixels=megapixels, upscale_s=seconds)
    sizes = [path.stat().st_size for path in todo if path.is_file()]
    forecast = Forecast(
        num_todo=len(todo),
        todo_bytes=sum(sizes),
        num_covered=len(plan.files) - len(todo) - num_refused,
        num_refused=num_refused,
        num_others=len(plan.passed_over),
        num_batches=1,
        free_bytes=free_bytes(destination),
    ).projected(measured)
    forecast.check_space(destination)
    return forecast, failed


def _megapixels_per_s(engine: Engine, crop: NDArray[np.uint8]) -> float:
    """Measure output megapixels per second on the second pass; the first one compiles kernels."""
    rgb = crop if crop.ndim == 3 else np.repeat(crop[:, :, None], 3, axis=2)
    engine.upscale(rgb)
    began = time.perf_counter()
    made = engine.upscale(rgb)
    seconds = time.perf_counter() - began
    return float(made.shape[0] * made.shape[1]) / 1e6 / seconds

"""Fast inference on one device, tile by tile, equal to the whole image at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from srgan.errors import ConfigError, ImageError
from srgan.images import Photo
from srgan.images.codecs.pixels import bled
from srgan.images.photo import Samples as Pixels
from srgan.images.photo import luma
from srgan.images.spool import Plane, SpooledPhoto, check_room
from srgan.inference.folding import folded
from srgan.inference.levels import Outgoing, Place, compact, to_levels, to_lr
from srgan.inference.memory import (
    MEMORY_BYTES,
    PROBE_SIDE,
    PROCESS_BYTES,
    TileLimit,
    costs_of,
    is_out_of_memory,
    largest_tile,
)
from srgan.inference.reach import reach_of
from srgan.inference.tiles import LEAST_SIDE, Tile, tiles
from srgan.models.base import Generator
from srgan.models.interpolation import Bicubic
from srgan.precision import computes_bf16, ieee_fp32

Write = Callable[[slice, slice, Pixels], None]
"""Puts pixels into a result at the given rows and columns."""
Computed = Callable[[int], None]
"""Is told the LR pixels of each tile that is done."""
Precision = Literal["fp32", "auto"]
"""``fp32``: the network as it was trained, operation by operation, so that a tiled result equals
the whole image's in every bit; never in TF32, as torch computes convolutions on GPUs. ``auto``: the
same function in fewer operations, in bf16 where the device computes that natively; at least 50 dB
PSNR to fp32, three times as fast. 16-bit photos are always computed in fp32, because bf16 has only
8 significant bits."""
_TOGETHER = LEAST_SIDE**2
"""LR pixels of photos that are computed at once: those of the smallest tile, so that they take no
more memory than it does."""
_WHILE_ENCODED = 4
"""Copies of a result that are held at the end: itself, Pillow's copy and twice the file."""


class Engine:
    """Upscales images of any size with one generator; memory is bounded by the tile.

    Besides the image and its result, only one tile with its context is held at a time: the largest
    that fits into `memory_bytes`, the budget of the whole process, or `tile` LR pixels a side. Its
    context is what the network needs, or `context` LR pixels if that is less than its radius.
    Results that do not fit into `memory_bytes` until they are encoded go to files in `spool` (by
    default the system's folder of temporary files). `growth` is how many pixels each pixel of a
    result is resampled to afterwards, and counts too. If memory runs out anyway, the tile is halved
    for this image and some more, and the work goes on. The engine owns the generator: it moves it
    to `device` (by default CUDA if there is one, else the CPU) and sets it to eval mode.
    `ConfigError` for a budget smaller than the smallest tile.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        tile: int | None = None,
        context: int | None = None,
        memory_bytes: int = MEMORY_BYTES,
        precision: Precision = "fp32",
        device: torch.device | str | None = None,
        spool: Path | None = None,
        growth: float = 1.0,
    ) -> None:
        if tile is not None and tile < 1:
            raise ValueError(f"tile must be at least one LR pixel, got {tile}")
        if context is not None and context < 0:
            raise ValueError(f"context is a number of LR pixels, got {context}")
        fallback = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(fallback if device is None else device)
        self.scale = generator.scale
        self._tile = tile
        self._limit = TileLimit()
        self._context = context
        self._memory_bytes = memory_bytes
        self._spool = spool
        self._growth = growth
        self._dtype = torch.float32
        self._original = generator
        is_free = precision == "auto" and not generator.exact_only
        # One small photo does not fill a GPU; a CPU is as fast with one.
        self._takes_several = is_free and self.device.type == "cuda"
        if is_free:
            generator = folded(generator)
            if computes_bf16(self.device):
                self._dtype = torch.bfloat16
        # Measured on the CPU, so that the context does not depend on the device. A GPU chooses
        # other algorithms for other sizes, and computes in TF32: their rounding looks like a cut
        # that is felt everywhere.
        self._reach = reach_of(generator.eval().to("cpu"), context)
        self._generator = generator.to(self.device, self._dtype)
        # Convolutions run 1.4 times as fast on the CPU with the channels innermost.
        self._generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs
        self._bicubic = Bicubic(generator.scale).to(self.device)
        if tile is None:
            side = max(PROBE_SIDE, self._reach.step)
            self._costs = costs_of(self._generator, self._dtype, to_levels, side)
            self._tile_for(0)  # refuse a budget that is too small before work starts

    def upscale(self, image: Pixels) -> Pixels:
        """uint8 or uint16 RGB (H, W, 3) → RGB (s·H, s·W, 3) of the same type, whatever the tile."""
        result = np.empty(_larger(image, self.scale), image.dtype)
        self._run(self._generator, [image], [_into(result)], image.nbytes + result.nbytes)
        return result

    def upscale_photo(
        self, photo: Photo, share: Callable[[float], object] = lambda done: None
    ) -> Photo:
        """Upscale the colours by the network and alpha by bicubic; keep the rest of the photo.

        A grayscale photo stays grayscale (the luma of its result), and dpi grow with the scale, so
        that the photo keeps its size in print. All pages are upscaled. `share` is told after each
        tile how much of the work is done, from 0 to 1. Returns a `SpooledPhoto` if
        the results would not fit into the memory budget until they are encoded; `ImageError`
        (``no_space``) if the disk does not have room for them either.
        """
        is_spooled = self.is_spooled(photo)
        if is_spooled:
            resampled = self._growth if self._growth > 1 else 0
            check_room(self._spool, int((1 + resampled) * self._result_bytes(photo)))
        computed = _shares(sum(page.num_pixels for page in (photo, *photo.pages)), share)
        pages = tuple(self._enlarged(page, (), is_spooled, computed) for page in photo.pages)
        return self._enlarged(photo, pages, is_spooled, computed)

    def together(self, photos: Sequence[Photo]) -> list[int]:
        """Choose the photos that `upscale_photos` should get at once; returns their indices.

        The first is always one of them. In ``auto`` on a GPU the others are of its size, as far as
        they are small, have 8 bits and neither alpha nor further pages. Elsewhere there are none.
        """
        first = photos[0]
        most = _TOGETHER // first.num_pixels
        if not self._takes_several or not _is_plain(first) or most < 2:
            return [0]
        size = first.pixels.shape[:2]
        alike = [
            index
            for index, photo in enumerate(photos)
            if photo.pixels.shape[:2] == size and _is_plain(photo)
        ]
        return alike[:most]

    def upscale_photos(self, photos: Sequence[Photo]) -> list[Photo]:
        """Upscale photos that go `together` as one batch.

        Results differ from those of `upscale_photo` in the last bits before rounding. An error may
        be that of any of them: try each alone.
        """
        results = [np.empty(_larger(each.pixels, self.scale), np.uint8) for each in photos]
        writes = [
            _colours_of(photo, _into(result)) for photo, result in zip(photos, results, strict=True)
        ]
        held_bytes = sum(_num_bytes(each) + self._result_bytes(each) for each in photos)
        self._run(self._generator, [bled(each) for each in photos], writes, held_bytes)
        return [
            replace(photo, pixels=result, dpi=self._dpi(photo))
            for photo, result in zip(photos, results, strict=True)
        ]

    def is_spooled(self, photo: Photo) -> bool:
        """True if the result of a photo goes to the disk."""
        return self._whole_bytes(photo) > self._memory_bytes - PROCESS_BYTES

    def held_bytes(self, photo: Photo) -> int:
        """Memory that a photo and its result take until the result is encoded."""
        return _num_bytes(photo) if self.is_spooled(photo) else self._whole_bytes(photo)

    def _whole_bytes(self, photo: Photo) -> int:
        """Bytes of a photo and its result until it is encoded, if both are in memory."""
        result_bytes = self._growth * self._result_bytes(photo)
        return _num_bytes(photo) + int(_WHILE_ENCODED * result_bytes)

    def _result_bytes(self, photo: Photo) -> int:
        return self.scale**2 * _num_bytes(photo)

    def _dpi(self, page: Photo) -> tuple[float, float] | None:
        return page.dpi and (page.dpi[0] * self.scale, page.dpi[1] * self.scale)

    def _enlarged(
        self, page: Photo, pages: tuple[Photo, ...], is_spooled: bool, computed: Computed
    ) -> Photo:
        """Upscale one page of a photo; `pages` are the results of those that follow it."""
        if page.is_deep and self._dtype != torch.float32:
            return self._exact._enlarged(page, pages, is_spooled, computed)
        dtype = page.pixels.dtype
        shape = _larger(page.pixels, self.scale)
        dpi = self._dpi(page)
        held_bytes = _num_bytes(page)
        if is_spooled:
            colours = Plane(self._spool, shape, dtype)
            opacity = None if page.alpha is None else Plane(self._spool, shape[:2], dtype)
            write_alpha: Write | None = opacity.write if opacity else None
            self._write(page, held_bytes, colours.write, write_alpha, computed)
            return SpooledPhoto.of(page, colours, opacity, dpi=dpi, pages=pages)
        held_bytes += self._result_bytes(page)
        pixels = np.empty(shape, dtype)
        alpha = None if page.alpha is None else np.empty(shape[:2], dtype)
        write_alpha = None if alpha is None else _into(alpha)
        self._write(page, held_bytes, _into(pixels), write_alpha, computed)
        return replace(page, pixels=pixels, alpha=alpha, dpi=dpi, pages=pages)

    def _write(
        self,
        page: Photo,
        held_bytes: int,
        write: Write,
        write_alpha: Write | None,
        computed: Computed,
    ) -> None:
        writes = [_colours_of(page, write)]
        self._run(self._generator, [bled(page)], writes, held_bytes, computed)
        if page.alpha is not None and write_alpha is not None:
            opaque = np.broadcast_to(page.alpha[..., None], (*page.alpha.shape, 3))
            self._run(
                self._bicubic,
                [opaque],
                [lambda rows, columns, rgb: write_alpha(rows, columns, rgb[..., 0])],
                held_bytes,
            )

    @cached_property
    def _exact(self) -> "Engine":
        try:
            return Engine(
                self._original,
                tile=self._tile,
                context=self._context,
                memory_bytes=self._memory_bytes,
                device=self.device,
                spool=self._spool,
                growth=self._growth,
            )
        except ConfigError as error:
            # The budget is enough for 8 bits, so only 16-bit photos fail.
            raise ImageError("out_of_memory", f"16 bits: {error}") from error

    @torch.inference_mode()
    @ieee_fp32()
    def _run(
        self,
        generator: Generator,
        images: Sequence[Pixels],
        writes: Sequence[Write],
        held_bytes: int,
        computed: Computed = lambda num_pixels: None,
    ) -> None:
        """Upscale images of one size tile by tile with `held_bytes` already allocated.

        `ImageError` (``not_finite``) if the network gave NaN or infinity for any of them.
        """
        image = images[0]
        is_image = image.ndim == 3 and image.shape[2] == 3 and image.size > 0
        if not is_image or image.dtype not in (np.uint8, np.uint16):
            raise ValueError(
                f"expected RGB pixels (H, W, 3) uint8 or uint16, got {image.shape} {image.dtype}"
            )
        height, width, _ = image.shape
        outgoing = Outgoing(self.device)
        reach = self._reach if generator is self._generator else reach_of(generator)
        wanted = self._tile or _evenly(max(height, width), self._tile_for(held_bytes))
        tile = self._limit.of(wanted)
        row = 0
        while row < height:
            try:
                for part in tiles(
                    height,
                    width,
                    tile=tile,
                    trunk_radius=reach.trunk,
                    head_radius=reach.head,
                    step=reach.step,
                    first_row=row,
                ):
                    row = part.rows.core.start
                    self._one(generator, images, part, writes, outgoing)
                    computed(part.num_pixels)
                row = height
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or tile <= LEAST_SIDE:
                    raise
                # The next images get the smaller tile too, or they would run out of memory.
                tile = self._limit.halve(tile)
        self._limit.note_image(wanted)
        outgoing.finish()

    def _tile_for(self, held_bytes: int) -> int:
        """Choose the tile that fits into the budget beside an image and its result.

        Those count as at most half of the budget, so that images are never refused for their size.
        """
        budget = self._memory_bytes - PROCESS_BYTES
        available = max(budget - held_bytes, budget // 2) if held_bytes else budget
        if self.device.type == "cuda":
            # Free for other processes too, and what torch keeps for the next tile.
            free = torch.cuda.mem_get_info(self.device)[0]
            kept = torch.cuda.memory_reserved(self.device)
            available = min(budget, free + kept - torch.cuda.memory_allocated(self.device))
        least = self._costs.peak_bytes(LEAST_SIDE, self._reach)
        return largest_tile(max(available, min(budget, least)), self._costs, self._reach)

    def _one(
        self,
        generator: Generator,
        images: Sequence[Pixels],
        tile: Tile,
        writes: Sequence[Write],
        outgoing: Outgoing,
    ) -> None:
        # One tile at a time: batches of tiles are not faster here and differ in the last bit.
        rows, columns = tile.rows, tile.columns
        inside = (
            slice(rows.window.start, rows.window.stop),
            slice(columns.window.start, columns.window.stop),
        )
        lr = to_lr([image[inside] for image in images], self.device)
        features = generator.trunk(lr.to(self._dtype))
        for row, column in tile.pieces():
            kept = (
                ...,
                row.features.inside(rows.window),
                column.features.inside(columns.window),
            )
            # The head gets the pixels in fp32 even if the network computes in bf16, so that what it
            # interpolates from them stays exact.
            sr = generator.head(compact(features[kept]), compact(lr[kept]))
            core = sr[..., row.in_sr(generator.scale), column.in_sr(generator.scale)]
            places = row.in_result(generator.scale), column.in_result(generator.scale)
            outgoing.send(core, images[0].dtype, _placing(writes, *places))


def _shares(num_pixels: int, share: Callable[[float], object]) -> Computed:
    """Add up tiles to the share of a photo that is done; repeated tiles do not count beyond 1."""
    done = 0

    def computed(more: int) -> None:
        nonlocal done
        done += more
        share(min(1.0, done / num_pixels))

    return computed


def _is_plain(photo: Photo) -> bool:
    """True if its pixels are all that there is to compute."""
    return not photo.is_deep and photo.alpha is None and not photo.pages


def _colours_of(page: Photo, write: Write) -> Write:
    """Make what the network gives gray again if the page is gray."""
    if page.pixels.ndim == 3:
        return write
    return lambda rows, columns, rgb: write(rows, columns, luma(rgb))


def _placing(writes: Sequence[Write], rows: slice, columns: slice) -> Place:
    def place(pixels: Pixels) -> None:
        for write, each in zip(writes, pixels, strict=True):
            write(rows, columns, each)

    return place


def _evenly(side: int, tile: int) -> int:
    """Shrink the tile so that it cuts a side into as many parts as before, but equal ones."""
    return -(-side // -(-side // tile))


def _larger(image: Pixels, scale: int) -> tuple[int, ...]:
    height, width, *channels = image.shape
    return (height * scale, width * scale, *channels)


def _into(result: Pixels) -> Write:
    def write(rows: slice, columns: slice, pixels: Pixels) -> None:
        result[rows, columns] = pixels

    return write


def _num_bytes(photo: Photo) -> int:
    """Bytes of all pages."""
    return sum(page.num_bytes for page in (photo, *photo.pages))

"""Fast inference on one device, tile by tile, equal to the whole image at once."""

from dataclasses import replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from srgan.errors import ConfigError, ImageError
from srgan.images import Photo
from srgan.images.bleed import bled
from srgan.images.photo import Samples as Pixels
from srgan.models.base import Generator
from srgan.models.folding import folded
from srgan.models.interpolation import Bicubic
from srgan.precision import computes_bf16
from srgan.upscale.memory import (
    MEMORY_BYTES,
    PROCESS_BYTES,
    costs_of,
    is_out_of_memory,
    largest_tile,
)
from srgan.upscale.tiles import LEAST_SIDE, AxisPiece, Tile, tiles

Precision = Literal["fp32", "auto"]
"""``fp32``: the network as it was trained, operation by operation, so that a tiled result is the
whole image's in every bit. ``auto``: the same function in fewer operations, in bf16 where the
device computes that natively; at least 50 dB PSNR to fp32, three times as fast. 16-bit photos are
computed in fp32 either way: bf16 has 8 significant bits."""


class Engine:
    """Upscales images of any size with one generator; memory is bounded by the tile.

    Besides the image and its result, only one tile with its context is ever held: the largest
    that `memory_bytes` of the whole process allow, or `tile` LR pixels a side. Where memory runs
    out all the same, the tile is halved and the work goes on. The generator belongs to the engine
    from then on: it is moved to `device` (CUDA where there is one, else the CPU) and set to eval
    mode. `ConfigError` for a budget that does not hold the smallest tile.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        tile: int | None = None,
        memory_bytes: int = MEMORY_BYTES,
        precision: Precision = "fp32",
        device: torch.device | str | None = None,
    ) -> None:
        if tile is not None and tile < 1:
            raise ValueError(f"tile must be at least one LR pixel, got {tile}")
        fallback = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(fallback if device is None else device)
        self.scale = generator.scale
        self._tile = tile
        self._memory_bytes = memory_bytes
        self._dtype = torch.float32
        self._original = generator
        if precision == "auto":
            generator = folded(generator)
            if computes_bf16(self.device):
                self._dtype = torch.bfloat16
        self._generator = generator.eval().to(self.device, self._dtype)
        # Convolutions run 1.4 times as fast on the CPU with the channels innermost.
        self._generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs
        self._bicubic = Bicubic(generator.scale).to(self.device)
        if tile is None:
            self._costs = costs_of(self._generator, self._dtype, _levels)
            self._tile_for(0)  # refuses a budget that is too small before work starts

    def upscale(self, image: Pixels) -> Pixels:
        """uint8 or uint16 RGB (H, W, 3) → the same RGB (s·H, s·W, 3), whatever the tile."""
        return self._run(self._generator, image)

    def upscale_photo(self, photo: Photo) -> Photo:
        """Upscale the colours by the network and alpha by bicubic; the rest of the photo stays.

        A grayscale photo stays one (the luma of its result), and dpi grow with the scale, so
        that the photo keeps its size in print. Further pages go the same way.
        """
        if photo.is_deep and self._dtype != torch.float32:
            return self._exact.upscale_photo(photo)
        pixels = self.upscale(bled(photo))
        alpha = photo.alpha
        if alpha is not None:
            opaque = np.broadcast_to(alpha[..., None], (*alpha.shape, 3))
            alpha = self._run(self._bicubic, opaque)[..., 0]
        dpi = photo.dpi
        return replace(
            photo,
            pixels=luma(pixels) if photo.pixels.ndim == 2 else pixels,
            alpha=alpha,
            dpi=dpi and (dpi[0] * self.scale, dpi[1] * self.scale),
            pages=tuple(self.upscale_photo(page) for page in photo.pages),
        )

    @cached_property
    def _exact(self) -> "Engine":
        try:
            return Engine(
                self._original,
                tile=self._tile,
                memory_bytes=self._memory_bytes,
                device=self.device,
            )
        except ConfigError as error:
            # The budget holds what 8 bits take, so only these photos fail.
            raise ImageError("out_of_memory", f"16 bits: {error}") from error

    @torch.inference_mode()
    def _run(self, generator: Generator, image: Pixels) -> Pixels:
        is_image = image.ndim == 3 and image.shape[2] == 3 and image.size > 0
        if not is_image or image.dtype not in (np.uint8, np.uint16):
            raise ValueError(
                f"expected RGB pixels (H, W, 3) uint8 or uint16, got {image.shape} {image.dtype}"
            )
        height, width, _ = image.shape
        result = np.empty((height * generator.scale, width * generator.scale, 3), image.dtype)
        tile = self._tile
        if tile is None:
            tile = _evenly(max(height, width), self._tile_for(image.nbytes + result.nbytes))
        row = 0
        while row < height:
            try:
                for part in tiles(
                    height,
                    width,
                    tile=tile,
                    trunk_radius=generator.trunk_radius,
                    head_radius=generator.head_radius,
                    first_row=row,
                ):
                    row = part.rows.core.start
                    self._one(generator, image, part, result)
                row = height
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or tile <= LEAST_SIDE:
                    raise
                # The next images would meet the same wall.
                self._tile = tile = max(LEAST_SIDE, tile // 2)
        return result

    def _tile_for(self, held_bytes: int) -> int:
        """Tile that the budget allows beside an image and its result.

        These count as half of the budget at most: images are never refused for their size.
        """
        budget = self._memory_bytes - PROCESS_BYTES
        available = max(budget - held_bytes, budget // 2) if held_bytes else budget
        if self.device.type == "cuda":
            available = min(budget, torch.cuda.mem_get_info(self.device)[0])
        context = self._generator.radius
        least = self._costs.peak_bytes(LEAST_SIDE, context)
        return largest_tile(max(available, min(budget, least)), self._costs, context)

    def _one(self, generator: Generator, image: Pixels, tile: Tile, result: Pixels) -> None:
        # One tile at a time: batches of tiles are no faster here and differ in the last bit.
        rows, columns = tile.rows, tile.columns
        window = image[
            rows.window.start : rows.window.stop, columns.window.start : columns.window.stop
        ]
        lr = _to_lr(window, self.device)
        features = generator.trunk(lr.to(self._dtype))
        for row, column in tile.pieces():
            kept = (
                ...,
                row.features.inside(rows.window),
                column.features.inside(columns.window),
            )
            # The head has the pixels in fp32 whatever the network computes in: what it
            # interpolates of them stays exact.
            sr = generator.head(_compact(features[kept]), _compact(lr[kept]))
            _place(result, sr, row, column, generator.scale)


def _place(result: Pixels, sr: Tensor, row: AxisPiece, column: AxisPiece, scale: int) -> None:
    """Write the core of a piece's SR (1, 3, s·h, s·w) to where it lies in the result."""
    rows, columns = (
        slice(core.start * scale, core.stop * scale) for core in (row.core, column.core)
    )
    part = (row.core.inside(row.features), column.core.inside(column.features))
    height, width = (slice(side.start * scale, side.stop * scale) for side in part)
    result[rows, columns] = _to_pixels(sr[0, :, height, width], result.dtype)


def _to_lr(window: Pixels, device: torch.device) -> Tensor:
    """uint8 or uint16 (h, w, 3) → float (1, 3, h, w) in [0, 1], channels-last."""
    values = torch.from_numpy(window.copy()).to(device)
    return (values.float() / np.iinfo(window.dtype).max).permute(2, 0, 1).unsqueeze(0)


def _compact(view: Tensor) -> Tensor:
    return view.contiguous(memory_format=torch.channels_last)


def _to_pixels(sr: Tensor, dtype: DTypeLike) -> Pixels:
    """Float (3, H, W), nominally [−1, 1] → (H, W, 3) of uint8 or uint16, rounded.

    `ImageError` where the network gave no numbers: as pixels they would pass for black.
    """
    if not torch.isfinite(sr).all():
        raise ImageError("not_finite", "the network gave values that are not finite")
    levels = _levels(sr) if dtype == np.uint8 else _deep_levels(sr)
    pixels: Pixels = levels.permute(1, 2, 0).cpu().numpy()
    return pixels


def _levels(sr: Tensor) -> Tensor:
    return ((sr + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _deep_levels(sr: Tensor) -> Tensor:
    return ((sr + 1) * 32767.5).round().clamp(0, 65_535).to(torch.uint16)


def _evenly(side: int, tile: int) -> int:
    """The tile that cuts a side into as many parts as `tile` does, but equal ones."""
    return -(-side // -(-side // tile))


def luma(rgb: Pixels) -> Pixels:
    """Full-range BT.601 luma (H, W) of RGB; gray in is the same gray out."""
    values = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.rint(values).astype(rgb.dtype)

"""Fast inference on one device, tile by tile, equal to the whole image at once."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srgan.errors import ImageError
from srgan.images import Photo
from srgan.models.base import Generator
from srgan.models.interpolation import Bicubic
from srgan.upscale.tiles import Tile, tiles

Pixels = NDArray[np.uint8]


class Engine:
    """Upscales images of any size with one generator in fp32; memory is bounded by the tile.

    Besides the image and its result, only one tile with its context is ever held. The generator
    belongs to the engine from then on: it is moved to `device` (CUDA where there is one, else
    the CPU) and set to eval mode.
    """

    def __init__(
        self, generator: Generator, *, tile: int, device: torch.device | str | None = None
    ) -> None:
        if tile < 1:
            raise ValueError(f"tile must be at least one LR pixel, got {tile}")
        fallback = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(fallback if device is None else device)
        self.scale = generator.scale
        self._tile = tile
        self._generator = generator.eval().to(self.device)
        # Convolutions run 1.4 times as fast on the CPU with the channels innermost.
        self._generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs
        self._bicubic = Bicubic(generator.scale).to(self.device)

    def upscale(self, image: Pixels) -> Pixels:
        """uint8 RGB (H, W, 3) → uint8 RGB (s·H, s·W, 3), whatever the tile."""
        return self._run(self._generator, image)

    def upscale_photo(self, photo: Photo) -> Photo:
        """Upscale the colours by the network and alpha by bicubic; the rest of the photo stays.

        A grayscale photo stays one (the luma of its result), and dpi grow with the scale, so
        that the photo keeps its size in print.
        """
        pixels = self.upscale(photo.rgb)
        alpha = photo.alpha
        if alpha is not None:
            opaque = np.broadcast_to(alpha[..., None], (*alpha.shape, 3))
            alpha = self._run(self._bicubic, opaque)[..., 0]
        dpi = photo.dpi
        return replace(
            photo,
            pixels=_luma(pixels) if photo.pixels.ndim == 2 else pixels,
            alpha=alpha,
            dpi=dpi and (dpi[0] * self.scale, dpi[1] * self.scale),
        )

    @torch.inference_mode()
    def _run(self, generator: Generator, image: Pixels) -> Pixels:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(
                f"expected RGB pixels (H, W, 3) uint8, got {image.shape} {image.dtype}"
            )
        height, width, _ = image.shape
        scale = generator.scale
        result = np.empty((height * scale, width * scale, 3), np.uint8)
        for tile in tiles(
            height,
            width,
            tile=self._tile,
            trunk_radius=generator.trunk_radius,
            head_radius=generator.head_radius,
        ):
            rows, columns = tile.rows.core, tile.columns.core
            result[
                rows.start * scale : rows.stop * scale,
                columns.start * scale : columns.stop * scale,
            ] = self._one(generator, image, tile)
        return result

    def _one(self, generator: Generator, image: Pixels, tile: Tile) -> Pixels:
        rows, columns = tile.rows, tile.columns
        window = image[
            rows.window.start : rows.window.stop, columns.window.start : columns.window.stop
        ]
        lr = _to_lr(window, self.device)
        # One tile at a time: batches of tiles are no faster here and differ in the last bit.
        features = generator.trunk(lr)
        kept = (..., rows.features.inside(rows.window), columns.features.inside(columns.window))
        sr = generator.head(_compact(features[kept]), _compact(lr[kept]))
        core = (rows.core.inside(rows.features), columns.core.inside(columns.features))
        scale = generator.scale
        height, width = (slice(part.start * scale, part.stop * scale) for part in core)
        return _to_pixels(sr[0, :, height, width])


def _to_lr(window: Pixels, device: torch.device) -> Tensor:
    """uint8 (h, w, 3) → float (1, 3, h, w) in [0, 1], channels-last."""
    values = torch.from_numpy(window.copy()).to(device)
    return (values.float() / 255).permute(2, 0, 1).unsqueeze(0)


def _compact(view: Tensor) -> Tensor:
    return view.contiguous(memory_format=torch.channels_last)


def _to_pixels(sr: Tensor) -> Pixels:
    """Float (3, H, W), nominally [−1, 1] → uint8 (H, W, 3), rounded.

    `ImageError` where the network gave no numbers: as pixels they would pass for black.
    """
    if not torch.isfinite(sr).all():
        raise ImageError("not_finite", "the network gave values that are not finite")
    values = ((sr + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    pixels: Pixels = values.permute(1, 2, 0).cpu().numpy()
    return pixels


def _luma(rgb: Pixels) -> Pixels:
    """Full-range BT.601 luma (H, W) of RGB; gray in is the same gray out."""
    values = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.rint(values).astype(np.uint8)

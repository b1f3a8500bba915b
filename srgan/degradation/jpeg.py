"""JPEG of tensors: what quality leaves of an image, without a file."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# ITU-T T.81, tables K.1 and K.2.
_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


class Jpeg(nn.Module):
    """Whole levels of RGB images after JPEG. Its tables are buffers: they go to a GPU once."""

    _to_ycc: Tensor
    _to_rgb: Tensor
    _luma: Tensor
    _chroma: Tensor
    _cosines: Tensor

    def __init__(self) -> None:
        super().__init__()
        tables = {
            "_to_ycc": torch.tensor(_TO_YCC),
            "_to_rgb": torch.tensor(_TO_RGB),
            "_luma": torch.tensor(_LUMA, dtype=torch.float32).view(1, 8, 8),
            "_chroma": torch.tensor(_CHROMA, dtype=torch.float32).view(1, 8, 8),
            "_cosines": _cosines(),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def forward(self, images: Tensor, quality: Tensor) -> Tensor:
        """RGB float32 (N, 3, H, W) in 0–255 → the same after JPEG of `quality` (N,), whole levels.

        The grid of blocks begins at the upper left corner; edges are repeated to fill blocks.
        """
        height, width = images.shape[2:]
        padded = F.pad(images, (0, -width % 16, 0, -height % 16), mode="replicate")
        ycc = torch.einsum("cd,ndhw->nchw", self._to_ycc, padded).round()
        luma = self._quantised(ycc[:, :1] - 128, self._luma, quality) + 128
        colours = self._quantised(F.avg_pool2d(ycc[:, 1:], 2), self._chroma, quality)
        colours = F.interpolate(colours, scale_factor=2, mode="bilinear")
        rgb = torch.einsum("cd,ndhw->nchw", self._to_rgb, torch.cat([luma, colours], dim=1))
        return rgb[:, :, :height, :width].round().clamp(0, 255)

    def _quantised(self, planes: Tensor, table: Tensor, quality: Tensor) -> Tensor:
        """Round cosine coefficients of planes (N, C, H, W), sides divisible by 8, to a table."""
        N, C, H, W = planes.shape
        percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)  # libjpeg's scale
        steps = table * percent.view(-1, 1, 1)
        steps = ((steps + 50) / 100).floor().clamp(1, 255).view(N, 1, 1, 1, 8, 8)
        cosines = self._cosines
        blocks = planes.reshape(N, C, H // 8, 8, W // 8, 8).transpose(3, 4)
        coefficients = (cosines @ blocks @ cosines.T / steps).round() * steps
        return (cosines.T @ coefficients @ cosines).transpose(3, 4).reshape(N, C, H, W)


def _cosines() -> Tensor:
    """The orthonormal 8×8 matrix of the discrete cosine transform."""
    index = torch.arange(8, dtype=torch.float32)
    matrix = torch.cos((2 * index + 1) * index[:, None] * torch.pi / 16) / 2
    matrix[0] /= 2**0.5
    return matrix

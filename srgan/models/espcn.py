"""ESPCN (Shi et al. 2016, section 3)."""

from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config import GeneratorConfig
from srgan.models.luma import CHROMA_RADIUS, LumaGenerator


class ESPCN(LumaGenerator):
    """5×5 to 64, 3×3 to 32, 3×3 to s² maps in LR, shuffled into the image; tanh between.

    24,640 weights without biases at ×4.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.scale = config.scale
        self.trunk_radius = 2 + 1
        self.head_radius = max(1, CHROMA_RADIUS)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 64, 5, padding=2), nn.Tanh(), nn.Conv2d(64, 32, 3, padding=1), nn.Tanh()
        )
        self.exit = nn.Conv2d(32, config.scale**2, 3, padding=1)

    def trunk_of_luma(self, luma: Tensor) -> Tensor:
        features: Tensor = self.layers(luma)
        return features

    def head_to_luma(self, features: Tensor) -> Tensor:
        return F.pixel_shuffle(self.exit(features), self.scale)

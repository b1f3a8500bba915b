"""Base of the families of perceptual networks, and all that the extractor asks of them."""

from collections.abc import Callable

from torch import Tensor, nn


class Backbone(nn.Module):
    """A network up to its `num_layers`-th layer of `FEATURE_LAYERS`; later ones are not built.

    Parameters and buffers have the names of the published file, which fits unchanged.
    """

    def normalise(self, images: Tensor) -> Tensor:
        """RGB float32 (N, 3, H, W) in [−1, 1] → the values that the network was trained on."""
        raise NotImplementedError

    def steps(self) -> list[Callable[[Tensor], Tensor]]:
        """For each layer, what makes it of the layer before; the first is made of the images."""
        raise NotImplementedError

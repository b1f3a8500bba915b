"""The networks of a stage."""

from typing import Any, Literal, Self, get_args

from pydantic import model_validator

from srgan.config.base import Config, Positive, Scale

_SIZES = {
    "srresnet": (16, 64),
    "bicubic_resnet": (16, 64),
    "bicubic_span": (6, 48),
    "srcnn": (1, 64),
    "fsrcnn": (4, 56),
    "espcn": (1, 64),
    "msrresnet": (16, 64),
    "rrdbnet": (23, 64),
    "srvgg": (16, 64),
    "spandrel": (1, 1),
}
"""Published number of blocks (or mapping layers) and channels of each kind of generator; of
``spandrel`` they stand in its weights only."""
_ON_LUMA = ("srcnn", "fsrcnn", "espcn")
_IN_ONE_SIZE = (*_ON_LUMA, "spandrel")
"""Kinds whose number of blocks and channels cannot be chosen."""
_SCALES = {
    "srcnn": (2, 3, 4),
    "fsrcnn": (2, 3, 4),
    "espcn": (2, 3, 4),
    "msrresnet": (2, 3, 4),
    "rrdbnet": (4,),
}


class GeneratorConfig(Config):
    """Rebuilds a generator; stored with every checkpoint and model version.

    Numbers of blocks and channels default to those that the kind was published with.
    """

    kind: Literal[
        "srresnet",
        "bicubic_resnet",
        "bicubic_span",
        "srcnn",
        "fsrcnn",
        "espcn",
        "msrresnet",
        "rrdbnet",
        "srvgg",
        "spandrel",
    ] = "srresnet"
    """``srresnet``: the paper's. ``bicubic_resnet``: no batch norm, a residual over bicubic.
    ``bicubic_span``: the same with SPAN's blocks.
    ``srcnn``, ``fsrcnn``, ``espcn``: luma only, in one size. ``msrresnet``: SRResNet without batch
    norm over bilinear. ``rrdbnet``: ESRGAN's and Real-ESRGAN's. ``srvgg``: Real-ESRGAN's small one,
    also called Compact. ``spandrel``: imported weights of another architecture, not trained."""
    scale: Scale = 4
    """HR pixels for each LR pixel along a side."""
    num_blocks: Positive = 16
    """Residual blocks; mapping layers of an ``fsrcnn``."""
    num_channels: Positive = 64
    """Channels between the blocks."""

    @property
    def on_luma(self) -> bool:
        """True if the network makes luma only, and bicubic makes the colours."""
        return self.kind in _ON_LUMA

    @model_validator(mode="before")
    @classmethod
    def _fill_in_size(cls, values: Any) -> Any:
        kind = values.get("kind") if isinstance(values, dict) else None
        if not isinstance(kind, str) or kind not in _SIZES:
            return values
        num_blocks, num_channels = _SIZES[kind]
        return {"num_blocks": num_blocks, "num_channels": num_channels, **values}

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        scales = _SCALES.get(self.kind, get_args(Scale))
        if self.scale not in scales:
            known = ", ".join(map(str, scales))
            raise ValueError(f"a {self.kind} has scale {known}, not {self.scale}")
        size = (self.num_blocks, self.num_channels)
        if self.kind in _IN_ONE_SIZE and size != _SIZES[self.kind]:
            raise ValueError(
                f"a {self.kind} has one size, num_blocks {_SIZES[self.kind][0]} and num_channels "
                f"{_SIZES[self.kind][1]}, not {size[0]} and {size[1]}; leave them out"
            )
        if self.kind == "rrdbnet" and self.num_channels % 2:
            raise ValueError(
                f"a rrdbnet grows by half its channels: {self.num_channels} is not even"
            )
        return self


class DiscriminatorConfig(Config):
    """Section 2.1: eight convolutions, widths `num_channels` × (1, 1, 2, 2, 4, 4, 8, 8)."""

    num_channels: Positive = 64
    """Channels of the first convolution; the others follow from it."""
    dense_size: Positive = 1024
    """Width of the first dense layer."""

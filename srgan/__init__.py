"""Train, evaluate, promote and run super-resolution GANs (Ledig et al., CVPR 2017).

`srgan.load` gives a network, `srgan.upscale` enlarges an image of Pillow or NumPy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srgan.upscaling import load, upscale

__all__ = ["load", "upscale"]


def __getattr__(name: str) -> Any:
    # Both bring torch with them; `import srgan` must not.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from srgan import upscaling

    return getattr(upscaling, name)


def __dir__() -> list[str]:
    return list(__all__)

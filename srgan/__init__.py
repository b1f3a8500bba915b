"""Train, evaluate, promote and run super-resolution GANs (Ledig et al., CVPR 2017).

`srgan.load` gives a network, `srgan.upscale` enlarges an image of Pillow or NumPy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srgan.upscaling import load, upscale

__version__: str
"""Release that is installed, such as ``0.1.0``."""

__all__ = ["__version__", "load", "upscale"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        from importlib.metadata import version

        return version("srgan")
    # Both functions bring torch with them; `import srgan` must not.
    from srgan import upscaling

    return getattr(upscaling, name)


def __dir__() -> list[str]:
    return list(__all__)

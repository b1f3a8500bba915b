"""Train, evaluate, promote and run super-resolution GANs (Ledig et al., CVPR 2017)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srgan.services.mlflow_models import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    # `srgan.load` brings torch and MLflow with it; `import srgan` must not.
    if name != "load":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from srgan.services.mlflow_models import load

    return load

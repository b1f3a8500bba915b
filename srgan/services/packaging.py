"""Pack a generator as an MLflow model directory: safetensors, config and the code to run them."""

import base64
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

SERVED_CORE = (
    "__init__.py",
    "errors.py",
    "readable.py",
    "refs.py",
    "config",
    "precision.py",
    "resize",
    "images",
    "models",
    "inference",
)
"""Modules that upscaling needs: no training or services, so no Ray, Prefect or boto3."""

_REQUIREMENTS = (
    *("mlflow", "numpy", "pandas", "pillow", "pillow-heif", "pydantic", "pyvips", "pyvips-binary"),
    *("safetensors", "torch"),
)
GENERATOR_PATH = "artifacts/generator.safetensors"

# A gray PNG of 2×2 pixels: the example that MLflow shows for the input.
_EXAMPLE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADElEQVR4nGNoaGgAAAGEAQH0V1WzAAAAAElFTkSuQmCC"
)


def save_pyfunc(directory: Path, weights: bytes) -> None:
    """Write the model of a safetensors generator to `directory`, which must not exist yet.

    Requirements are given, because MLflow would infer them from a new process that imports the
    model, and name everything else that happens to be loaded there.
    """
    import mlflow.pyfunc
    import pandas as pd  # type: ignore[import-untyped]  # pandas ships no type information
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    from srgan.models.interchange import load_generator

    config = load_generator(weights).config
    assert config is not None  # only networks with weights are saved
    column = Schema([ColSpec(DataType.binary, "image")])
    with tempfile.TemporaryDirectory(prefix="srgan-model-") as staging:
        generator = Path(staging) / "generator.safetensors"
        generator.write_bytes(weights)
        config_file = Path(staging) / "config.json"
        config_file.write_text(config.model_dump_json(indent=1))
        mlflow.pyfunc.save_model(
            directory,
            python_model=Path(__file__).with_name("served_model.py"),
            artifacts={"generator": str(generator), "config": str(config_file)},
            code_paths=[str(_copy_core(Path(staging)))],
            pip_requirements=_requirements(config.kind),
            signature=ModelSignature(inputs=column, outputs=column),
            input_example=pd.DataFrame({"image": [_EXAMPLE]}),
        )


def _copy_core(staging: Path) -> Path:
    """Copy the served modules to a package named ``srgan`` below `staging`."""
    source = Path(__file__).parents[1]
    target = staging / "code" / "srgan"
    for name in SERVED_CORE:
        if (source / name).is_dir():
            shutil.copytree(
                source / name, target / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
    return target


def _requirements(kind: str) -> list[str]:
    """Pin exact versions without the local part: an index of CUDA builds does not have ``+cpu``."""
    names = (*_REQUIREMENTS, "spandrel", "torchvision") if kind == "spandrel" else _REQUIREMENTS
    return [f"{name}=={version(name).partition('+')[0]}" for name in names]

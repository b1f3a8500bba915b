"""`srgan.load` and `srgan.upscale`: any model by one name, and one image of Python with it."""

import copy
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from numpy.typing import NDArray

from srgan.bulk.sizing import Sizing
from srgan.errors import ConfigError
from srgan.images.exchange import as_photo, like
from srgan.inference.engine import Engine, Precision
from srgan.inference.ensemble import SelfEnsemble
from srgan.models.base import Generator
from srgan.models.interchange import load_generator
from srgan.models.interpolation import Bicubic, Bilinear, Nearest
from srgan.models.shipped import SHIPPED, read_shipped
from srgan.readable import parse_size

if TYPE_CHECKING:
    from PIL.Image import Image

    from srgan.settings import Settings

_INTERPOLATIONS: dict[str, Callable[[int], Generator]] = {
    "nearest": Nearest,
    "bilinear": Bilinear,
    "bicubic": Bicubic,
}
DEFAULT_MODEL = "shipped"
_DEFAULT_SCALE = 4
_LARGEST_SCALE = 16
MEMORY = "2GiB"
"""Memory that a process may take unless it is told otherwise."""

Picture = TypeVar("Picture", "Image", NDArray[Any])


def load(
    model: str | os.PathLike[str],
    settings: "Settings | None" = None,
    *,
    scale: float | None = None,
) -> Generator:
    """Load a network, on the CPU in eval mode, by what ``srgan upscale --model`` takes.

    `model` is ``shipped`` or ``shipped:sharp``; a file of weights, ours or others';
    ``models:/NAME@ALIAS``, by MLflow's alias, or ``models:/NAME/VERSION`` of the registry at
    MLFLOW_TRACKING_URI; or ``nearest``, ``bilinear`` or ``bicubic``, which have any `scale`
    (default 4, rounded up). `forward` takes LR (N, 3, h, w) in [0, 1] and returns SR
    (N, 3, s·h, s·w), nominally in [−1, 1]. Nothing that a file or a registered model holds is run.

    `ConfigError` if there is no such model, `CheckpointError` for a file that cannot be read,
    `RegistryError` for a version that does not exist and a registry that does not answer.
    """
    name = os.fspath(model)
    if name in _INTERPOLATIONS:
        return _interpolation(name, scale)
    generator = _network(name, settings)
    if scale is not None and scale != generator.scale:
        raise ConfigError(
            f"{name} has scale {generator.scale}, not {scale:g}; leave scale out. srgan.upscale "
            "resamples to another scale"
        )
    generator.origin = name
    return generator


class Upscaling(NamedTuple):
    """A network ready to work, and the sizes of its results."""

    generator: Generator
    """As it was loaded, without self-ensemble."""
    engine: Engine
    sizing: Sizing


def prepare(
    model: str | os.PathLike[str] | Generator,
    *,
    scale: float | None = None,
    size: str | None = None,
    precision: Precision = "auto",
    memory: int | str = MEMORY,
    tile: int | None = None,
    context: int | None = None,
    self_ensemble: bool = False,
    spool: Path | None = None,
) -> Upscaling:
    """Open `model` with the options of ``srgan upscale``; `ConfigError` if they do not go together.

    A network that is given stays as it is: the engine works with a copy.
    """
    try:
        memory_bytes = parse_size(memory) if isinstance(memory, str) else memory
    except ValueError as error:
        raise ConfigError(f"--memory {memory!r} is {error}") from error
    if isinstance(model, Generator):
        generator = copy.deepcopy(model)
    else:
        is_free = os.fspath(model) in _INTERPOLATIONS
        generator = load(model, scale=scale if is_free else None)
    sizing = Sizing(generator.scale, scale=scale, size=size)
    engine = Engine(
        SelfEnsemble(generator) if self_ensemble else generator,
        tile=tile,
        context=context,
        memory_bytes=memory_bytes,
        precision=precision,
        spool=spool,
        growth=sizing.growth,
    )
    return Upscaling(generator, engine, sizing)


def upscale(
    image: Picture,
    model: str | os.PathLike[str] | Generator = DEFAULT_MODEL,
    *,
    scale: float | None = None,
    size: str | None = None,
    precision: Precision = "auto",
    memory: int | str = MEMORY,
    tile: int | None = None,
    context: int | None = None,
    self_ensemble: bool = False,
) -> Picture:
    """Enlarge an image, and return the same type: Pillow's, or a NumPy array.

    An array is uint8 or uint16, (H, W) gray, (H, W, 1), (H, W, 2) gray with alpha, (H, W, 3) RGB or
    (H, W, 4) RGB with alpha, and keeps dtype and number of channels. A Pillow image of mode L, LA,
    RGB, RGBA or I;16 keeps its mode; others become the one of these that holds them. As with
    Pillow's `resize`, `info` is kept (dpi scaled) and the EXIF orientation is not applied.

    Colours go through the network, alpha through bicubic, in tiles that together with the image
    and its result take about `memory`. `model` is what `load` takes, or a loaded network, which
    saves the loading. The other options are those of ``srgan upscale``.

    `ConfigError` for options that do not go together, `ImageError` for pixels of another kind and
    for a result of an impossible size, `TypeError` for what is not an image.
    """
    photo = as_photo(image)
    _, engine, sizing = prepare(
        model,
        scale=scale,
        size=size,
        precision=precision,
        memory=memory,
        tile=tile,
        context=context,
        self_ensemble=self_ensemble,
    )
    sizing.shape(*photo.pixels.shape[:2])  # refused before the network runs
    return like(image, sizing.fitted(engine.upscale_photo(photo), photo))


def _interpolation(name: str, scale: float | None) -> Generator:
    if scale is not None and not 1 <= scale <= _LARGEST_SCALE:
        raise ConfigError(f"scale {scale:g}: {name} takes 1 to {_LARGEST_SCALE}")
    return _INTERPOLATIONS[name](math.ceil(scale or _DEFAULT_SCALE))


def _network(name: str, settings: "Settings | None") -> Generator:
    if name in SHIPPED:
        return load_generator(read_shipped(name))
    return _registered(name, settings) if name.startswith("models:/") else _read(name)


def _registered(address: str, settings: "Settings | None") -> Generator:
    # MLflow takes seconds to import.
    from srgan.services.mlflow_models import Registry
    from srgan.services.mlflow_runs import mlflow_errors, require_answer
    from srgan.settings import Settings

    settings = settings or Settings()
    require_answer(settings)
    with mlflow_errors(explain=settings):
        registry = Registry(settings)
        return load_generator(registry.load_generator_bytes(registry.resolve(address)))


def _read(name: str) -> Generator:
    from srgan.models.foreign import import_file

    file = Path(name)
    if not file.is_file():
        what = "that is a folder" if file.is_dir() else "that file does not exist"
        raise ConfigError(
            f"no model {name!r}: {what}; expected "
            f"{', '.join((*SHIPPED, *_INTERPOLATIONS))}, a weights file, models:/NAME@ALIAS or "
            "models:/NAME/VERSION"
        )
    return import_file(file).generator

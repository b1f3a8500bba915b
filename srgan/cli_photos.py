"""`srgan degrade`, `upscale` and `evaluate`: photos on this disk, without any service."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from srgan.cli_generators import open_generator
from srgan.errors import CheckpointError, ConfigError, ImageError

if TYPE_CHECKING:
    from srgan.evaluate.comparison import Distance
    from srgan.images import Photo
    from srgan.models.base import Generator
    from srgan.upscale.engine import Engine

Source = Annotated[Path, typer.Argument(metavar="SRC", help="A photo, or a folder of photos")]
Destination = Annotated[Path, typer.Argument(metavar="DST", help="Folder (or file) of results")]

_DEFAULT_SCALE = 4
_UNITS = {"MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}


def degrade(
    source: Source,
    destination: Destination,
    scale: Annotated[int, typer.Option(min=2, help="How much smaller")] = _DEFAULT_SCALE,
) -> None:
    """Shrink photos as the published benchmarks were: bicubic, identical to MATLAB's imresize."""
    from srgan.images.shrink import shrink

    _change_all(source, destination, lambda photo: shrink(photo, scale))


def upscale(
    source: Source,
    destination: Destination,
    model: Annotated[
        str, typer.Option(help="nearest, bilinear, bicubic, a weights file or models:/NAME@ALIAS")
    ],
    scale: Annotated[
        int | None, typer.Option(min=2, help="How much larger; default: the model's own, else 4")
    ] = None,
    precision: Annotated[
        Literal["fp32", "auto"],
        typer.Option(help="fp32 is exact; auto three times as fast where there is bf16"),
    ] = "auto",
    memory: Annotated[
        str, typer.Option(help="What the process may take beside a photo and its result")
    ] = "2GiB",
    tile: Annotated[
        int | None, typer.Option(min=1, help="Side of a tile in LR pixels; default: by --memory")
    ] = None,
    self_ensemble: Annotated[
        bool, typer.Option("--self-ensemble", help="Mean over eight turns: eight times the work")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what there is to do and how long it takes, only")
    ] = False,
) -> None:
    """Enlarge photos on this machine; a bulk run over S3 is the flow `upscale`."""
    from srgan.models.ensemble import SelfEnsemble
    from srgan.upscale.engine import Engine

    memory_bytes = _size_bytes(memory)
    generator = _open_generator(model, scale)
    if self_ensemble:
        generator = SelfEnsemble(generator)
    engine = Engine(generator, tile=tile, memory_bytes=memory_bytes, precision=precision)
    if plan:
        _show_plan(source, destination, engine)
    else:
        _change_all(source, destination, engine.upscale_photo)


def evaluate(
    hr: Annotated[Path, typer.Option(help="Folder of originals")],
    sr: Annotated[Path, typer.Option(help="Folder of results, matched by stem")],
    scale: Annotated[
        int, typer.Option(min=1, help="Of the results; as wide a border is left out")
    ] = _DEFAULT_SCALE,
    distance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK=FILE", help="Also a perceptual network's distance; repeatable"
        ),
    ] = None,
    lpips: Annotated[bool, typer.Option("--lpips", help="Also LPIPS: srgan[lpips]")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For other programs")] = False,
) -> None:
    """PSNR and SSIM on luma of each result against its original, and the mean."""
    from srgan.evaluate.folders import compare_folders, quality_table

    distances = _open_distances(distance or [], lpips=lpips)
    quality = compare_folders(hr, sr, scale=scale, distances=distances)
    typer.echo(quality.model_dump_json(indent=1) if as_json else quality_table(quality))


def _open_distances(given: list[str], *, lpips: bool) -> "list[Distance]":
    from srgan.evaluate.perceptual import PerceptualDistance
    from srgan.perceptual import DISTANCES

    files = {}
    for each in given:
        network, _, file = each.partition("=")
        if network not in DISTANCES or network in files or not file:
            raise ConfigError(
                f"--distance {each} is none: expected NETWORK=FILE, each network once, of "
                + ", ".join(DISTANCES)
            )
        files[network] = Path(file)
    distances: list[Distance] = []
    for network, path in files.items():
        if not path.is_file():
            raise ConfigError(f"--distance {network}={path}: that is no file")
        try:
            distances.append(PerceptualDistance(network, path.read_bytes()))
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
    if lpips:
        from srgan.evaluate.lpips import LPIPS

        distances.append(LPIPS())
    return distances


def _size_bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MG]i?B)", text)
    if match is None:
        raise ConfigError(f"--memory {text!r} is no size; write it as 2GiB or 1500MB")
    return int(float(match[1]) * _UNITS[match[2]])


def _open_generator(model: str, scale: int | None) -> "Generator":
    from srgan.models.interpolation import Bicubic, Bilinear, Nearest

    interpolations: dict[str, Callable[[int], Generator]] = {
        "nearest": Nearest,
        "bilinear": Bilinear,
        "bicubic": Bicubic,
    }
    if model in interpolations:
        return interpolations[model](scale or _DEFAULT_SCALE)
    generator = open_generator(model, others=interpolations)
    if scale not in (None, generator.scale):
        raise ConfigError(f"{model} has scale {generator.scale}, not {scale}; leave --scale out")
    return generator


def _show_plan(source: Path, destination: Path, engine: "Engine") -> None:
    from srgan.images.files import plan_files
    from srgan.upscale.local import foretell_files

    typer.echo(foretell_files(plan_files(source, destination), engine).text)


def _change_all(source: Path, destination: Path, change: "Callable[[Photo], Photo]") -> None:
    """A result for each photo; one that cannot be used is named and passed by."""
    from srgan.images.files import plan_files, read_photo, write_photo

    files = plan_files(source, destination)
    num_failed = 0
    for path, target in files:
        try:
            write_photo(target, change(read_photo(path)))
            typer.echo(str(target))
        except ImageError as error:
            typer.secho(f"{path}: {error}", fg="red", err=True)
            num_failed += 1
    if num_failed:
        typer.echo(f"{num_failed} of {len(files)} photos could not be used", err=True)
        raise typer.Exit(1)

"""`srgan degrade`, `upscale` and `evaluate`: work on photos on this disk, without services."""

import hashlib
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from srgan.cli.weights import open_generator
from srgan.errors import (
    PASSED_BY,
    CheckpointError,
    ConfigError,
    DataError,
    SrganError,
    StorageError,
    first_few,
)
from srgan.readable import printable

if TYPE_CHECKING:
    from srgan.config.networks import FeatureNetwork
    from srgan.images.files import FilePlan
    from srgan.measure.comparison import Distance
    from srgan.models.base import Generator

Source = Annotated[Path, typer.Argument(metavar="SRC", help="A photo, or a folder of photos")]
Destination = Annotated[Path, typer.Argument(metavar="DST", help="Folder (or file) of results")]

_DEFAULT_SCALE = 4
_LARGEST_SCALE = 16
_UNITS = {"MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}


def degrade(
    source: Source,
    destination: Destination,
    scale: Annotated[int, typer.Option(min=2, help="How many times smaller")] = _DEFAULT_SCALE,
) -> None:
    """Shrink photos as published benchmarks do: bicubic, identical to MATLAB's imresize."""
    from srgan.images.files import plan_files, read_photo, write_photo
    from srgan.images.resample import shrink

    def shrunk(photo: Path, target: Path) -> Path:
        write_photo(target, shrink(read_photo(photo), scale))
        return target

    _change_all(plan_files(source, destination), shrunk)


def upscale(
    source: Source,
    destination: Destination,
    model: Annotated[
        str, typer.Option(help="nearest, bilinear, bicubic, a weights file or models:/NAME@ALIAS")
    ],
    scale: Annotated[
        float | None,
        typer.Option(help="Factor; default: the model's own scale, 4 for interpolation"),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH",
            help="Instead of --scale: 4096x (width), x2160 (height), or 4096x2160 (fit into both)",
        ),
    ] = None,
    format: Annotated[
        Literal["same", "png", "jpeg", "webp", "tiff"], typer.Option(help="Format of the results")
    ] = "same",
    oversize: Annotated[
        Literal["refuse", "png", "tiff"],
        typer.Option(
            help="A result too large for its format: refuse it, or write it as png or tiff"
        ),
    ] = "refuse",
    quality: Annotated[
        int, typer.Option(min=1, max=100, help="Quality of JPEG, WebP, HEIC and AVIF results")
    ] = 92,
    subsampling: Annotated[
        Literal["4:4:4", "4:2:2", "4:2:0"], typer.Option(help="Colour subsampling of JPEG results")
    ] = "4:4:4",
    precision: Annotated[
        Literal["fp32", "auto"],
        typer.Option(help="fp32 is exact; auto is three times as fast on processors with bf16"),
    ] = "auto",
    memory: Annotated[
        str, typer.Option(help="Memory the process may take; larger results go to disk")
    ] = "2GiB",
    tile: Annotated[
        int | None, typer.Option(min=1, help="Side of a tile in LR pixels; default: by --memory")
    ] = None,
    spool: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            writable=True,
            help="Folder for results larger than --memory; default: that of temporary files",
        ),
    ] = None,
    self_ensemble: Annotated[
        bool,
        typer.Option(
            "--self-ensemble", help="Average over eight flips and turns: eight times the work"
        ),
    ] = False,
    existing: Annotated[
        Literal["skip", "overwrite", "fail"],
        typer.Option(
            help="Results that exist: skip those of this model and these settings and refuse all "
            "others; overwrite all; or fail for all"
        ),
    ] = "skip",
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what there is to do and how long it will take")
    ] = False,
) -> None:
    """Enlarge photos on this machine; for a bulk run over S3, use the flow `upscale`."""
    from srgan.allocator import use_large_pages
    from srgan.bulk.decoders import Decoders
    from srgan.bulk.files import Existing, FileUpscaler, forecast_files, stamp_of_files
    from srgan.bulk.names import reroute_suffix
    from srgan.bulk.sizing import Sizing
    from srgan.images.files import plan_files
    from srgan.inference.engine import Engine
    from srgan.inference.ensemble import SelfEnsemble
    from srgan.services.folder import FolderStore

    use_large_pages()
    memory_bytes = _size_bytes(memory)
    todo = plan_files(source, destination, format=format, rerouted=reroute_suffix(oversize))
    generator = _open_generator(model, scale)
    sizing = Sizing(generator.scale, scale=scale, size=size)
    settings = (format, quality, subsampling, precision, scale, size, self_ensemble)
    stamp = stamp_of_files(generator, *settings)
    if self_ensemble:
        generator = SelfEnsemble(generator)
    engine = Engine(
        generator,
        tile=tile,
        memory_bytes=memory_bytes,
        precision=precision,
        spool=spool,
        growth=sizing.growth,
    )
    results = destination if todo.in_folder else destination.parent
    beside = FolderStore(Path(os.path.abspath(results)))  # noqa: PTH100  # links stay
    with Decoders(1) as decoders:
        known = Existing(beside, stamp, existing)
        upscaler = FileUpscaler(
            engine, decoders.decode, sizing, oversize, quality, subsampling, known
        )
        if plan:
            if todo.files:
                typer.echo(forecast_files(todo.files, upscaler).text)
            _name_all(todo)
            return
        try:
            _change_all(todo, upscaler)
        finally:
            if upscaler.kept:
                made = f"{len(upscaler.kept)} of {len(todo.files)} results"
                typer.echo(f"{made} were made earlier and are kept", err=True)


def evaluate(
    hr: Annotated[Path, typer.Option(help="Folder of originals")],
    sr: Annotated[Path, typer.Option(help="Folder of results, matched by name without extension")],
    scale: Annotated[
        int,
        typer.Option(min=1, help="Scale of the results; a border of as many pixels is left out"),
    ] = _DEFAULT_SCALE,
    distance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK[=FILE]",
            help="Also measure a perceptual network's distance, with the mirrored weights or those "
            "of a file, s3:// or https:// address; repeatable",
        ),
    ] = None,
    lpips: Annotated[
        bool, typer.Option("--lpips", help="Also measure LPIPS; needs the extra `lpips`")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for other programs")] = False,
) -> None:
    """Measure PSNR and SSIM on luma of each result against its original, and the means."""
    from srgan.measure.folders import compare_folders, quality_table

    distances = _open_distances(distance or [], lpips=lpips)
    quality = compare_folders(hr, sr, scale=scale, distances=distances)
    typer.echo(quality.model_dump_json(indent=1) if as_json else quality_table(quality))
    _name_others(quality.passed_over)
    for name, reason in quality.failed.items():
        _name_failed(Path(name), reason)
    if quality.failed:
        measured = f"{len(quality.images)} {'pair is' if len(quality.images) == 1 else 'pairs are'}"
        typer.echo(f"only {measured} measured, {len(quality.failed)} entries failed", err=True)
        raise typer.Exit(1)


def _open_distances(given: list[str], *, lpips: bool) -> "list[Distance]":
    from srgan.config.networks import DISTANCES
    from srgan.measure.perceptual import PerceptualDistance

    sources: dict[FeatureNetwork, str] = {}
    for each in given:
        network, named, source = each.partition("=")
        if network not in DISTANCES or network in sources or (named and not source):
            raise ConfigError(
                f"invalid --distance {each}: expected NETWORK or NETWORK=FILE, each network once, "
                f"of {', '.join(DISTANCES)}"
            )
        sources[network] = source
    distances: list[Distance] = []
    for network, source in sources.items():
        data = _perceptual_weights(network, source)
        try:
            distances.append(PerceptualDistance(network, data))
        except CheckpointError as error:
            raise CheckpointError(f"{source or network}: {error}") from error
        # Distances compare within one weights file only.
        digest = hashlib.sha256(data).hexdigest()
        typer.echo(f"{DISTANCES[network]}: weights with SHA-256 {digest}", err=True)
    if lpips:
        from srgan.measure.lpips import LPIPS

        distances.append(LPIPS())
    return distances


def _perceptual_weights(network: "FeatureNetwork", source: str) -> bytes:
    from srgan.settings import Settings
    from srgan.versions.mirror_weights import fetch_named, mirrored_weights

    if source:
        return fetch_named(Settings(), source)
    try:
        return mirrored_weights(Settings(), network)
    except StorageError as error:
        raise StorageError(f"{error}. Or name a file: --distance {network}=FILE") from error


def _size_bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MG]i?B)", text)
    if match is None:
        raise ConfigError(f"--memory {text!r} is not a size; write it as 2GiB or 1500MB")
    return int(float(match[1]) * _UNITS[match[2]])


def _open_generator(model: str, scale: float | None) -> "Generator":
    from srgan.models.interpolation import Bicubic, Bilinear, Nearest

    interpolations: dict[str, Callable[[int], Generator]] = {
        "nearest": Nearest,
        "bilinear": Bilinear,
        "bicubic": Bicubic,
    }
    if model in interpolations:
        if scale is not None and not 1 <= scale <= _LARGEST_SCALE:
            raise ConfigError(f"--scale {scale:g}: {model} takes 1 to {_LARGEST_SCALE}")
        return interpolations[model](math.ceil(scale or _DEFAULT_SCALE))
    return open_generator(model, others=interpolations)


def _change_all(plan: "FilePlan", change: Callable[[Path, Path], Path]) -> None:
    """Make a result of each photo; name and skip those that cannot be used."""
    num_failed = 0
    for path, target in plan.files:
        try:
            typer.echo(printable(change(path, target)))
        except (*PASSED_BY, DataError) as error:
            text = error if isinstance(error, SrganError) else f"{type(error).__name__}: {error}"
            _name_failed(path, str(text))
            num_failed += 1
    _name_all(plan)
    num_failed += len(plan.failed)
    if num_failed:
        num_all = len(plan.files) + len(plan.failed)
        typer.echo(f"{num_failed} of {num_all} photos could not be used", err=True)
        raise typer.Exit(1)


def _name_all(plan: "FilePlan") -> None:
    """Name what is not a photo, and what cannot be read."""
    _name_others([printable(path) for path in plan.passed_over])
    for path, reason in plan.failed.items():
        _name_failed(path, reason)


def _name_others(names: Sequence[str]) -> None:
    if names:
        noun = "entry is not a photo" if len(names) == 1 else "entries are not photos"
        typer.echo(f"{len(names)} {noun}: {first_few(names, ', ')}", err=True)


def _name_failed(path: Path, reason: str) -> None:
    typer.secho(f"{printable(path)}: {reason}", fg="red", err=True)

"""`srgan degrade`, `upscale` and `evaluate`: work on photos on this disk, without services."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from srgan.cli.console import AsJson, print_json, say
from srgan.cli.outcomes import (
    Share,
    change_all,
    exit_if_failed,
    name_failed,
    name_left_out,
    name_passed_over,
)
from srgan.cli.progress import ProgressBar
from srgan.errors import CheckpointError, ConfigError, StorageError

if TYPE_CHECKING:
    from srgan.config.networks import FeatureNetwork
    from srgan.measure.comparison import Distance

SourceArgument = Annotated[
    Path, typer.Argument(metavar="SRC", help="A photo, or a folder of photos")
]
DestinationArgument = Annotated[
    Path, typer.Argument(metavar="DST", help="Folder (or file) of results")
]

_DEFAULT_SCALE = 4


def degrade(
    source: SourceArgument,
    destination: DestinationArgument,
    scale: Annotated[int, typer.Option(min=2, help="How many times smaller")] = _DEFAULT_SCALE,
) -> None:
    """Shrink photos as published benchmarks do: bicubic, identical to MATLAB's imresize."""
    from srgan.images.files import FileResult, plan_files, read_photo, write_photo
    from srgan.images.resample import shrink

    _require_files("degrade", source, destination)

    def shrunk(photo: Path, target: Path, share: Share) -> FileResult:
        return FileResult(target, write_photo(target, shrink(read_photo(photo), scale)))

    change_all(plan_files(source, destination), shrunk, what="degrading")


def upscale(
    source: SourceArgument,
    destination: DestinationArgument,
    model: Annotated[
        str,
        typer.Option(
            help="shipped (highest PSNR), shipped:sharp, nearest, bilinear, bicubic, a weights "
            "file or models:/NAME@ALIAS"
        ),
    ] = "shipped",
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
        Literal["4:4:4", "4:2:2", "4:2:0"],
        typer.Option(help="Colour subsampling of JPEG and AVIF results"),
    ] = "4:4:4",
    compression: Annotated[
        int, typer.Option(min=0, max=9, help="PNG and TIFF results: 0 is fastest, 9 smallest")
    ] = 3,
    salvage: Annotated[
        bool,
        typer.Option("--salvage", help="Upscale JPEGs that end too early as viewers show them"),
    ] = False,
    precision: Annotated[
        Literal["fp32", "auto"],
        typer.Option(help="fp32 is exact; auto is three times as fast on processors with bf16"),
    ] = "auto",
    memory: Annotated[
        str,
        typer.Option(metavar="SIZE", help="Memory the process may take; larger results go to disk"),
    ] = "2GiB",
    tile: Annotated[
        int | None, typer.Option(min=1, help="Side of a tile in LR pixels; default: by --memory")
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            min=0, help="LR pixels that tiles see around them; default: what the network needs"
        ),
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
    as_json: AsJson = False,
) -> None:
    """Enlarge photos on this machine; for a bulk run over S3, use the flow `upscale`."""
    from srgan.allocator import use_large_pages
    from srgan.bulk.decoders import Decoders
    from srgan.bulk.files import Existing, FileUpscaler, forecast_files, stamp_of_files
    from srgan.bulk.names import reroute_suffix
    from srgan.images.files import plan_files
    from srgan.services.folder import FolderStore
    from srgan.upscaling import prepare

    _require_files("upscale", source, destination)
    use_large_pages()
    todo = plan_files(source, destination, format=format, rerouted=reroute_suffix(oversize))
    generator, engine, sizing = prepare(
        model,
        scale=scale,
        size=size,
        precision=precision,
        memory=memory,
        tile=tile,
        context=context,
        self_ensemble=self_ensemble,
        spool=spool,
    )
    computed = (precision, scale, size, context, self_ensemble)
    # Not `salvage`: whole photos come out the same with it, and others only with it.
    written = (todo.format, quality, subsampling, compression)
    stamp = stamp_of_files(generator, *computed, *written)
    folder = destination if todo.in_folder else destination.parent
    beside = FolderStore(Path(os.path.abspath(folder)))  # noqa: PTH100  # links stay
    with Decoders(1) as decoders:
        upscaler = FileUpscaler(
            engine=engine,
            decode=decoders.decode,
            sizing=sizing,
            output_format=todo.format,
            oversize=oversize,
            jpeg_quality=quality,
            jpeg_subsampling=subsampling,
            compression=compression,
            salvage=salvage,
            existing=Existing(beside, stamp, existing),
        )
        if plan:
            with ProgressBar("measuring") as progress:
                forecast, failed = forecast_files(todo, folder, upscaler, progress)
            print_json(forecast) if as_json else typer.echo(forecast.text)
            name_left_out(replace(todo, failed={**failed, **todo.failed}))
            exit_if_failed(len(failed) + len(todo.failed), len(todo.files) + len(todo.failed))
        else:
            change_all(todo, upscaler, what="upscaling", as_json=as_json)


def evaluate(
    hr: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of originals")],
    sr: Annotated[
        Path,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder of results, matched by name without extension",
        ),
    ],
    scale: Annotated[
        int,
        typer.Option(min=1, help="Scale of the results; a border of as many pixels is left out"),
    ] = _DEFAULT_SCALE,
    distance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK[=FILE]|niqe",
            help="Also measure a perceptual network's distances, with the mirrored weights or "
            "those of a file, s3:// or https:// address; or NIQE; repeatable",
        ),
    ] = None,
    lpips: Annotated[
        bool, typer.Option("--lpips", help="Also measure LPIPS; needs the extra `lpips`")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure PSNR and SSIM on luma of each result against its original, and the means."""
    from srgan.measure.folders import compare_folders, quality_table

    distances = named_distances(distance or [], lpips=lpips)
    with ProgressBar("measuring") as progress:
        quality = compare_folders(hr, sr, scale=scale, distances=distances, progress=progress)
    print_json(quality) if as_json else typer.echo(quality_table(quality))
    name_passed_over(quality.passed_over)
    for name, reason in quality.failed.items():
        name_failed(name, reason)
    for stem, reason in quality.too_large.items():
        name_failed(stem, reason)
    if quality.failed:
        measured = f"{len(quality.images)} {'pair is' if len(quality.images) == 1 else 'pairs are'}"
        noun = "entry" if len(quality.failed) == 1 else "entries"
        say(f"only {measured} measured, {len(quality.failed)} {noun} failed")
    if quality.too_large:
        say(f"{len(quality.too_large)} of {len(quality.images)} pairs lack a distance")
    if quality.failed or quality.too_large:
        raise typer.Exit(1)


def named_distances(given: list[str], *, lpips: bool) -> "list[Distance]":
    """Open the judges that `--distance` and `--lpips` name."""
    from srgan.config.networks import DISTANCES, NIQE
    from srgan.measure.niqe import Naturalness
    from srgan.measure.perceptual import open_distances

    distances: list[Distance] = []
    sources: dict[FeatureNetwork, str] = {}
    for each in given:
        if each == NIQE and not distances:
            distances.append(Naturalness())
            continue
        network, named, source = each.partition("=")
        if network not in DISTANCES or network in sources or (named and not source):
            raise ConfigError(
                f"invalid --distance {each}: expected NETWORK, NETWORK=FILE or {NIQE}, each "
                f"once; networks: {', '.join(DISTANCES)}"
            )
        sources[network] = source
    for network, source in sources.items():
        data = _perceptual_weights(network, source)
        try:
            opened = open_distances(network, data)
        except CheckpointError as error:
            raise CheckpointError(f"{source or network}: {error}") from error
        # Distances compare within one weights file only.
        digest = hashlib.sha256(data).hexdigest()
        say(f"{', '.join(each.name for each in opened)}: weights with SHA-256 {digest}")
        distances += opened
    if lpips:
        from srgan.measure.lpips import LPIPS

        distances.append(LPIPS())
    return distances


def _perceptual_weights(network: "FeatureNetwork", source: str) -> bytes:
    from srgan.services.s3 import open_store
    from srgan.settings import Settings
    from srgan.versions.mirror_weights import fetch_named, mirrored_weights

    settings = Settings()
    if source:
        return fetch_named(settings, source)
    try:
        return mirrored_weights(open_store(settings), network)
    except StorageError as error:
        raise StorageError(f"{error}. Or name a file: --distance {network}=FILE") from error


def _require_files(command: str, source: Path, destination: Path) -> None:
    """Raise `ConfigError` for an address, and for the ``-`` of commands that read pipes."""
    if "-" in (str(source), str(destination)):
        raise ConfigError(
            f"`srgan {command}` reads and writes files, not pipes: give paths in place of -. "
            "A file of that name needs its folder: $PWD/-"
        )
    addresses = [_address(place) for place in (source, destination)]
    for address in addresses:
        if "://" not in address:
            continue
        remedy = "copy the photos to this disk first"
        if command == "upscale" and address.lower().startswith("s3://"):
            from srgan.settings import Settings

            command = Settings().run_command(
                "upscale/upscale",
                source=addresses[0],
                destination=addresses[1],
                model="models:/NAME@champion",
            )
            remedy = f"photos in S3 are upscaled by the flow, with a registered model: {command}"
        raise ConfigError(f"{address} is not on this disk; {remedy}")


def _address(place: Path) -> str:
    """An absolute path, or the address that `Path` has shortened to one slash."""
    scheme, colon, rest = str(place).partition(":/")
    is_address = colon and scheme.isalnum() and not place.exists()
    return f"{scheme}://{rest}" if is_address else str(place.absolute())

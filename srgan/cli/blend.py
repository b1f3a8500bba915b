"""`srgan blend`: a generator between two, and the curve of all that lie between them."""

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srgan.cli.console import AsJson, print_json, show_tables
from srgan.cli.photos import named_distances
from srgan.cli.progress import ProgressBar
from srgan.cli.weights import check_target
from srgan.disk import write_atomically
from srgan.errors import ConfigError

if TYPE_CHECKING:
    from srgan.measure.blends import Curve


def blend(
    first: Annotated[str, typer.Argument(metavar="A", help="Weights file or models:/NAME@ALIAS")],
    second: Annotated[str, typer.Argument(metavar="B", help="The same network, trained further")],
    alpha: Annotated[
        list[float] | None,
        typer.Option(
            min=0, max=1, help="Share of B; repeatable with --photos. Default there: 0, 0.1 … 1"
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write the blend: FILE.safetensors")
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Measure the blends on this folder of originals"
        ),
    ] = None,
    curve: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw PSNR against each distance: FILE.svg"),
    ] = None,
    distance: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK[=FILE]", help="A distance to measure, as in `evaluate`"),
    ] = None,
    lpips: Annotated[
        bool, typer.Option("--lpips", help="Also measure LPIPS; needs the extra `lpips`")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Blend two generators: (1 − alpha) · A + alpha · B, from fewer errors to sharper pictures."""
    alphas = list(dict.fromkeys(alpha or []))
    judged = bool(distance) or lpips
    _check_options(alphas, to, photos, curve, judged=judged)
    from srgan.upscaling import load

    generators = load(first), load(second)
    if to:
        from srgan.models.blending import blend as blended
        from srgan.models.interchange import dump_generator

        data = dump_generator(blended(*generators, alphas[0]))
        with write_atomically(to) as draft:
            draft.write_bytes(data)
        line = f"{to}, SHA-256 {hashlib.sha256(data).hexdigest()}"
        typer.echo(line, err=as_json)
    if not photos:
        return
    from srgan.cli.tables import blends_table
    from srgan.measure.blends import CURVE, measure_blends
    from srgan.measure.folders import FolderOriginals
    from srgan.models.blending import model_name

    distances = named_distances(distance or [], lpips=lpips)
    originals = FolderOriginals(photos, generators[0].scale, distances)
    with ProgressBar("measuring") as progress:
        found = measure_blends(
            *generators, alphas or CURVE, originals, distances=distances, progress=progress
        )
    ends = (f"{end}: {model_name(each)}" for end, each in enumerate(generators))
    count = f"{len(originals)} photo{'' if len(originals) == 1 else 's'}"
    title = f"alpha {', '.join(ends)}; mean of {count}"
    if curve:
        with write_atomically(curve) as draft:
            draft.write_text(_drawing(found, title), encoding="utf-8")
    if as_json:
        blends = [{"alpha": share, **each.flat} for share, each in found.blends.items()]
        print_json({"num_photos": len(originals), "bicubic": found.bicubic.flat, "blends": blends})
        return
    show_tables(blends_table(found, title))
    if curve:
        typer.echo(str(curve))


def _check_options(
    alphas: list[float], to: Path | None, photos: Path | None, curve: Path | None, *, judged: bool
) -> None:
    """Raise `ConfigError` for options that do not go together, before anything is loaded."""
    if not to and not photos:
        raise ConfigError("add --to FILE to write a blend, or --photos FOLDER to measure blends")
    if to:
        if len(alphas) != 1:
            raise ConfigError(f"--to writes one blend: give one --alpha, not {len(alphas)}")
        if to.suffix != ".safetensors":
            raise ConfigError(f"{to} must end in .safetensors")
        check_target(to)
    if photos is None and (curve or judged or len(alphas) > 1):
        raise ConfigError("blends are measured on photos: add --photos FOLDER")
    if curve:
        if not judged:
            raise ConfigError("--curve draws PSNR against distances: add --distance NETWORK")
        if curve.suffix != ".svg":
            raise ConfigError(f"{curve} must end in .svg")
        check_target(curve, "--curve")


def _drawing(found: "Curve", title: str) -> str:
    """Draw a plane for each distance, with alpha at the points; bicubic would lie far away."""
    from srgan.measure.figures import figure_name
    from srgan.report.charts import drawing, plane_curve

    charts = []
    for name in found.bicubic.distances:
        points = {
            f"{share:g}": (each.psnr, each.distances[name])
            for share, each in found.blends.items()
            # A blend of networks that were trained apart may compute NaN.
            if math.isfinite(each.psnr)
        }
        if points:
            label = f"{figure_name(name)}, lower is better"
            charts.append(plane_curve(points, x_label="PSNR (dB)", y_label=label))
    return drawing(title, charts)

"""Write ``docs/benchmarks/quality.md``: head, tables, plots and strips of one comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.claim_section import claim_section
from benchmarks.quality.claims import Claims
from benchmarks.quality.judges import Panel, taught_by
from benchmarks.quality.measuring import Row
from benchmarks.quality.paper import TABLES
from benchmarks.quality.results import Ablation, GanAblation, Training
from benchmarks.quality.strips import ENLARGED, NATIVE, ZOOM
from benchmarks.quality.training_section import ablations, gan_ablations, trainings
from srgan.config.networks import JUDGES, NIQE
from srgan.measure.figures import PIXEL_FIGURES, figure_head

_DIGITS = {"psnr": 2, "ssim": 4, NIQE: 2}
_TAUGHT = "†"


@dataclass(frozen=True)
class Comparison:
    """Everything that the page shows."""

    machine: str
    date: str
    command: str
    opening: str
    """Markdown before the text that is written, with the page's title."""
    minutes: float | None
    """Minutes of each training; None if the recipes' steps were made."""
    gan_minutes: float
    panel: Panel
    rows: Sequence[Row]
    """Methods of the tables."""
    trainings: Sequence[Training]
    claims: Claims
    ablations: Sequence[Ablation]
    gan_ablations: Sequence[GanAblation]
    plots: Mapping[str, Path]
    """Plots by their captions."""
    strips: Sequence[Path]
    photos: str
    """Name of the folder of training photos."""
    num_photos: int
    num_held: int
    """Training photos that trainings do not see: choices are made on them."""
    num_seeds: int
    start: str
    """Words for the generator that GANs started from."""
    left_out: Sequence[str]
    """Photos of the folder that show an image of the sets: no training sees them."""
    missing: Sequence[str]
    """Titles of networks that were not trained."""
    sets: Sequence[str]


def write_page(path: Path, comparison: Comparison) -> None:
    """Write the page; plots and strips lie next to it in a folder with the same name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [
        _head(comparison),
        claim_section(comparison.claims, comparison.num_seeds),
        *(_table(comparison, name) for name in comparison.sets),
        _reading(comparison),
        _judges(comparison.panel),
        trainings(comparison.trainings),
        *(f"![{caption}]({path.stem}/{plot.name})" for caption, plot in comparison.plots.items()),
        ablations(comparison.ablations),
        gan_ablations(comparison.gan_ablations),
        _pictures(comparison.strips, path.stem),
    ]
    path.write_text("\n\n".join(part for part in parts if part) + "\n")


def _head(comparison: Comparison) -> str:
    sets = " and ".join(comparison.sets)
    return (
        f"{comparison.opening}\n\n"
        f"Written by `{comparison.command}` on {comparison.date}, {comparison.machine}. Trained on "
        f"{comparison.num_photos} photos of the folder `{comparison.photos}`"
        f"{_left_out(comparison.left_out)}. Curves and ablations, by which choices are made, are "
        f"measured on {comparison.num_held} more photos of it; the published ×4 LR images of "
        f"{sets} only once, when a training is complete. Everything is computed by this project: "
        "networks, training, degradation, metrics. "
        "The paper trained on 350,000 images of ImageNet for days on a GPU; here each network gets "
        f"minutes. {_minutes(comparison)}\n\n"
        "PSNR and SSIM are measured on luma, without a border of 4 pixels. The paper's "
        "SSIM comes from another program (daala) and is not comparable with ours, which is "
        "that of Wang's script; compare it within the paper's rows only. For all judges lower is "
        f"better. {_TAUGHT} marks a figure of a judge whose network taught the network of the row "
        "(or its start): it says how well that learned its loss, not how good its images look. "
        "Rows marked (paper) have the paper's own figures for its own networks and images (MOS: 1 "
        "bad … 5 excellent). Ours share names with them, not weights, data or losses, and nobody "
        f"has rated ours yet. {_seeds(comparison.num_seeds)}{_vgg(comparison.rows)}"
        f"{_missing(comparison.missing)}"
    )


def _minutes(comparison: Comparison) -> str:
    equal = "steps × seconds per step on this machine, equal within a step"
    text = f"Every GAN started from {comparison.start}. "
    if comparison.minutes is None:
        return text + f"All GANs got {comparison.gan_minutes:.3g} minutes ({equal})."
    return text + f"Every network of the tables got {comparison.minutes:.3g} minutes ({equal})."


def _seeds(count: int) -> str:
    if count < 2:
        return "Each network was trained once, so its figures say nothing about another seed."
    return (
        f"Where a claim rests on a network it was trained with {count} seeds: the figure is their "
        "mean ± half of its 95 % interval (Student's t over the seeds). A GAN's seeds share its "
        "start."
    )


def _vgg(rows: Sequence[Row]) -> str:
    if not any("vgg16_st" in row.teachers for row in rows):
        return ""
    return (
        "\n\n**Another VGG.** VGG16-22 and VGG16-53 are in VGG16 what the paper's VGG22 and VGG54 "
        "are in VGG19, whose weights are in no package: after the activation, before the pooling. "
        "This VGG16 has blurred pooling and comes with ST-LPIPS; its licence allows benchmarks, "
        "and nothing that is shipped learns from it ([networks](../perceptual.md)). The contents "
        "are the paper's, features alone, at a scale that is measured on the held-out photos. The "
        "adversarial weight is at most the paper's 1e-3. The term against grids, and the balance "
        "of the two gradients if there is one, are the same for all GANs."
    )


def _left_out(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f" (without {', '.join(names)}, which the evaluation sets also show)"


def _missing(titles: Sequence[str]) -> str:
    return f"\n\n**Not trained in this run:** {', '.join(titles)}." if titles else ""


def _table(comparison: Comparison, name: str) -> str:
    figures = [*PIXEL_FIGURES, *comparison.panel.names]
    heads = ["", *(figure_head(each) for each in figures), "MOS"]
    lines = [
        f"## {name}\n",
        f"| {' | '.join(heads)} |",
        "|---" + "|---:" * (len(heads) - 1) + "|",
    ]
    for row in comparison.rows:
        means, wide = row.figures(name), row.half_widths(name)
        cells = [_cell(row, each, means.get(each), wide.get(each)) for each in figures]
        lines.append(f"| {row.title} | {' | '.join(cells)} | – |")
    unknown = " | –" * len(comparison.panel.names)
    lines += [
        f"| {title} (paper) | {row.psnr:.2f} | {row.ssim:.4f}{unknown} | {row.mos:.2f} |"
        for title, row in TABLES.get(name, {}).items()
        if title != "original"
    ]
    if name in TABLES:
        best = TABLES[name]["original"].mos
        lines.append(f"| original (paper) | ∞ | 1{unknown} | {best:.2f} |")
    return "\n".join(lines)


def _cell(row: Row, figure: str, mean: float | None, half_width: float | None) -> str:
    if mean is None:
        return "–"
    digits = _DIGITS.get(figure, 3)
    text = f"{mean:.{digits}f}"
    if half_width is not None:
        text += f" ± {half_width:.{digits}f}"
    is_taught = figure in JUDGES and taught_by(figure, row.teachers)
    return f"{text} {_TAUGHT}" if is_taught else text


def _reading(comparison: Comparison) -> str:
    """Name the best; "" if nothing was trained."""
    name, *_ = comparison.sets
    scores = {each.row.title: each.row.figures(name)["psnr"] for each in comparison.trainings}
    if not scores:
        return ""
    best = max(scores, key=lambda title: scores[title])
    (minutes,) = (each.minutes for each in comparison.trainings if each.row.title == best)
    return (
        f"Of the networks that were trained here, {best} has the highest PSNR: {scores[best]:.2f} "
        f"dB on {name} after {minutes:.3g} minutes of training. A self-ensemble takes eight times "
        "the work."
    )


def _judges(panel: Panel) -> str:
    lines = [
        "## The judges\n",
        "What each of them sees and overlooks is [measured](../perceptual.md#what-judges-see). "
        "Those that rank nearest above bicubic, against the paper's raters, or whose ranking was "
        "never measured here, are shown and do not count for the sentence.\n",
        "| judge | network's weights (SHA-256) | counts |",
        "|---|---|---|",
    ]
    for name in panel.names:
        judge = JUDGES[name]
        digest = f"`{panel.digests[judge.network][:12]}…`" if judge.network else "–"
        lines.append(f"| {judge.title} | {digest} | {'yes' if judge.decides else 'no'} |")
    return "\n".join(lines)


def _pictures(strips: Sequence[Path], folder: str) -> str:
    if not strips:
        return ""
    lines = [
        "## Strips\n",
        "The window with the strongest edges from each of a few photos that no network was "
        f"trained on: a large one at native size, then a smaller one enlarged ×{ZOOM} by repeating "
        "pixels.\n",
    ]
    for size in (NATIVE, ENLARGED):
        lines += [
            f"![{path.stem}]({folder}/{path.name})\n" for path in strips if path.stem.endswith(size)
        ]
    return "\n".join(lines).rstrip()

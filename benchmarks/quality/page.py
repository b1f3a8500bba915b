"""Write ``docs/benchmarks/quality.md``: tables, plots and strips of one comparison."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.quality.contestants import (
    ABLATION_STEPS,
    GAN_ABLATION_STEPS,
    TAUGHT_BY_THE_JUDGE,
    WHOLE,
)
from benchmarks.quality.measuring import Figures, half_widths
from benchmarks.quality.paper import TABLES
from benchmarks.quality.results import Ablation, GanAblation, Training
from srgan.config import AdversarialConfig


@dataclass(frozen=True)
class Comparison:
    """Everything that the page shows."""

    machine: str
    date: str
    command: str
    baselines: Mapping[str, Mapping[str, Figures]]
    trainings: Sequence[Training]
    ensembles: Mapping[str, Mapping[str, Figures]]
    """Self-ensembles of trained networks, by title and set."""
    ablations: Sequence[Ablation]
    gan_ablations: Sequence[GanAblation]
    strips: Sequence[Path]
    photos: str
    """Name of the folder of training photos."""
    num_photos: int
    num_held: int
    """Training photos that trainings do not see: choices are made on them."""
    num_seeds: int
    left_out: list[str]
    """Photos of the folder that show an image of the sets: no training sees them."""
    sets: Sequence[str] = field(default=("Set5", "Set14"))


def write_page(path: Path, comparison: Comparison) -> None:
    """Write the page; plots and strips lie next to it in a folder with the same name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [
        _head(comparison),
        *(_table(comparison, name) for name in comparison.sets),
        _reading(comparison),
        _trainings(comparison),
        _ablations(comparison.ablations),
        _gan_ablations(comparison.gan_ablations),
        _pictures(comparison),
    ]
    path.write_text("\n\n".join(part for part in parts if part) + "\n")


def _head(comparison: Comparison) -> str:
    return (
        "# Quality: the paper's Tables 1 and 2, reproduced as far as two cores go\n\n"
        f"Written by `{comparison.command}` on {comparison.date}, {comparison.machine}. Trained on "
        f"{comparison.num_photos} photos of the folder `{comparison.photos}`"
        f"{_left_out(comparison.left_out)}. Curves and ablations, by which choices are made, are "
        f"measured on {comparison.num_held} more photos of it; the published ×4 LR images of Set5 "
        "and Set14 only once, when a training is complete. Everything is computed by this project: "
        "networks, training, degradation, metrics. "
        "The paper trained on 350,000 images of ImageNet for days on a GPU; here each network gets "
        "minutes.\n\n"
        "PSNR and SSIM are measured on luma, without a border of 4 pixels. The paper's "
        "SSIM comes from another program (daala) and is not comparable with ours, which is "
        "that of Wang's script. `squeezenet_distance`: lower is better ([perceptual "
        "networks](../perceptual.md)). Rows marked (paper) have the paper's own figures for its "
        "own networks and images (MOS: 1 bad … 5 excellent). Ours share names with them, not "
        "weights, data or losses, and nobody has rated ours yet. "
        f"{_seeds(comparison.num_seeds)}"
    )


def _seeds(count: int) -> str:
    if count < 2:
        return "Each network was trained once, so its figures say nothing about another seed."
    return (
        f"Where a claim rests on a network it was trained with {count} seeds: the figure is their "
        "mean ± half of its 95 % interval (Student's t over the seeds). A GAN's seeds share its "
        "start."
    )


def _left_out(names: list[str]) -> str:
    if not names:
        return ""
    return f" (without {', '.join(names)}, which the evaluation sets also show)"


def _table(comparison: Comparison, name: str) -> str:
    spread = {each.contestant.title: half_widths(each.seeds[name]) for each in comparison.trainings}
    lines = [
        f"## {name}\n",
        "| | PSNR | SSIM | squeezenet_distance ↓ | MOS |",
        "|---|---:|---:|---:|---:|",
    ]
    for title, figures in _figures(comparison, name).items():
        taught = " (trained on the judge)" if title in TAUGHT_BY_THE_JUDGE else ""
        wide = spread.get(title)
        lines.append(
            f"| {title} | {_with(figures.psnr, wide and wide.psnr, 2)} | "
            f"{_with(figures.ssim, wide and wide.ssim, 4)} | "
            f"{_with(figures.distance, wide and wide.distance, 3)}{taught} | – |"
        )
    lines += [
        f"| {title} (paper) | {row.psnr:.2f} | {row.ssim:.4f} | – | {row.mos:.2f} |"
        for title, row in TABLES[name].items()
        if title != "original"
    ]
    lines.append(f"| original (paper) | ∞ | 1 | 0 | {TABLES[name]['original'].mos:.2f} |")
    return "\n".join(lines)


def _with(figure: float, half_width: float | None, digits: int) -> str:
    found = f"{figure:.{digits}f}"
    return found if half_width is None else f"{found} ± {half_width:.{digits}f}"


def _figures(comparison: Comparison, name: str) -> dict[str, Figures]:
    return {
        **{title: sets[name] for title, sets in comparison.baselines.items()},
        **{each.contestant.title: each.figures[name] for each in comparison.trainings},
        **{title: sets[name] for title, sets in comparison.ensembles.items()},
    }


def _reading(comparison: Comparison) -> str:
    best = max(comparison.trainings, key=lambda each: each.figures["Set5"].psnr)
    by_title = {each.contestant.title: each for each in comparison.trainings}
    text = (
        "The paper's SSIM is not ours, so compare it within its own rows only.\n\n"
        f"{best.contestant.title} has the highest PSNR: {best.figures['Set5'].psnr:.2f} dB on Set5 "
        f"after {best.minutes:.0f} minutes of training."
    )
    for title, sets in comparison.ensembles.items():
        text += f" {title} (eight times the work) reaches {sets['Set5'].psnr:.2f} dB."
    start = by_title.get("fast")
    for title in ("SRGAN-SqueezeNet", "SqueezeNet alone", "SRGAN-MSE"):
        if (gan := by_title.get(title)) and start:
            after, before = gan.figures["Set5"], start.figures["Set5"]
            change = 100 * (after.distance / before.distance - 1)
            text += (
                f" On Set5, {title} moves its start from {before.psnr:.2f} to {after.psnr:.2f} dB "
                f"and the distance from {before.distance:.3f} to {after.distance:.3f} "
                f"({change:+.1f} %)."
            )
    return text + (
        "\n\n**What the adversarial term does.** SqueezeNet alone is SRGAN-SqueezeNet with an "
        "adversarial weight of 0: the same content, start and steps. Only the difference of the "
        "two is the discriminator's."
        "\n\n**Trained on the judge.** Both learned from the network that measures "
        "the distance, because weights of another perceptual network were not available. Their "
        "distance shows that they learned their loss, not that people like their pictures "
        "better. Look "
        "at the strips, and ask people."
    )


def _trainings(comparison: Comparison) -> str:
    lines = [
        "## How each was trained\n",
        "| | parameters | steps | s per step | minutes | loss | learning rate | started from | "
        "D(real) | D(fake) |",
        "|---|---:|---:|---:|---:|---|---|---|---:|---:|",
    ]
    for each in comparison.trainings:
        stage, start = each.contestant.stage, each.contestant.start
        content = stage.content if isinstance(stage, AdversarialConfig) else stage.loss
        loss = content if isinstance(content, str) else _content(content.model_dump())
        is_gan = isinstance(stage, AdversarialConfig)
        gan = f" + {stage.adversarial_weight:g} adversarial" if is_gan else ""
        rate = stage.learning_rate
        lines.append(
            f"| {each.contestant.title} | {each.num_parameters:,} | {stage.steps:,} | "
            f"{each.step_s:.3f} | {each.minutes:.0f} | {loss}{gan} | {rate.peak:g}, {rate.decay} | "
            f"{start.title if start else '–'} | {_judged([each.judged])} |"
        )
    return "\n".join(lines) + (
        "\n\nSeconds per step are measured separately, on the idle machine with all its threads. "
        "Minutes are steps × seconds per step, so other work beside the trainings does not count. "
        "SRResNet and the small networks get far less than in their papers: SRResNet's batch norm "
        "needs many more steps than it gets here. D(real) and D(fake) are the discriminator's mean "
        "opinions of originals and of generated images at the end: 1.00 and 0.00 mean that it "
        "tells them apart for certain and teaches little.\n\n"
        "![PSNR over training time](quality/curves.svg)\n\n"
        "![PSNR against perceptual distance](quality/plane.svg)"
    )


def _judged(seeds: Sequence[Sequence[float]]) -> str:
    """Two cells: means of D(real) and D(fake)."""
    told = [each for each in seeds if each]
    if not told:
        return "– | –"
    return " | ".join(f"{statistics.mean(column):.2f}" for column in zip(*told, strict=True))


def _content(content: Mapping[str, object]) -> str:
    if content["kind"] == "mse":
        return "mse"
    pixels = f" + {content['pixel_weight']:g} mse" if content["pixel_weight"] else ""
    return f"{content['network']} {content['layer']}{pixels}"


def _ablations(ablations: Sequence[Ablation]) -> str:
    if not ablations:
        return ""
    whole = statistics.mean(next(each.scores for each in ablations if each.without == WHOLE))
    lines = [
        "## What each choice of the fast recipe brings\n",
        f"The recipe is shortened to {ABLATION_STEPS} steps, and trained again without one of its "
        "choices at a time. PSNR on the held-out photos in dB, three seeds each; "
        "the gain is what the choice adds "
        "at that length.\n",
        "| without | mean | lowest | highest | gain of the choice |",
        "|---|---:|---:|---:|---:|",
    ]
    for each in ablations:
        mean = statistics.mean(each.scores)
        gain = "–" if each.without == WHOLE else f"{whole - mean:+.2f}"
        lines.append(
            f"| {each.without} | {mean:.2f} | {min(each.scores):.2f} | {max(each.scores):.2f} | "
            f"{gain} |"
        )
    return "\n".join(lines)


def _gan_ablations(ablations: Sequence[GanAblation]) -> str:
    if not ablations:
        return ""
    whole = next(each for each in ablations if each.without == WHOLE)
    lines = [
        "## What each choice of its GAN stage brings\n",
        f"The recipe's GAN stage is shortened to {GAN_ABLATION_STEPS} steps and starts from the "
        "fully trained fast generator; held-out photos, three seeds each. All of these "
        "are trained on the "
        "judge, so compare grids and colours by eye.\n",
        "| without | distance ↓ | lowest | highest | PSNR | the choice changes the distance by | "
        "D(real) | D(fake) |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in ablations:
        mean = statistics.mean(each.distances)
        change = f"{statistics.mean(whole.distances) - mean:+.3f}" if each != whole else "–"
        lines.append(
            f"| {each.without} | {mean:.3f} | {min(each.distances):.3f} | "
            f"{max(each.distances):.3f} | {statistics.mean(each.psnrs):.2f} | {change} | "
            f"{_judged(each.judged)} |"
        )
    return "\n".join(lines)


def _pictures(comparison: Comparison) -> str:
    lines = [
        "## Strips\n",
        "The window with the strongest edges from each of a few photos that no network was "
        "trained on, doubled in size by repeating pixels.\n",
    ]
    lines += [f"![{path.stem}](quality/{path.name})\n" for path in comparison.strips]
    return "\n".join(lines).rstrip()

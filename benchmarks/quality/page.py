"""Write ``docs/benchmarks/quality.md``: tables, plots and strips of one comparison."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.quality.contestants import ABLATION_STEPS, GAN_ABLATION_STEPS, WHOLE
from benchmarks.quality.measuring import Figures
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
        f"{_left_out(comparison.left_out)}, measured on the published ×4 LR images of Set5 and "
        "Set14. Everything is computed by this project: networks, training, degradation, metrics. "
        "The paper trained on 350,000 images of ImageNet for days on a GPU; here each network gets "
        "minutes.\n\n"
        "PSNR and SSIM are measured on luma, without a border of 4 pixels. The paper's "
        "SSIM comes from another program (daala) and is not comparable with ours, which is that of "
        "Wang's script (windows within the image only). `squeezenet_distance`: lower is better "
        "([perceptual networks](../perceptual.md)). MOS are the paper's, for the paper's images "
        "(1 bad … 5 excellent); nobody has rated ours yet."
    )


def _left_out(names: list[str]) -> str:
    if not names:
        return ""
    return f" (without {', '.join(names)}, which the evaluation sets also show)"


def _table(comparison: Comparison, name: str) -> str:
    paper = TABLES[name]
    lines = [
        f"## {name}\n",
        "| | PSNR | paper's PSNR | SSIM | paper's SSIM | squeezenet_distance ↓ | paper's MOS |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for title, figures in _figures(comparison, name).items():
        row = paper.get(title)
        taught = " (trained on the judge)" if title == "SRGAN-SqueezeNet" else ""
        lines.append(
            f"| {title} | {figures.psnr:.2f} | {f'{row.psnr:.2f}' if row else '–'} | "
            f"{figures.ssim:.4f} | "
            f"{f'{row.ssim:.4f}' if row else '–'} | {figures.distance:.3f}{taught} | "
            f"{f'{row.mos:.2f}' if row else '–'} |"
        )
    lines += [
        f"| {title} (paper) | – | {row.psnr:.2f} | – | {row.ssim:.4f} | – | {row.mos:.2f} |"
        for title, row in paper.items()
        if title not in _figures(comparison, name) and title != "original"
    ]
    lines.append(f"| original | ∞ | ∞ | 1 | 1 | 0 | {paper['original'].mos:.2f} |")
    return "\n".join(lines)


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
        "Rows marked (paper) were not trained here: SelfExSR and DRCN are other authors' methods, "
        "and VGG19 weights were not available.\n\n"
        f"{best.contestant.title} has the highest PSNR: {best.figures['Set5'].psnr:.2f} dB on Set5 "
        f"after {best.minutes:.0f} minutes of training."
    )
    for title, sets in comparison.ensembles.items():
        text += f" {title} (eight times the work) reaches {sets['Set5'].psnr:.2f} dB."
    start = by_title.get("fast")
    for title in ("SRGAN-SqueezeNet", "SRGAN-MSE"):
        if (gan := by_title.get(title)) and start:
            after, before = gan.figures["Set5"], start.figures["Set5"]
            change = 100 * (after.distance / before.distance - 1)
            text += (
                f" On Set5, {title} moves its start from {before.psnr:.2f} to {after.psnr:.2f} dB "
                f"and the distance from {before.distance:.3f} to {after.distance:.3f} "
                f"({change:+.1f} %)."
            )
    return text + (
        "\n\n**Trained on the judge.** SRGAN-SqueezeNet learned from the network that measures "
        "the distance, because weights of another perceptual network were not available. Its "
        "distance shows that it learned its loss, not that people like its pictures better. Look "
        "at the strips, and ask people."
    )


def _trainings(comparison: Comparison) -> str:
    lines = [
        "## How each was trained\n",
        "| | parameters | steps | s per step | minutes | loss | learning rate | started from |",
        "|---|---:|---:|---:|---:|---|---|---|",
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
            f"{start.title if start else '–'} |"
        )
    return "\n".join(lines) + (
        "\n\nSeconds per step are measured separately, on the idle machine with all its threads. "
        "Minutes are steps × seconds per step, so other work beside the trainings does not count. "
        "SRResNet and the small networks get far less than in their papers: SRResNet's batch norm "
        "needs many more steps than it gets here.\n\n"
        "![PSNR over training time](quality/curves.svg)\n\n"
        "![PSNR against perceptual distance](quality/plane.svg)"
    )


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
        "choices at a time. PSNR on Set5 in dB, three seeds each; the gain is what the choice adds "
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
        "fully trained fast generator; Set5, three seeds each. All of these are trained on the "
        "judge, so compare grids and colours by eye.\n",
        "| without | distance ↓ | lowest | highest | PSNR | the choice changes the distance by |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for each in ablations:
        mean = statistics.mean(each.distances)
        change = f"{statistics.mean(whole.distances) - mean:+.3f}" if each != whole else "–"
        lines.append(
            f"| {each.without} | {mean:.3f} | {min(each.distances):.3f} | "
            f"{max(each.distances):.3f} | {statistics.mean(each.psnrs):.2f} | {change} |"
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

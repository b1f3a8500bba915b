"""The page's sections about trainings: how each was made, and what each choice brings."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.quality.ablations import WHOLE
from benchmarks.quality.results import Ablation, GanAblation, Training
from srgan.config import AdversarialConfig
from srgan.measure.figures import figure_name


def trainings(found: Sequence[Training]) -> str:
    """Tabulate parameters, steps, minutes and losses; "" if nothing was trained."""
    if not found:
        return ""
    lines = [
        "## How each was trained\n",
        "| | parameters | steps | patches | s per step | minutes | loss | learning rate | "
        "started from | D(real) | D(fake) |",
        "|---|---:|---:|---:|---:|---:|---|---|---|---:|---:|",
    ]
    for each in found:
        stage, start = each.contestant.stage, each.contestant.start
        rate = stage.learning_rate
        lines.append(
            f"| {each.contestant.title} | {each.num_parameters:,} | {stage.steps:,} | "
            f"{stage.batch_size} of {stage.patch_size}² | {each.step_s:.3f} | "
            f"{each.minutes:.3g} | {_loss(each)} | {rate.peak:g}, {rate.decay} | "
            f"{start.title if start else '–'} | {_judged([each.judged])} |"
        )
    return "\n".join(lines) + (
        "\n\nPatches are those of a step, with their side in HR pixels. "
        "Seconds per step are measured separately, on the idle machine with all its threads. "
        "Minutes are steps × seconds per step, so other work beside the trainings does not count. "
        "SRResNet and the small networks get far less than in their papers: SRResNet's batch norm "
        "needs many more steps than it gets here. D(real) and D(fake) are the discriminator's mean "
        "opinions of originals and of generated images at the end: 1.00 and 0.00 mean that it "
        "tells them apart for certain and teaches little."
    )


def _loss(training: Training) -> str:
    stage = training.contestant.stage
    content = stage.content if isinstance(stage, AdversarialConfig) else stage.loss
    text = content if isinstance(content, str) else _content(content.model_dump())
    if not isinstance(stage, AdversarialConfig):
        return text
    if stage.grid_weight:
        text += f" + {stage.grid_weight:g} grid"
    share, weight = stage.adversarial_share, f"{stage.largest_weight:g}"
    if share is not None and stage.largest_weight:
        return f"{text} + adversarial, {share:.0%} of that gradient, weight ≤ {weight}"
    return f"{text} + {weight} adversarial"


def _content(content: Mapping[str, object]) -> str:
    if content["kind"] == "mse":
        return "mse"
    pixels = f" + {content['pixel_weight']:g} mse" if content["pixel_weight"] else ""
    smooth = content["total_variation_weight"]
    variation = f" + {smooth:g} total variation" if smooth else ""
    scale = 1 / float(str(content["feature_scale"]))
    return f"{content['network']} {content['layer']} × 1/{scale:.3g}{pixels}{variation}"


def _judged(seeds: Sequence[Sequence[float]]) -> str:
    """Two cells: means of D(real) and D(fake)."""
    told = [each for each in seeds if each]
    if not told:
        return "– | –"
    return " | ".join(f"{statistics.mean(column):.2f}" for column in zip(*told, strict=True))


def ablations(found: Sequence[Ablation]) -> str:
    """Tabulate what each choice of the fast recipe brings; "" without ablations."""
    if not found:
        return ""
    whole = statistics.mean(next(each.scores for each in found if each.without == WHOLE))
    lines = [
        "## What each choice of the fast recipe brings\n",
        f"The recipe is shortened to {found[0].steps} steps, and trained again without one of its "
        "choices at a time. PSNR on "
        f"the held-out photos in dB, {_seeds(len(found[0].scores))}; the gain is what the choice "
        "adds at that length.\n",
        "| without | mean | lowest | highest | gain of the choice |",
        "|---|---:|---:|---:|---:|",
    ]
    for each in found:
        mean = statistics.mean(each.scores)
        gain = "–" if each.without == WHOLE else f"{whole - mean:+.2f}"
        lines.append(
            f"| {each.without} | {mean:.2f} | {min(each.scores):.2f} | {max(each.scores):.2f} | "
            f"{gain} |"
        )
    return "\n".join(lines)


def gan_ablations(found: Sequence[GanAblation]) -> str:
    """Tabulate what each choice of the GAN stage brings; "" without ablations."""
    if not found:
        return ""
    figures = list(found[0].figures[0])
    whole = _means(next(each for each in found if each.without == WHOLE))
    heads = [
        f"{figure_name(each)} | the choice changes it by" for each in figures if each != "ssim"
    ]
    lines = [
        "## What each choice of the GAN stage brings\n",
        f"The GAN on SqueezeNet's features is shortened to {found[0].steps} steps and starts from "
        "the same generator as all GANs; "
        f"held-out photos, {_seeds(len(found[0].figures))}. Look at grids and colours yourself.\n",
        f"| without | {' | '.join(heads)} | D(real) | D(fake) |",
        "|---" + "|---:|---:" * len(heads) + "|---:|---:|",
    ]
    for each in found:
        means = _means(each)
        cells = []
        for figure in figures:
            if figure != "ssim":
                digits = 2 if figure == "psnr" else 3
                change = whole[figure] - means[figure]
                is_whole = each.without == WHOLE
                cells.append(f"{means[figure]:.{digits}f}")
                cells.append("–" if is_whole else f"{change:+.{digits}f}")
        lines.append(f"| {each.without} | {' | '.join(cells)} | {_judged(each.judged)} |")
    return "\n".join(lines)


def _means(ablation: GanAblation) -> dict[str, float]:
    return {
        figure: statistics.mean(each[figure] for each in ablation.figures)
        for figure in ablation.figures[0]
    }


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds each"

"""The model card of a version: Markdown for the registry's page and for users of the model."""

from collections.abc import Iterator

from srgan.measure.evaluation import BICUBIC, CHAMPION, MODEL
from srgan.measure.figures import (
    differences_table,
    identical_note,
    means_table,
    trained_on_judge_note,
)
from srgan.promotion.findings import Opponent
from srgan.promotion.gate import differences
from srgan.report.content import Content, TrainedStage

_FEW_PHOTOS = 10


def model_card(content: Content, *, picture: str | None) -> str:
    """Write the card; `picture` is the address of the comparison picture."""
    report, decision = content.evaluation, content.decision
    parts = [
        f"# {decision.model}, version {decision.challenger}",
        f"Upscales photos {report.scale} times. {decision.reason}",
        "## Data",
        *_data(content),
        "## Training",
        "\n".join(_training(stage) for stage in content.stages),
        "## Figures",
        f"Means over {len(report.images)} held-out crops of {_num_photos(content)} photos, luma, "
        f"without a border of {report.scale} pixels."
        + identical_note(report.means[MODEL].num_identical),
        means_table(report.metrics, report.trained_on_judge).markdown(),
        *_intervals(content),
        *_sets(content),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(content)),
    ]
    if picture:
        parts += ["## Pictures", f"![comparison]({picture})"]
        if caption := trained_on_judge_note(report.trained_on_judge):
            parts.append(caption)
    return "\n\n".join(parts) + "\n"


def _data(content: Content) -> Iterator[str]:
    dataset = content.evaluation.dataset
    yield (
        f"`{dataset.dataset}` version `{dataset.version}` of `{dataset.source}`: "
        f"{dataset.num_train_photos} photos to train on, {dataset.num_eval_photos} held out."
    )
    yield f"Licence of the photos: {content.licence or 'not stated'}."
    if pairs := content.pairs:
        yield (
            f"Pairs `{pairs.dataset}` version `{pairs.version}` of `{pairs.source}` and "
            f"`{pairs.lr_source}`: {pairs.num_train_photos}. Licence of the pairs: "
            f"{pairs.licence or 'not stated'}."
        )


def _training(stage: TrainedStage) -> str:
    text = f"- {stage.stage}: {stage.steps:,} steps, run `{stage.run}`"
    if stage.chosen:
        text += f", handed on {stage.chosen}"
    loss = stage.config.get("content") or stage.config.get("loss")
    if isinstance(loss, dict):
        of = ", ".join(
            f"{name} {value}" for name, value in loss.items() if value and name != "kind"
        )
        loss = f"{loss['kind']} ({of})" if of else loss["kind"]
    return f"{text}, loss on {loss}" if loss else text


def _intervals(content: Content) -> Iterator[str]:
    opponents = [Opponent(BICUBIC, "bicubic")]
    if CHAMPION in content.evaluation.means:
        before = content.decision.champion_before
        opponents.insert(0, Opponent(CHAMPION, f"champion version {before}"))
    for opponent in opponents:
        found = differences(content.evaluation, opponent)
        if found:
            yield differences_table(f"Minus {opponent.whose}", {"": found}).markdown()


def _sets(content: Content) -> Iterator[str]:
    """Yield figures on evaluation sets, and the differences that decided."""
    report, evidence = content.evaluation, content.evidence
    for name, measured in report.sets.items():
        yield f"Evaluation set `{name}` version `{measured.version}`, {measured.images}:"
        yield means_table(measured.metrics, report.trained_on_judge).markdown()
        if name in evidence.sets and (found := evidence.sets[name].differences):
            before = content.decision.champion_before
            whose = f"champion version {before}" if evidence.against == CHAMPION else "bicubic"
            yield differences_table(f"Minus {whose}", {"": found}).markdown()


def _limits(content: Content) -> Iterator[str]:
    report = content.evaluation
    yield (
        f"Measured on photos that an antialiased bicubic filter reduced {report.scale} times; in "
        "other photos, noise, blur and compression may be taken for detail."
    )
    yield (
        "Detail that the small photo does not contain is invented. A result is not evidence of "
        "faces, plates, text or medical findings."
    )
    if _num_photos(content) < _FEW_PHOTOS:
        yield (
            f"Measured on only {_num_photos(content)} photos: intervals of so few are wide, or "
            "there are none."
        )
    if report.trained_on_judge:
        yield f"A distance judges its own pupil ({trained_on_judge_note(report.trained_on_judge)})."
    if not content.licence:
        yield "The licence of the training photos is not stated."
    if content.pairs and not content.pairs.licence:
        yield "The licence of the pairs that it was trained on is not stated."


def _num_photos(content: Content) -> int:
    return len({image.source for image in content.evaluation.images})

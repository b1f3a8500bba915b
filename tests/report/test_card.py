"""The model card."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from srgan.measure.intervals import Interval
from srgan.promotion.log import OnSet
from srgan.refs import SetResult
from srgan.report.card import model_card
from tests.support.contents import content
from tests.support.reports import dataset


def test_a_card_says_what_the_model_was_made_of_how_good_it_is_and_where_it_ends(
    draw_photo: Callable[..., Any],
) -> None:
    card = model_card(content(draw_photo), picture="http://mlflow/picture.png")
    assert card.startswith("# leaves-x4, version 2\n")
    assert "Licence of the photos: CC BY 4.0." in card
    assert (
        "- adversarial: 1,200 steps, run `adversarial-2`, handed on step 800, lowest "
        "distance at a validation, 0.2 (start 0.3), loss on mse"
    ) in card
    assert "| Minus champion version 1 | mean | 95 % interval |" in card
    assert "| Minus bicubic |" in card
    assert "Measured on only 6 photos" in card
    assert "![comparison](http://mlflow/picture.png)" in card


def test_a_card_has_the_figures_on_evaluation_sets_and_the_differences_that_decided(
    draw_photo: Callable[..., Any],
) -> None:
    whole = content(draw_photo)
    result = SetResult(version="s1", key="k", num_images=14, metrics=whole.evaluation.metrics)
    closer = Interval(mean=-0.04, low=-0.06, high=-0.02)
    on_set = OnSet(version="s1", metrics={}, differences={"squeezenet_distance": closer})
    card = model_card(
        replace(
            whole,
            evaluation=whole.evaluation.model_copy(update={"sets": {"set14": result}}),
            evidence=whole.evidence.model_copy(update={"sets": {"set14": on_set}}),
        ),
        picture=None,
    )
    measured = card[card.index("Evaluation set `set14` version `s1`, 14 images:") :]
    assert "| Bicubic |" in measured
    assert "| SqueezeNet distance | −0.0400 | −0.0600 to −0.0200 |" in measured


def test_a_licence_that_is_not_stated_is_a_limit(draw_photo: Callable[..., Any]) -> None:
    card = model_card(content(draw_photo, licence=None), picture=None)
    assert "- The licence of the training photos is not stated" in card
    assert "## Pictures" not in card


def test_a_card_names_pairs_and_their_licence(draw_photo: Callable[..., Any]) -> None:
    pairs = dataset("p1").model_copy(update={"dataset": "phone", "lr_source": "s3://bucket/lr"})
    card = model_card(content(draw_photo, pairs=pairs), picture=None)
    assert "Pairs `phone` version `p1` of `s3://bucket/raw` and `s3://bucket/lr`: 2." in card
    assert "- The licence of the pairs that it was trained on is not stated" in card
    free = pairs.model_copy(update={"licence": "CC0"})
    assert "Licence of the pairs: CC0." in model_card(content(draw_photo, pairs=free), picture=None)

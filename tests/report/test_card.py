"""The model card."""

from collections.abc import Callable
from typing import Any

from srgan.report.card import model_card
from tests.report.contents import content


def test_a_card_says_what_the_model_was_made_of_how_good_it_is_and_where_it_ends(
    draw_photo: Callable[..., Any],
) -> None:
    card = model_card(content(draw_photo), picture="http://mlflow/picture.png")
    assert card.startswith("# leaves-x4, version 2\n")
    assert "Licence of the photos: CC BY 4.0." in card
    assert "- adversarial: 1,200 steps, run `adversarial-2`, loss on kind mse" in card
    assert "| Minus champion version 1 | mean | 95 % interval |" in card
    assert "| Minus bicubic |" in card
    assert "Measured on 3 photos alone" in card
    assert "![comparison](http://mlflow/picture.png)" in card


def test_a_licence_that_nobody_stated_is_a_limit(draw_photo: Callable[..., Any]) -> None:
    card = model_card(content(draw_photo, licence=None), picture=None)
    assert "- Nobody has stated the licence" in card
    assert "## Pictures" not in card

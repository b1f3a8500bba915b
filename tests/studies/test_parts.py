"""Parts of a study: what a rater has judged, as columns and one by one."""

import numpy as np
import pytest
from pydantic import ValidationError

from srgan.mos.columns import choices_of, columns_of
from srgan.mos.ratings import Preference, Rating
from srgan.studies.design import Judging
from srgan.studies.parts import Answers, judged_columns, judgements_of
from tests.support.studies import design_by_hand, parts_of


def test_columns_of_unequal_length_are_refused() -> None:
    (part,) = parts_of(design_by_hand(), 1, lambda task, rater: "4")
    short = {**part.answers.model_dump(), "seconds": (1.0,)}
    with pytest.raises(ValidationError, match="columns of unequal length"):
        Answers.model_validate(short)


@pytest.mark.parametrize("judging", ["ratings", "pairs"])
def test_columns_of_parts_are_those_of_the_judgements(judging: Judging) -> None:
    design = design_by_hand(judging=judging, repeats=0.2)
    answers = {"ratings": ("1", "3", "5"), "pairs": ("left", "same", "right")}[judging]
    parts = parts_of(design, 3, lambda task, rater: answers[(len(task.image + task.left)) % 3])
    judgements = judgements_of(parts)
    found = judged_columns(design, parts)
    if judging == "ratings":
        expected = columns_of(each for each in judgements if isinstance(each, Rating))
    else:
        expected = choices_of(each for each in judgements if isinstance(each, Preference))
    for name, values in vars(expected).items():
        assert np.array_equal(values, getattr(found, name)), name

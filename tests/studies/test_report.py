"""The report of a study shows more than its results."""

import base64
from io import BytesIO

import numpy as np
from PIL import Image

from srgan.mos.results import results_of
from srgan.report.study import StudyContent
from srgan.services.s3 import S3Store
from srgan.studies.design import Closed, StudyDesign
from srgan.studies.figures import pictures_of
from srgan.studies.parts import judged_columns
from srgan.studies.report import study_content
from srgan.studies.tasks import Task
from tests.support.studies import parts_of, rendered


def content(store: S3Store, design: StudyDesign, answer: object) -> StudyContent:
    parts = parts_of(design, 4, answer)  # type: ignore[arg-type]
    judged = judged_columns(design, parts)
    end = Closed(closed_at="2026-11-30T12:00:00+00:00", num_raters=4, num_judgements=36)
    return study_content(store, design, parts, judged, results_of(judged), end)


def test_images_are_shown_where_people_see_a_difference_at_native_pixels(
    object_store: S3Store,
) -> None:
    design = rendered(object_store)
    last = design.images[2].name

    def answer(task: Task, rater: int) -> str:
        if task.left == "original":
            return "5" if task.image == last else "4"
        return "1" if task.left == "nearest" else "2"

    found = content(object_store, design, answer)
    shown = found.images[0]
    assert shown.name == last
    assert [each.method for each in shown.frames] == ["nearest", "dark", "original"]
    assert [each.said for each in shown.frames] == ["score 1.00", "score 2.00", "score 5.00"]
    pixels = np.asarray(Image.open(BytesIO(base64.b64decode(shown.frames[1].png))))
    assert pixels.shape == (shown.frames[1].height, shown.frames[1].width, 3) == (120, 160, 3)
    assert np.array_equal(pixels, pictures_of(object_store, design, design.images[2])["dark"])


def test_the_facts_say_how_it_was_made(object_store: S3Store) -> None:
    design = rendered(object_store)
    facts = content(object_store, design, lambda task, rater: "3").facts
    assert facts["Images"].startswith("3 of evaluation set own, version ")
    assert facts["Asked of each rater"] == "9 judgements and 0% repeats"
    assert facts["Screens"] == "0 of 4 to be touched; fine lines even on 4"
    assert facts["Closed"] == "30 November 2026, 12:00 UTC"


def test_pairs_say_how_often_a_method_was_better(object_store: S3Store) -> None:
    design = rendered(object_store, "pairs")

    def answer(task: Task, rater: int) -> str:
        # The second of two is better but for one rater, who sees no difference.
        return "same" if rater == 0 else "right"

    shown = content(object_store, design, answer).images[0]
    assert [each.said for each in shown.frames] == [
        "better in 0%",
        "better in 38%",
        "better in 75%",
    ]

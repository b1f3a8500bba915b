"""The report of a study: what people said, safe, and a page that works in a browser."""

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.mos.crowd import RANDOM, Crowd, choose, study
from srgan.mos.columns import choices_of, columns_of
from srgan.mos.ratings import Preference, Rating
from srgan.mos.results import preference_results, rating_results
from srgan.report.page import render_study
from srgan.report.study import Frame, ShownImage, StudyContent
from tests.support.browser import CHROMIUM, run_browser
from tests.support.pages import Collected

HOSTILE = '"><script>alert(1)</script>'


def rated(num_raters: int = 10, num_images: int = 12) -> StudyContent:
    """Ratings of six methods with one careless rater, and figures of two kinds."""
    rng, crowd = np.random.default_rng(0), Crowd()
    ratings = study(
        crowd, rng, num_images=num_images, num_raters=num_raters, careless=[RANDOM], repeats=0.1
    )
    quality = dict(crowd.methods)
    cells = {(each.method, each.image) for each in ratings if each.method != "original"}
    measured = {
        name: {cell: sign * quality[cell[0]] + float(rng.normal(0, noise)) for cell in cells}
        for name, sign, noise in (("psnr", 1, 1.0), ("squeezenet_distance", -1, 0.2))
    }
    return StudyContent(
        title="spring",
        made_at="30 November 2026, 12:00 UTC",
        results=rating_results(columns_of(ratings), measured),
        facts={"Question": "ratings from 1 to 5", "Images": f"12 of {HOSTILE}"},
        sources={"a": "models:/pets@champion", "b": "bicubic"},
        images=[ShownImage("photos/1.png", "8×8 pixels", [frame("a"), frame("b")])],
    )


def compared() -> StudyContent:
    rng, truth = np.random.default_rng(1), {"1": 1.0, "2": 0.0, "ours": -1.0}
    made = [
        choose(rng, truth, f"image {n}", *rng.permutation(list(truth))[:2], f"rater {rater}")
        for rater in range(6)
        for n in range(20)
    ]
    return StudyContent("duel", "today", preference_results(choices_of(made)))


def frame(method: str) -> Frame:
    data = BytesIO()
    Image.new("RGB", (8, 8), (200, 90, 90)).save(data, "PNG")
    return Frame(method, "score 3.20", base64.b64encode(data.getvalue()).decode(), 8, 8)


def words(content: StudyContent) -> str:
    return Collected(render_study(content)).words


def test_scores_differences_raters_and_figures_are_said() -> None:
    content = rated()
    text = words(content)
    assert "c has the highest mean opinion score besides the anchors" in text
    assert "its difference from b is +" in text
    assert "10 raters 1 rejected 12 images 6 methods" in text
    opinion = content.results.opinions["original"]  # type: ignore[union-attr]
    assert f"original {opinion.mean:.2f} {opinion.interval.low:.2f} to" in text  # type: ignore[union-attr]
    assert "15 pairs of methods" in text
    assert "original nearest +" in text, "the higher one comes first"
    assert "nearest original" not in text
    assert "1 of 10 raters was rejected" in text
    assert "disagreement: correlation" in text
    assert "SqueezeNet distance 0." in text
    assert "models:/pets@champion" in text
    assert "score 3.20" in text


def test_each_method_has_a_bar_of_its_scores_without_rejected_raters() -> None:
    page = render_study(rated())
    assert page.count('<rect class="q5"') == 6
    assert "108 ratings" in page, "nine raters and twelve images"


def test_a_study_of_pairs_has_strengths() -> None:
    text = words(compared())
    assert "version 1 is the strongest: better in" in text
    assert "its difference from version 2 is +" in text
    assert "3 pairs of methods" in text
    assert "Study of pair comparisons" in text
    assert "None of the 6 raters was rejected" in text
    assert "Mean opinion scores" not in text
    assert "Figures and people" not in text


def test_few_ratings_have_a_report_without_intervals() -> None:
    content = rated(num_raters=2, num_images=3)
    text = words(content)
    assert f"original {content.results.opinions['original'].mean:.2f} –" in text  # type: ignore[union-attr]
    assert "None of the 2 raters was rejected" in text


def test_answers_that_decide_nothing_are_said_to() -> None:
    same = [
        Preference(image=f"{image}", rater=f"{rater}", left="a", right="b", choice="same")
        for rater in range(4)
        for image in range(8)
    ]
    text = words(StudyContent("duel", "today", preference_results(choices_of(same))))
    assert "Nobody found a difference." in text
    hasty = [
        Rating(method=method, image=f"{image}", rater="ann", score=3, seconds=0.1)
        for method in "ab"
        for image in range(8)
    ]
    text = words(StudyContent("hasty", "today", rating_results(columns_of(hasty))))
    assert "No rating counts: all raters were rejected." in text


def test_what_was_not_measured_is_said() -> None:
    ratings = study(Crowd(), np.random.default_rng(2), num_images=6, num_raters=4)
    found = rating_results(columns_of(ratings))
    text = words(StudyContent("ratings.csv", "today", found))
    assert "Nothing was measured on these pictures" in text
    assert "How the study was made" not in text
    assert "Pictures" not in text


def test_nothing_is_loaded_and_nothing_of_a_users_is_run() -> None:
    found = Collected(render_study(rated()))
    assert found.scripts == []
    assert HOSTILE in found.text
    assert found.styled == []
    assert all(each.startswith("data:image/png;base64,") for each in found.addresses)
    assert "script-src" not in render_study(rated())


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize(("width", "phone"), [(1280, False), (390, True)])
def test_the_page_fits_a_desktop_and_a_phone(tmp_path: Path, width: int, phone: bool) -> None:
    pages = {"rated.html": rated(), "compared.html": compared()}
    with run_browser(tmp_path / "profile") as browser:
        for name, content in pages.items():
            (tmp_path / name).write_text(render_study(content), encoding="utf-8")
            tab = browser.tab()
            tab.resize(width, 800, phone=phone)
            tab.goto((tmp_path / name).as_uri())
            assert tab.run("document.documentElement.scrollWidth") <= width
            assert tab.complaints == []
        tab.goto((tmp_path / "rated.html").as_uri())
        shown = tab.run("document.querySelector('.natives img').getBoundingClientRect().width")
        assert shown == 8, "native pixels"

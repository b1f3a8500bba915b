"""The page of a report: whole, safe, and working in a browser."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srgan.data.changes import PhotoChanges
from srgan.measure.evaluation import Report
from srgan.measure.intervals import Interval
from srgan.measure.pictures import Details
from srgan.promotion.log import OnSet
from srgan.promotion.opinions import OpinionPair
from srgan.refs import PromotionDecision, SetResult, to_json
from srgan.report.costs import Cost
from srgan.report.page import render
from tests.support.contents import EVIDENCE, HOSTILE, content
from tests.support.pages import Collected

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

Draw = Callable[..., Any]


def shown(draw_photo: Draw, **changed: Any) -> str:
    """The words of the page, one space between them."""
    return Collected(render(content(draw_photo, **changed))).words


def test_the_decision_comes_first_with_its_figures_against_champion_and_bicubic(
    draw_photo: Draw,
) -> None:
    text = shown(draw_photo)
    assert (
        text.index("is the champion") < text.index("Figures") < text.index("Against the champion")
    )
    assert "Against bicubic" in text
    assert "95 % interval" in text


def test_figures_on_evaluation_sets_stand_below_their_names_in_whatever_order_json_has_them(
    draw_photo: Draw,
) -> None:
    report = content(draw_photo).evaluation
    metrics = {
        name: {"psnr": 31.25, "squeezenet_distance": 1.5, "ssim": 0.75} for name in report.metrics
    }
    result = SetResult(version="s", key="k", num_images=14, metrics=metrics)
    sets = {"set14": SetResult.model_validate_json(to_json(result))}
    text = shown(draw_photo, evaluation=report.model_copy(update={"sets": sets}))
    assert text.index("Evaluation set set14, 14 images") > text.index("Figures")
    assert "PSNR SSIM SqueezeNet distance ↓ Bicubic 31.250 dB 0.7500 1.5000 Pretrained" in text


def test_a_figure_that_held_out_crops_or_a_set_lack_is_a_dash_there(draw_photo: Draw) -> None:
    report = content(draw_photo).evaluation
    metrics = {
        name: {"psnr": 31.25, "ssim": 0.75, "niqe": 4.5 if name == "model" else 5.25}
        for name in report.metrics
    }
    result = SetResult(version="s", key="k", num_images=14, metrics=metrics)
    changed = report.model_copy(update={"sets": {"set14": result}})
    page = render(content(draw_photo, evaluation=changed))
    text = Collected(page).words
    # An image of the set is too small for SqueezeNet's distance, the crops are for NIQE.
    assert "PSNR SSIM NIQE ↓ SqueezeNet distance ↓ Bicubic" in text
    assert "Bicubic 31.250 dB 0.7500 5.25 – Pretrained 31.250 dB 0.7500 5.25 –" in text
    crops, of_set = re.findall("<tbody>(.*?)</tbody>", page, re.DOTALL)[:2]
    best = re.findall(r'best">([^<]+)<', of_set)
    assert set(best) == {"31.250 dB", "0.7500", "4.50"}
    assert re.findall(r'class="number">(–)<', crops) == ["–"] * 4


def test_a_set_of_pairs_says_where_its_lr_photos_are(draw_photo: Draw) -> None:
    report = content(draw_photo).evaluation
    result = SetResult(
        version="s", key="k", num_images=14, lr_source="s3://b/lr/", metrics=report.metrics
    )
    text = shown(draw_photo, evaluation=report.model_copy(update={"sets": {"phone": result}}))
    assert "Evaluation set phone, 14 images enlarged from s3://b/lr/" in text


def test_what_sets_and_people_said_stands_with_its_interval(draw_photo: Draw) -> None:
    closer = Interval(mean=-0.04, low=-0.06, high=-0.02)
    liked = Interval(mean=0.5, low=-0.1, high=1.1)
    evidence = EVIDENCE.model_copy(
        update={
            "sets": {
                "set14": OnSet(version="s", metrics={}, differences={"squeezenet_distance": closer})
            },
            "opinion": OpinionPair(
                challenger=3.75, champion=3.25, difference=liked, num_images=8, num_raters=12
            ),
        }
    )
    text = shown(draw_photo, evidence=evidence)
    assert (
        "Against the champion, version 1 on evaluation set set14 difference 95 % interval worse · "
        "better SqueezeNet distance −0.0400 −0.0600 to −0.0200 better" in text
    )
    assert (
        "Against the champion, version 1, as 12 people see it on 8 images: 3.75 to 3.25 of 5 "
        "difference 95 % interval worse · better Mean opinion score +0.50 −0.10 to +1.10 unclear"
        in text
    )


def test_a_refused_version_is_not_called_champion(draw_photo: Draw) -> None:
    decision = PromotionDecision(
        model="m", challenger=2, champion_before=1, promoted=False, reason="Version 2 is refused."
    )
    text = shown(draw_photo, decision=decision)
    assert "was refused" in text
    assert "is the champion" not in text


def test_nothing_is_loaded_and_nothing_of_a_users_is_run(draw_photo: Draw) -> None:
    page = render(content(draw_photo))
    found = Collected(page)
    assert len(found.scripts) == 1
    assert HOSTILE in found.text
    assert "Version 2 <b>" in found.text
    loaded = [address for address in found.addresses if not address.startswith("data:image/png;")]
    assert loaded == ["http://mlflow/#/runs/1"], "links are followed, not loaded"
    assert found.styled == [], "the policy forbids inline styles and handlers"


def test_a_link_that_is_not_a_web_address_is_left_out(draw_photo: Draw) -> None:
    page = render(content(draw_photo, links={"click": "javascript:alert(1)"}))
    assert "javascript:" not in page


def test_every_crop_shows_what_each_method_made_of_it_and_the_original(draw_photo: Draw) -> None:
    page = render(content(draw_photo))
    for viewer in page.split('<article class="viewer"')[1:]:
        methods = re.findall(r'<img data-method="(\w+)"', viewer)
        assert methods == ["bicubic", "pretrained", "model", "champion", "original"]
    assert page.count('<article class="viewer"') == 4


def test_photos_that_changed_are_named_and_long_lists_are_counted(draw_photo: Draw) -> None:
    photos = PhotoChanges(
        num_before=200, new=tuple(f"{n:03d}.png" for n in range(120)), changed=("a.png",)
    )
    text = shown(draw_photo, photos=photos)
    assert "120 photos new" in text
    assert "and 20 more" in text
    assert "1 photo changed a.png" in text
    assert "removed" not in text


def test_a_stage_that_was_taken_over_costs_this_retraining_nothing(draw_photo: Draw) -> None:
    costs = [
        Cost(job="before-p-1", stage="pretrain", cpus=4, gpus=0, seconds=50),
        Cost(job="now-a-1", stage="adversarial", cpus=2, gpus=1, seconds=100),
        Cost(job="now-a-2", stage="adversarial", cpus=2, gpus=1, seconds=20),
    ]
    text = shown(draw_photo, costs=costs, elapsed_s=180.0)
    assert "GAN stage 2 min 00 s 240 s 120 s" in text
    assert "This retraining 3 min 00 s 240 s 120 s" in text
    assert "Pretraining, taken over from an earlier run 50 s 200 s 0 s" in text


def test_what_nobody_knows_is_said_instead_of_shown(draw_photo: Draw) -> None:
    first = PromotionDecision(
        model="m", challenger=1, champion_before=None, promoted=True, reason="First."
    )
    whole = content(draw_photo)
    one = whole.evaluation.images[:1]
    report = Report(**{**dict(whole.evaluation), "images": one})
    text = shown(
        draw_photo,
        decision=first,
        evaluation=report,
        licence=None,
        details=Details(details=[]),
        costs=[],
        stages=[],
    )
    assert "No intervals" in text
    assert "Licence not stated" in text
    assert "all photos are new to this model" in text
    assert "Before and after" not in text


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_builds_the_viewers_and_has_nothing_to_complain_of(
    draw_photo: Draw, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text(render(content(draw_photo)), encoding="utf-8")
    done = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path}/profile",
            "--dump-dom",
            (tmp_path / "report.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr, done.stderr[-3000:]
    assert done.stdout.count('class="stage"') == 4
    assert 'class="side left">Champion (version 1)' in done.stdout

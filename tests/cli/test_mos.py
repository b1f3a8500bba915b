"""`srgan mos` on a real registry and a real object store."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.mos.crowd import RANDOM, Crowd, choose, study
from srgan.cli import app
from srgan.promotion.log import PromotionLog
from srgan.refs import ModelRef
from srgan.services.s3 import S3Store
from tests.support.shelf import MODEL, crown, measured

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")

Printed = tuple[int, str, str]


@pytest.fixture
def srgan(capsys: pytest.CaptureFixture[str]) -> Callable[..., Printed]:
    def run(*arguments: str) -> Printed:
        with pytest.raises(SystemExit) as done:
            app(list(arguments))
        return (int(done.value.code or 0), *capsys.readouterr())

    return run


def ratings(folder: Path, *, second: int, num_raters: int = 3) -> Path:
    """Six images: a 3 of everybody for version 1, `second` for version 2."""
    file = folder / "ratings.csv"
    rows = [
        f"{version},{image}.png,{rater},{score}"
        for version, score in (("original", 5), (1, 3), (2, second))
        for image in "abcdef"
        for rater in range(num_raters)
    ]
    file.write_text("\n".join(["method,image,rater,score", *rows]))
    return file


def test_a_study_is_imported_shown_and_decides_a_promotion(
    srgan: Callable[..., Printed],
    versions: list[ModelRef],
    service_store: S3Store,
    tmp_path: Path,
) -> None:
    log = PromotionLog(service_store, MODEL)
    first, second = versions[:2]
    crown(log, first)
    figures = {"bicubic": 28.0, "model": 28.7, "champion": 28.5}
    measured(service_store, second, first, figures)
    code, out, err = srgan("mos", "import", str(ratings(tmp_path, second=2)), "--model", MODEL)
    assert code == 0, err
    assert f"s3://{service_store.bucket}/mos/{MODEL}/" in out
    rows = [line.split() for line in srgan("mos", "show", MODEL)[1].splitlines()]
    assert ["version", "1", "3.00", "2.71", "to", "3.29", "6", "3"] in rows
    assert ["original", "5.00", "4.71", "to", "5.00", "6", "3"] in rows
    code, out, _ = srgan("models", "promote", second.uri)
    assert code == 1
    assert "opinion score 2.00 is more than 0.50 below champion version 1's 3.00 (3 raters" in out
    entry = log.entries()[-1]
    assert entry.opinion is not None
    assert entry.opinion.difference is not None
    assert entry.opinion.difference.high == pytest.approx(-0.71, abs=0.01)
    assert srgan("models", "promote", second.uri)[0] == 1
    assert len(log.entries()) == 2, "the refusal holds"

    more = ratings(tmp_path, second=5, num_raters=30)
    srgan("mos", "import", str(more), "--model", MODEL)
    assert srgan("models", "promote", second.uri)[0] == 0, "until more people were asked"


def test_a_file_that_has_grown_replaces_what_it_was_and_the_import_says_so(
    srgan: Callable[..., Printed],
    versions: list[ModelRef],
    service_store: S3Store,
    tmp_path: Path,
) -> None:
    del versions  # they are registered
    both = ("--model", MODEL)
    first = srgan("mos", "import", str(ratings(tmp_path, second=2, num_raters=2)), *both)[1]
    early = first.splitlines()[0].removeprefix(f"s3://{service_store.bucket}/")
    code, out, err = srgan("mos", "import", str(ratings(tmp_path, second=2)), *both)
    assert code == 0
    assert f"{early} (ratings.csv) is a part of it and does not count" in err
    late = out.splitlines()[0].removeprefix(f"s3://{service_store.bucket}/")
    assert late != early
    code, out, err = srgan("mos", "show", MODEL)
    assert (late in out, early in out) == (True, False)
    assert f"{early} (ratings.csv) is a part of {late} and does not count" in err
    service_store.delete(early)
    file = ratings(tmp_path, second=2, num_raters=2)
    code, out, err = srgan("mos", "import", str(file), *both)
    assert (code, out.splitlines()[0].endswith(late)) == (0, True)
    assert f"{file} is a part of this study, which was there: nothing is stored" in err


def test_ratings_of_versions_that_there_are_not_are_refused(
    srgan: Callable[..., Printed],
    versions: list[ModelRef],
    service_store: S3Store,
    tmp_path: Path,
) -> None:
    file = tmp_path / "ratings.csv"
    file.write_text("version,image,rater,score\n7,a.png,ann,3\n")
    code, _, err = srgan("mos", "import", str(file), "--model", MODEL)
    assert code == 1
    assert f"rates version 7 of {MODEL}, which has 1, 2, 3" in err
    assert srgan("mos", "import", str(tmp_path / "no.csv"), "--model", MODEL)[0] == 2
    assert "no study of" in srgan("mos", "show", MODEL)[1]
    assert list(service_store.list("mos/")) == []


def test_results_of_a_file_need_no_stack(srgan: Callable[..., Printed], tmp_path: Path) -> None:
    drawn = study(Crowd(), np.random.default_rng(0), num_images=12, num_raters=8, careless=[RANDOM])
    file, figures = tmp_path / "ratings.csv", tmp_path / "figures.csv"
    rows = [f"{e.method},{e.image},{e.rater},{e.score},{e.seconds},{e.repeat}" for e in drawn]
    file.write_text("\n".join(["method,image,rater,score,seconds,repeat", *rows]))
    quality = dict(Crowd().methods)
    cells = {(e.method, e.image): quality[e.method] for e in drawn}
    rows = [f"{method},{image},{value}" for (method, image), value in cells.items()]
    figures.write_text("\n".join(["method,image,psnr", *rows]))
    code, out, err = srgan("mos", "results", str(file), "--figures", str(figures))
    assert code == 0, err
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines if line and line[0] in quality][:6] == [
        "nearest",
        "bicubic",
        "original",
        "a",
        "b",
        "c",
    ]
    assert "1 raters rejected" in out
    assert "disagreement: correlation" in out
    assert any(line[:1] == ["PSNR"] and float(line[1]) > 0.8 for line in lines)
    code, out, _ = srgan("mos", "results", str(file), "--json")
    assert list(json.loads(out)["rejected"]) == ["random 7"]
    report = tmp_path / "ratings.html"
    options = ("--figures", str(figures), "--report", str(report))
    code, out, err = srgan("mos", "results", str(file), *options)
    assert code == 0, err
    assert out.splitlines()[-1] == str(report)
    assert "random 7" in report.read_text()
    assert "<svg" in report.read_text()


def test_results_of_pair_comparisons_are_strengths(
    srgan: Callable[..., Printed], tmp_path: Path
) -> None:
    rng, truth = np.random.default_rng(1), {"1": 0.0, "2": 1.5}
    file = tmp_path / "pairs.csv"
    made = [
        choose(rng, truth, f"image {image}", *rng.permutation(["1", "2"]), f"rater {rater}")
        for rater in range(5)
        for image in range(20)
    ]
    rows = [f"{e.image},{e.rater},{e.left},{e.right},{e.choice}" for e in made]
    file.write_text("\n".join(["image,rater,left,right,choice", *rows]))
    code, out, err = srgan("mos", "results", str(file))
    assert code == 0, err
    rows = [line.split() for line in out.splitlines() if "version" in line]
    assert [row[1] for row in rows] == ["2", "1", "2"], "two strengths and their difference"
    assert rows[2][2:4] == ["version", "1"]
    assert "100 choices, 0 raters rejected" in out
    code, _, err = srgan("mos", "results", str(file), "--figures", str(file))
    assert code == 2
    assert "--figures goes with ratings" in err


def test_a_plan_says_how_many_raters_it_takes(
    srgan: Callable[..., Printed], tmp_path: Path
) -> None:
    code, out, err = srgan("mos", "plan", "--images", "60")
    assert code == 0, err
    assert "spread of a difference, assumed: 0.30 between images" in out
    assert "raters, 60 images each: a difference of 0.2 is found with 80% power" in out
    code, _, err = srgan("mos", "plan", "--images", "4")
    assert code == 2
    assert "on 4 images with 80% power; take more images" in err
    drawn = study(Crowd(), np.random.default_rng(2), num_images=10, num_raters=8)
    file = tmp_path / "pilot.csv"
    rows = [f"{e.method},{e.image},{e.rater},{e.score},{e.repeat}" for e in drawn]
    file.write_text("\n".join(["method,image,rater,score,repeat", *rows]))
    code, out, err = srgan("mos", "plan", "--images", "80", "--like", str(file))
    assert code == 0, err
    assert "spread of a difference in pilot.csv: " in out

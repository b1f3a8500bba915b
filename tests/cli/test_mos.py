"""`srgan mos` on a real registry and a real object store."""

from collections.abc import Callable
from pathlib import Path

import pytest

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
    assert ["version", "1", "3.00", "3.00", "to", "3.00", "6", "3"] in rows
    assert ["original", "5.00", "5.00", "to", "5.00", "6", "3"] in rows
    code, out, _ = srgan("models", "promote", second.uri)
    assert code == 1
    assert "opinion score 2.00 is more than 0.50 below champion version 1's 3.00 (3 raters" in out
    entry = log.entries()[-1]
    assert entry.opinion is not None
    assert entry.opinion.difference is not None
    assert entry.opinion.difference.high == -1
    assert srgan("models", "promote", second.uri)[0] == 1
    assert len(log.entries()) == 2, "the refusal holds"

    more = ratings(tmp_path, second=5, num_raters=30)
    srgan("mos", "import", str(more), "--model", MODEL)
    assert srgan("models", "promote", second.uri)[0] == 0, "until more people were asked"


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

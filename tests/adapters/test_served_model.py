"""What a packed model answers, loaded from its directory as MLflow does."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from srgan.adapters.packaging import SERVED_CORE, save_pyfunc
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.recipes import tiny

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")

Photo = Callable[..., NDArray[np.uint8]]
Encode = Callable[..., bytes]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("model") / "model"
    save_pyfunc(directory, dump_generator(build_generator(tiny().pretrain.generator)))
    return directory


@pytest.fixture(scope="module")
def model(packed: Path) -> Any:
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(packed))


def ask(model: Any, *rows: object) -> list[bytes]:
    return list(model.predict(pd.DataFrame({"image": list(rows)}))["image"])


def test_several_photos_are_answered_at_once_as_png(
    model: Any, draw_photo: Photo, encode_photo: Encode
) -> None:
    photos = [encode_photo(draw_photo(1, 12, 16)), encode_photo(draw_photo(2, 8, 8), "JPEG")]
    answers = [Image.open(io.BytesIO(png)) for png in ask(model, *photos)]
    assert [(answer.format, answer.size) for answer in answers] == [
        ("PNG", (64, 48)),
        ("PNG", (32, 32)),
    ]


def test_gray_stays_gray(model: Any, draw_photo: Photo, encode_photo: Encode) -> None:
    (png,) = ask(model, encode_photo(draw_photo(1, 8, 8)[..., 0]))
    assert Image.open(io.BytesIO(png)).mode == "L"


def test_a_row_that_is_no_photo_is_named_with_its_reason(
    model: Any, draw_photo: Photo, encode_photo: Encode
) -> None:
    with pytest.raises(ValueError, match="row 1: not_an_image"):
        ask(model, encode_photo(draw_photo(1, 8, 8)), b"hello")


@pytest.mark.parametrize(
    "other",
    [
        pd.DataFrame({"image": [3]}),
        pd.DataFrame({"photo": [b"bytes"]}),
        np.zeros((1, 8, 8, 3), np.uint8),
    ],
    ids=["numbers", "another column", "an array"],
)
def test_anything_but_a_column_of_bytes_is_refused(model: Any, other: object) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=r"[Ff]ailed to enforce schema"):
        model.predict(other)


def test_a_missing_value_is_named(model: Any) -> None:
    with pytest.raises(ValueError, match="row 0: expected the bytes"):
        ask(model, None)


def test_requirements_are_exact_and_have_no_local_versions(packed: Path) -> None:
    lines = (packed / "requirements.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in lines} >= {
        "torch",
        "numpy",
        "pillow",
        "safetensors",
    }
    assert all("==" in line and "+" not in line for line in lines), lines


def test_a_model_carries_the_served_core_and_no_more(packed: Path) -> None:
    carried = {path.name for path in (packed / "code" / "srgan").iterdir()}
    assert carried == {Path(name).parts[0] for name in SERVED_CORE}

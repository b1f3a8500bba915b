"""Answers of a packed model, loaded from its directory as MLflow does."""

import ast
import asyncio
import base64
import io
import sys
from collections.abc import Callable
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from packaging.requirements import Requirement
from PIL import Image

from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.recipes import tiny
from srgan.services.packaging import SERVED_CORE, save_pyfunc

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


def test_a_row_that_is_not_a_photo_is_named_with_its_reason(
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


@pytest.fixture(scope="module")
def post(model: Any) -> "Post":
    """Ask MLflow's own scoring server around the model, without a socket."""
    from mlflow.pyfunc import scoring_server

    transport = httpx.ASGITransport(scoring_server.init(model))

    async def ask(body: dict[str, object]) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://model") as client:
            return await client.post("/invocations", json=body)

    return lambda body: asyncio.run(ask(body))


Post = Callable[[dict[str, object]], httpx.Response]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("form", ["dataframe_records", "dataframe_split"])
def test_photos_are_answered_over_http_as_base64(
    post: Post, draw_photo: Photo, encode_photo: Encode, form: str
) -> None:
    photos = [encoded(encode_photo(draw_photo(seed, 6, 8))) for seed in (1, 2)]
    records = [{"image": photo} for photo in photos]
    split = {"columns": ["image"], "data": [[photo] for photo in photos]}
    body = {form: records if form == "dataframe_records" else split}
    answer = post(body)
    assert answer.status_code == 200, answer.text
    results = [base64.b64decode(each["image"]) for each in answer.json()["predictions"]]
    assert [Image.open(io.BytesIO(png)).size for png in results] == [(32, 24), (32, 24)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"dataframe_records": [{"image": encoded(b"hello")}]}, "row 0: not_an_image"),
        ({"dataframe_records": [{"photo": encoded(b"hello")}]}, "missing inputs ['image']"),
        ({"dataframe_records": [{"image": 3}]}, "not compatible with model signature"),
        ({"inputs": {"image": ["text"]}}, "row 0: not_an_image"),
    ],
    ids=["no photo", "another column", "a number", "not decoded"],
)
def test_over_http_anything_else_is_the_senders_fault_and_the_answer_says_why(
    post: Post, body: dict[str, object], reason: str
) -> None:
    answer = post(body)
    assert answer.status_code == 400
    assert reason in answer.json()["message"]


def test_requirements_are_exact_and_have_no_local_versions(packed: Path) -> None:
    lines = (packed / "requirements.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in lines} >= {
        "torch",
        "numpy",
        "pillow",
        "safetensors",
    }
    assert all("==" in line and "+" not in line for line in lines), lines


OPTIONAL = {"imagecodecs", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "pillow_jxl", "rawpy"}
"""Modules that the code does without if they are not installed; spandrel's models require it."""


def test_requirements_bring_every_package_that_the_carried_code_imports(packed: Path) -> None:
    imported = set()
    for file in packed.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    lines = (packed / "requirements.txt").read_text().splitlines()
    required = {normal(Requirement(line).name) for line in lines}
    assert "pyvips-binary" in required, "the library that pyvips calls"
    brought = {normal(Requirement(line).name) for line in distribution("mlflow").requires or []}
    by_module = packages_distributions()
    missing = {
        module
        for module in imported - OPTIONAL - sys.stdlib_module_names - {"spandrel", "srgan"}
        if not (required | brought) & {normal(name) for name in by_module[module]}
    }
    assert not missing


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def test_a_model_carries_the_served_core_and_no_more(packed: Path) -> None:
    carried = {path.name for path in (packed / "code" / "srgan").iterdir()}
    assert carried == {Path(name).parts[0] for name in SERVED_CORE}

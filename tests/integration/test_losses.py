"""Losses on the way: a training worker, and unreadable images."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srgan.data.manifest import read_manifest, read_sources
from srgan.data.prepare import prepare_dataset
from srgan.recipes import tiny
from tests.support.photos import dead_leaves
from tests.support.places import place
from tests.support.running_stack import Notebook, RunningStack
from tests.support.training import Training, kill, prepare_leaves, training_workers

STAGE = tiny().pretrain.model_copy(update={"steps": 400})


def test_a_poisoned_source_costs_only_its_bad_images_and_each_has_its_reason(
    stack: RunningStack,
) -> None:
    for name, body in _poisons().items():
        stack.store.put(f"raw/poisoned/{name}", body)
    for seed in range(2):
        stack.store.put(f"raw/poisoned/good-{seed}.png", dead_leaves(seed))
    ref = prepare_dataset(place(stack.store, "raw/poisoned"), stack.store, "poisoned", tiny().data)
    rows = read_sources(stack.store, read_manifest(stack.store, ref.key))
    reasons = {row.key.rpartition("/")[2]: row.reason for row in rows}
    rejected = {name: reason for name, reason in reasons.items() if name in _REASONS}
    assert rejected == _REASONS
    # CMYK and 16-bit gray are photos like others; so are the two good ones.
    assert ref.num_train_photos + ref.num_eval_photos == 4


def test_a_source_with_nothing_usable_is_an_error_that_counts_the_reasons(
    stack: RunningStack, notebook: Notebook
) -> None:
    stack.store.put("raw/hopeless/a.png", b"")
    stack.store.put("raw/hopeless/b.png", b"text")
    said = notebook.run(
        "from flows.prepare import prepare\n"
        "state = prepare('s3://srgan/raw/hopeless', 'hopeless', return_state=True)\n"
        "print(state.type.value, state.message)"
    )
    assert said.startswith("FAILED")
    assert "1 empty" in said
    assert "1 not_an_image" in said


@pytest.mark.slow(group="retraining")
def test_a_killed_training_worker_is_replaced_and_the_stage_finishes(
    stack: RunningStack, tmp_path: Path
) -> None:
    training = Training(stack, prepare_leaves(stack, "killed", 200), STAGE, tmp_path / "log")
    try:
        training.wait_for_checkpoint()
        victims = training_workers(stack)
        assert len(victims) == 2
        kill(victims[:1])
        assert training.finish().step == STAGE.steps
    finally:
        training.close()
    assert training.resumed_at()


_REASONS = {
    "truncated.jpg": "truncated",
    "text.png": "not_an_image",
    "empty.png": "empty",
    "bomb.png": "too_large",
    "tiny.png": "tiny",
}


def _poisons() -> dict[str, bytes]:
    photo = Image.open(BytesIO(dead_leaves(300)))
    gray16 = Image.fromarray(np.asarray(photo.convert("L"), np.uint16) * 257)
    return {
        "truncated.jpg": _encoded(photo, "JPEG")[:-2000],
        "text.png": b"this is not an image",
        "empty.png": b"",
        "bomb.png": _bomb(30_000),
        "tiny.png": _encoded(photo.resize((20, 20)), "PNG"),
        "cmyk.jpg": _encoded(photo.convert("CMYK"), "JPEG"),
        "gray16.png": _encoded(gray16.rotate(90, expand=True), "PNG"),
    }


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _bomb(side: int) -> bytes:
    """A PNG that declares `side` × `side` pixels in a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )

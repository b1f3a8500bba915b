"""Pictures on the server's disk: what has its name there was checked."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from srgan.errors import StorageError
from srgan.keys import study_picture_key
from srgan.services.s3 import S3Store
from srgan.studies import serve
from srgan.studies.design import StudyDesign
from srgan.studies.serve import fetch_pictures
from tests.support.studies import design_by_hand


@pytest.fixture
def study(object_store: S3Store) -> StudyDesign:
    """A design whose pictures are a few bytes in the bucket."""
    image = design_by_hand().images[0]
    files = {method: f"{method} of spring".encode() for method in image.pictures}
    shown = {method: hashlib.sha256(file).hexdigest() for method, file in files.items()}
    image = image.model_copy(update={"pictures": shown})
    design = design_by_hand(images=(image,), examples=(image,))
    for method, file in files.items():
        object_store.put(study_picture_key("spring", shown[method]), file)
    return design


def fetch(store: S3Store, study: StudyDesign, folder: Path) -> list[tuple[int, int]]:
    said: list[tuple[int, int]] = []
    fetch_pictures(store, study, folder, lambda done, total: said.append((done, total)))
    return said


def test_only_what_is_missing_is_downloaded(
    object_store: S3Store, study: StudyDesign, tmp_path: Path
) -> None:
    assert fetch(object_store, study, tmp_path)[-1] == (3, 3)
    assert {file.name for file in tmp_path.iterdir()} == set(study.pictures)
    for file in tmp_path.iterdir():
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name
    next(tmp_path.iterdir()).unlink()
    assert fetch(object_store, study, tmp_path) == [(1, 1)]


def test_an_altered_picture_is_refused_also_after_a_server_that_died_before_it_had_checked_it(
    object_store: S3Store, study: StudyDesign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = study.images[0].pictures["plain"]
    key = study_picture_key("spring", sha256)
    object_store.put(key, b"another picture")

    def die(_: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(serve, "hashlib", SimpleNamespace(sha256=die))
        with pytest.raises(KeyboardInterrupt):
            fetch(object_store, study, tmp_path)
    with pytest.raises(StorageError, match=f"{key} was altered; create the study again"):
        fetch(object_store, study, tmp_path)
    assert not (tmp_path / sha256).exists()

"""Pictures of a study on the disk of its server, where all of them are read equally fast."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from srgan.disk import write_atomically
from srgan.errors import StorageError
from srgan.keys import study_picture_key
from srgan.storage import ObjectStore
from srgan.studies.design import StudyDesign

_READERS = 8


def fetch_pictures(
    store: ObjectStore,
    design: StudyDesign,
    folder: Path,
    progress: Callable[[int, int], object],
) -> None:
    """Download the pictures that are not in `folder` yet; `StorageError` for an altered one.

    A picture gets its name there once its bytes are checked, so one that is there is the right one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = sorted(set(design.pictures))
    missing = [each for each in wanted if not (folder / each).is_file()]

    def fetch(sha256: str) -> None:
        key = study_picture_key(design.name, sha256)
        data = store.get(key)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StorageError(f"{store.uri(key)} was altered; create the study again")
        with write_atomically(folder / sha256) as draft:
            draft.write_bytes(data)

    with ThreadPoolExecutor(_READERS) as pool:
        for done, _ in enumerate(pool.map(fetch, missing), start=1):
            progress(done, len(missing))

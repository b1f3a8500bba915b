"""Serve a study until the process is ended: database, pictures, export and web server together."""

import fcntl
import hashlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from srgan.disk import write_atomically
from srgan.errors import ConfigError, StorageError
from srgan.keys import study_picture_key
from srgan.readable import Countdown, Say
from srgan.settings import Settings
from srgan.storage import ObjectStore
from srgan.studies.database import DATABASE, Database
from srgan.studies.design import StudyDesign
from srgan.studies.exporting import export_parts, try_export
from srgan.studies.server import Served, study_app
from srgan.studies.waiting import try_end

logger = logging.getLogger(__name__)

_READERS = 8

EXPORT_S = 15.0
"""Time between exports: as much is at most missing in the bucket if this disk is lost."""


def study_folder(home: Path, name: str) -> Path:
    """Folder of a study on the machine that serves it: database, pictures and lock."""
    return home / "studies" / name


def open_database(home: Path, design: StudyDesign) -> Database:
    """Open the ratings of a study on this machine; `ConfigError` if it was not served here."""
    path = study_folder(home, design.name) / DATABASE
    if not path.is_file():
        raise ConfigError(
            f"study {design.name} was not served on this machine: there is no {path}. Run this "
            "where `srgan mos serve` runs, with the same SRGAN_HOME"
        )
    return Database(path, design)


def export_rest(store: ObjectStore, design: StudyDesign, home: Path) -> None:
    """Export what a server that was killed here has left: answers, and who has withdrawn."""
    if (study_folder(home, design.name) / DATABASE).is_file():
        database = open_database(home, design)
        try:
            export_parts(store, design.name, database)
        finally:
            database.close_connection()


def serve_study(
    store: ObjectStore,
    design: StudyDesign,
    settings: Settings,
    *,
    host: str,
    port: int,
    public_url: str | None,
    say: Say,
) -> None:
    """Serve until SIGINT or SIGTERM. `ConfigError` if another process serves the study here."""
    import uvicorn

    folder = study_folder(settings.home, design.name)
    with _only_one(folder, design.name):
        fetch_pictures(store, design, folder / "pictures", Countdown(say, "pictures fetched"))
        database = Database(folder / DATABASE, design)
        database.ensure_raters(design.num_raters)
        url = (public_url or f"http://{f'[{host}]' if ':' in host else host}:{port}").rstrip("/")
        say(f"administrator: {url}/admin/{database.admin_token}")
        for rater in database.progress():
            say(f"rater {rater.number + 1}: {url}/r/{rater.token}")
        app = study_app(Served(design, database, folder / "pictures", url))
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            ws="none",
            access_log=False,  # addresses hold tokens
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=500,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=5,
        )
        # uvicorn ends by raising the signal again, which without this would skip the last export.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with _exporting(store, design, database, settings), suppress(KeyboardInterrupt):
                uvicorn.Server(config).run()
        finally:
            database.close_connection()


@contextmanager
def _only_one(folder: Path, name: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise ConfigError(
                f"study {name} is served here already, by process {lock.read().strip()}; one "
                "server is enough for all raters"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def _exporting(
    store: ObjectStore, design: StudyDesign, database: Database, settings: Settings
) -> Iterator[None]:
    """Export while the block runs, and once more at its end; end a study that is due."""
    ended = threading.Event()

    def export() -> None:
        has_end = False
        while not ended.wait(EXPORT_S):
            try:
                try_export(store, design.name, database)
                has_end = has_end or try_end(store, design, database, settings)
            except Exception:  # a full disk, say: this thread must live until the server ends
                logger.exception("the export of study %s failed; it is tried again", design.name)

    thread = threading.Thread(target=export, name="export")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        try_export(store, design.name, database)


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

"""Speed of a study of 100,000 ratings: ``python -m benchmarks.mos.speed [SECTION ...]``.

Sections: analysis (in this process), results (``srgan mos results STUDY``, with parts in the bucket
that the environment names, as after ``srgan stack env``), pages (the server of a study whose SQLite
has the ratings). Needs a quiet machine.
"""

import argparse
import multiprocessing
import os
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn

from benchmarks.mos.crowd import Crowd, study
from srgan.keys import design_key, part_of_rater_key, study_figures_key
from srgan.mos.columns import columns_of
from srgan.mos.ratings import Rating
from srgan.mos.results import rating_results
from srgan.refs import SetRef
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from srgan.storage import write_document
from srgan.studies.database import DATABASE, Database
from srgan.studies.design import Judging, Method, StudyDesign, StudyImage, publish_design
from srgan.studies.figures import table
from srgan.studies.limits import RateLimit
from srgan.studies.parts import Answers, Part, Screen
from srgan.studies.server import Served, study_app
from srgan.studies.sqlite import Sqlite

METHODS = {
    **{"nearest": 1.3, "bicubic": 2.0, "original": 4.4},
    **{f"method-{n}": 2.2 + 0.2 * n for n in range(9)},
}
"""As many as in the paper, with their quality."""
_NUM_IMAGES = 94
_FIGURES = ("psnr", "ssim", "niqe", "efficientnet_lite1_distance")
_RUNS = 7
_REQUESTS = 300
_SCREEN = Screen(
    width=1200,
    height=800,
    pixel_ratio=1.0,
    touch=False,
    dark_steps=4,
    bright_steps=3,
    sharp=True,
)


def analysis() -> None:
    """Print the time of the analysis of ratings that are columns already."""
    ratings = _drawn(85, _NUM_IMAGES)
    columns, measured = columns_of(ratings), _measured(ratings)
    start, start_cpu = time.perf_counter(), time.process_time()
    rating_results(columns, measured)
    print(
        f"{len(ratings):,} ratings, {len(measured)} figures: {time.perf_counter() - start:.2f} s, "
        f"{time.process_time() - start_cpu:.2f} s of processor time"
    )


def results() -> None:
    """Print the time of the whole command, for few raters of many images and the other way."""
    store = open_store(Settings())
    store.ensure_bucket()
    for num_raters, num_images in ((85, _NUM_IMAGES), (1000, 8)):
        name = f"speed-{secrets.token_hex(4)}"
        ratings = _drawn(num_raters, num_images)
        try:
            _write(store, name, ratings)
            for with_figures in (False, True):
                if with_figures:
                    store.put(study_figures_key(name), _csv(ratings))
                times = [_command(name) for _ in range(_RUNS)]
                wall, cpu = (statistics.median(each) for each in zip(*times, strict=True))
                figures = len(_FIGURES) if with_figures else 0
                print(
                    f"{len(ratings):,} ratings of {num_raters} raters, {figures} figures: "
                    f"{wall:.2f} s (median of {_RUNS}), {cpu:.2f} s of processor time"
                )
        finally:
            for info in list(store.list(design_key.below() + f"{name}/")):
                store.delete(info.key)


def pages() -> None:
    """Print the time of each answer of a server whose database has 100,000 answers."""
    for judging in ("ratings", "pairs"):
        design = _design("speed", 90, judging=judging)
        with tempfile.TemporaryDirectory() as folder:
            tokens, admin = _fill(Path(folder), design, num_answered=89)
            with (
                _server(Path(folder), design) as url,
                httpx.Client(base_url=url, timeout=300) as client,
            ):
                for asked, times in _asked(client, tokens[-1], admin, judging).items():
                    low, middle, high = np.percentile(np.array(times) * 1000, [5, 50, 95])
                    print(
                        f"{judging}, {asked}: {middle:.1f} ms at the median of {len(times)} "
                        f"({low:.1f} to {high:.1f} for 90 %)"
                    )


def _drawn(num_raters: int, num_images: int) -> list[Rating]:
    """Simulated ratings with 5 % of repeats; everybody rates every image by every method."""
    rng = np.random.default_rng(0)
    return study(Crowd(METHODS), rng, num_images=num_images, num_raters=num_raters, repeats=0.05)


def _measured(ratings: list[Rating]) -> dict[str, dict[tuple[str, str], float]]:
    rng = np.random.default_rng(1)
    cells = sorted({(e.method, e.image) for e in ratings if e.method != "original"})
    return {
        name: {cell: METHODS[cell[0]] + float(rng.normal()) for cell in cells} for name in _FIGURES
    }


def _csv(ratings: list[Rating]) -> bytes:
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for figure, values in _measured(ratings).items():
        for cell, value in values.items():
            rows.setdefault(cell, {})[figure] = value
    return table(rows)


def _design(name: str, num_raters: int, judging: Judging = "ratings") -> StudyDesign:
    nowhere = SetRef(name="own", version="v1", key="sets/own", num_photos=1, num_images=1)
    pictures = {method: f"{n:064x}" for n, method in enumerate(METHODS)}
    images = tuple(
        StudyImage(name=f"image {n}", height=60, width=80, pictures=pictures)
        for n in range(_NUM_IMAGES)
    )
    return StudyDesign(
        name=name,
        created_at="2026-11-30T00:00:00+00:00",
        judging=judging,
        scale=4,
        on=nowhere,
        methods=tuple(Method(name=each, source=each) for each in METHODS),
        images=images,
        examples=images[:1],
        examples_on=nowhere,
        screen=(960, 540),
        num_raters=num_raters,
        judgements_per_rater=_NUM_IMAGES * len(METHODS),
        repeats=0.05,
        break_after=100,
        seed=0,
    )


def _write(store: S3Store, name: str, ratings: list[Rating]) -> None:
    publish_design(store, _design(name, 1))
    by_rater: dict[str, list[Rating]] = {}
    for each in ratings:
        by_rater.setdefault(each.rater, []).append(each)
    for number, (rater, given) in enumerate(by_rater.items()):
        part = Part(
            rater=rater.replace(" ", "-"),
            number=number,
            language="en",
            began_at=1.8e9,
            screen=_SCREEN,
            answers=Answers(
                image=tuple(each.image for each in given),
                method=tuple(each.method for each in given),
                right=(),
                answer=tuple(str(each.score) for each in given),
                seconds=tuple(each.seconds or 0 for each in given),
                repeat=tuple(each.repeat for each in given),
                position=tuple(range(len(given))),
                given_at=tuple(1.8e9 + n for n in range(len(given))),
                pixel_ratio=(1.0,) * len(given),
            ),
        )
        write_document(store, part_of_rater_key(name, part.rater), part)


def _command(name: str) -> tuple[float, float]:
    """Seconds and processor seconds of `srgan mos results NAME`."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "from srgan.cli import app; app()", "mos", "results", name],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _fill(folder: Path, design: StudyDesign, num_answered: int) -> tuple[list[str], str]:
    """Make a database in which all raters but one have answered everything; tokens and admin's."""
    database = Database(folder / DATABASE, design)
    database.ensure_raters(num_answered + 1)
    admin, tokens = database.admin_token, [each.token for each in database.progress()]
    for token in tokens:
        database.begin(token, "en", _SCREEN)
        database.end_training(token)
    database.close_connection()
    sql, rng = Sqlite(folder / DATABASE, ""), np.random.default_rng(0)
    methods, pairs = list(METHODS), design.judging == "pairs"
    total = design.judgements_per_rater
    with sql.transaction():
        for token in tokens[:-1]:
            rater = sql.value("SELECT id FROM raters WHERE token = ?", token)
            sql.execute("DELETE FROM tasks WHERE rater = ?", rater)
            for position in range(total):
                left, right = (methods[n] for n in rng.permutation(len(methods))[:2])
                answer = str(rng.choice(["left", "right", "same"] if pairs else list("12345")))
                sql.execute(
                    "INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, 1.5, 1.0, 1.8e9)",
                    *(f"{rater}-{position}", rater, position, f"image {position % _NUM_IMAGES}"),
                    *(left, right if pairs else None, f"{rater}-{position}-l"),
                    *(f"{rater}-{position}-r" if pairs else None, answer),
                )
    print(f"{sql.value('SELECT count(answer) FROM tasks'):,} {design.judging} in the database")
    sql.close()
    return tokens, admin


def _asked(
    client: httpx.Client, token: str, admin: str, judging: Judging
) -> dict[str, list[float]]:
    """Seconds of each request of a rater who answers again and again, and of other pages."""
    times: dict[str, list[float]] = {}

    def timed(what: str, ask: Callable[[], httpx.Response]) -> Any:
        start = time.perf_counter()
        answer = ask()
        times.setdefault(what, []).append(time.perf_counter() - start)
        answer.raise_for_status()
        return answer

    base = f"/r/{token}"
    given = "3" if judging == "ratings" else "left"
    state = timed("first question", partial(client.get, f"{base}/state")).json()
    for _ in range(_REQUESTS):
        task = state["task"]["id"]
        timed("page", partial(client.get, base))
        timed("where the rater is", partial(client.get, f"{base}/state"))
        sent = {"task": task, "answer": given, "seconds": 1.5, "pixel_ratio": 1.0}
        state = timed("answer", partial(client.post, f"{base}/judge", json=sent)).json()
    for _ in range(5):
        sent = {"task": state["undo"]}
        state = timed("undo", partial(client.post, f"{base}/undo", json=sent)).json()
    for _ in range(_REQUESTS // 10):
        timed("administrator's page", partial(client.get, f"/admin/{admin}"))
    return times


@contextmanager
def _server(folder: Path, design: StudyDesign) -> Iterator[str]:
    """Serve in another process, without limits on requests."""
    port = 20_000 + os.getpid() % 20_000
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(folder, design.model_dump_json(), port)
    )
    process.start()
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                httpx.get(f"{url}/favicon.ico")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.join()


def _serve(folder: Path, design: str, port: int) -> None:
    study_design = StudyDesign.model_validate_json(design)
    database = Database(folder / DATABASE, study_design)
    free = RateLimit(burst=10**9, per_s=10**9)
    app = study_app(Served(study_design, database, folder, "http://x", rater_limit=free))
    uvicorn.run(app, port=port, ws="none", log_level="warning", access_log=False)


SECTIONS: dict[str, Callable[[], None]] = {
    "analysis": analysis,
    "results": results,
    "pages": pages,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("section", nargs="*", choices=[*SECTIONS, []], metavar="SECTION")
    for name in parser.parse_args().section or SECTIONS:
        print(f"\n## {name}")
        SECTIONS[name]()


if __name__ == "__main__":
    main()

"""Studies for tests: designs by hand, small rendered ones, and servers of them."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from srgan.config import SetConfig
from srgan.measure.sets import EvaluationSet, prepare_set
from srgan.refs import SetRef
from srgan.services.s3 import S3Store
from srgan.studies.create import Asked, Make, create_study, nearest, original
from srgan.studies.database import DATABASE, Database
from srgan.studies.design import Judging, Method, StudyDesign, StudyImage
from srgan.studies.limits import RateLimit
from srgan.studies.parts import Answers, Part, Screen
from srgan.studies.serve import fetch_pictures
from srgan.studies.server import Served, study_app
from srgan.studies.tasks import Task, rating_tasks
from tests.support.photos import dead_leaves
from tests.support.places import place
from tests.support.ports import free_ports

SCREEN = {
    "width": 1200, "height": 800, "pixel_ratio": 1.0, "touch": False,
    "dark_steps": 4, "bright_steps": 3, "sharp": True,
}  # fmt: skip
NOWHERE = SetRef(
    name="own", version="v1", key="sets/own/versions/v1.json", num_photos=1, num_images=1
)


def design_by_hand(**changed: Any) -> StudyDesign:
    """Six images by nearest, plain and original, that nobody has rendered."""
    methods = changed.pop("methods", ("nearest", "plain", "original"))
    num_images = changed.pop("num_images", 6)
    per_rater = changed.pop("judgements_per_rater", num_images * len(methods))

    def image(name: str) -> StudyImage:
        pictures = {
            method: hashlib.sha256(f"{name}/{method}".encode()).hexdigest()
            for method in {*methods, "nearest", "original"}
        }
        return StudyImage(name=name, height=60, width=80, pictures=pictures)

    given: dict[str, Any] = {
        "name": "spring",
        "created_at": "2026-11-29T12:00:00+00:00",
        "judging": "ratings",
        "scale": 4,
        "on": NOWHERE,
        "methods": tuple(Method(name=each, source=each) for each in methods),
        "images": tuple(image(f"photos/{index}.png") for index in range(num_images)),
        "examples": (image("photos/e.png"),),
        "examples_on": NOWHERE,
        "screen": (960, 540),
        "num_raters": 2,
        "judgements_per_rater": per_rater,
        "repeats": 0.0,
        "break_after": 100,
        "seed": 0,
    }
    return StudyDesign(**(given | changed))


def photo_set(
    store: S3Store, seeds: tuple[int, ...] = (1, 2, 3), size: tuple[int, int] = (120, 160)
) -> EvaluationSet:
    """An evaluation set of drawn photos."""
    for seed in seeds:
        store.put(f"raw/own/{seed}.png", dead_leaves(seed, *size))
    return prepare_set(place(store, "raw/own"), store, "own", SetConfig())


def asked(name: str = "spring", judging: Judging = "ratings", **changed: Any) -> Asked:
    given: dict[str, Any] = {
        "scale": 4,
        "screen": (960, 540),
        "num_raters": 2,
        "judgements_per_rater": None,
        "repeats": 0.0,
        "break_after": 100,
        "seed": 0,
    }
    return Asked(name=name, judging=judging, **(given | changed))


def makers(*names: str) -> dict[str, tuple[Method, Make]]:
    """Methods by name: nearest, original, and any other, which darkens the original."""

    def darker(subject: Any) -> Any:
        return subject.hr // 2

    known: dict[str, Make] = {"nearest": nearest(4), "original": original}
    return {name: (Method(name=name, source=name), known.get(name, darker)) for name in names}


def rendered(
    store: S3Store,
    judging: Judging = "ratings",
    size: tuple[int, int] = (120, 160),
    **changed: Any,
) -> StudyDesign:
    """A small study in the bucket: three images by nearest, dark and original."""
    on = photo_set(store, size=size)
    return create_study(
        store,
        asked(judging=judging, **changed),
        on,
        makers("nearest", "dark", "original"),
        on,
        lambda done, total: None,
    )


def parts_of(
    design: StudyDesign, num_raters: int, answer: Callable[[Task, int], str]
) -> list[Part]:
    """Parts of raters who have answered everything: `answer(task, rater)`, numbers from 0."""
    parts = []
    for number in range(num_raters):
        tasks = [*rating_tasks(design, number)] if design.judging == "ratings" else _pairs(design)
        parts.append(
            Part(
                rater=f"rater-{number}",
                number=number,
                language="en",
                began_at=1.8e9,
                screen=Screen.model_validate(SCREEN),
                answers=Answers(
                    image=tuple(each.image for each in tasks),
                    method=tuple(each.left for each in tasks),
                    right=tuple(each.right for each in tasks if each.right is not None),
                    answer=tuple(answer(each, number) for each in tasks),  # type: ignore[misc]
                    seconds=(1.5,) * len(tasks),
                    repeat=tuple(each.repeat for each in tasks),
                    position=tuple(range(len(tasks))),
                    given_at=(1.8e9,) * len(tasks),
                    pixel_ratio=(1.0,) * len(tasks),
                ),
            )
        )
    return parts


def _pairs(design: StudyDesign) -> list[Task]:
    """Every pair of methods on every image once."""
    return [
        Task(image.name, left, right)
        for image in design.images
        for left, right in combinations(design.method_names, 2)
    ]


class Rater:
    """A rater who speaks to a server as the page does, without a browser."""

    def __init__(self, client: httpx.Client, token: str) -> None:
        self.client = client
        self.base = f"/r/{token}"

    def get(self, path: str = "/state") -> dict[str, Any]:
        answer = self.client.get(self.base + path)
        answer.raise_for_status()
        return dict(answer.json())

    def post(self, path: str, **sent: Any) -> httpx.Response:
        return self.client.post(self.base + path, json=sent)

    def start(self) -> dict[str, Any]:
        """Agree, and go through the training."""
        self.post("/begin", agreed=True, language="en", screen=SCREEN).raise_for_status()
        return dict(self.post("/trained").raise_for_status().json())

    def judge(self, task: str, answer: str) -> httpx.Response:
        return self.post("/judge", task=task, answer=answer, seconds=1.5, pixel_ratio=1.0)


@contextmanager
def served(
    store: S3Store, design: StudyDesign, folder: Path
) -> Iterator[tuple[httpx.Client, Database]]:
    """The server in a thread of this process, and a client that speaks to it."""
    fetch_pictures(store, design, folder / "pictures", lambda done, total: None)
    with served_unrendered(design, folder) as both:
        yield both


@contextmanager
def served_unrendered(
    design: StudyDesign, folder: Path, **limits: RateLimit
) -> Iterator[tuple[httpx.Client, Database]]:
    """As `served`; pictures are those that lie in the folder."""
    database = Database(folder / DATABASE, design)
    database.ensure_raters(design.num_raters)
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    app = study_app(Served(design, database, folder / "pictures", url, **limits))
    server = uvicorn.Server(uvicorn.Config(app, port=port, ws="none", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        with httpx.Client(base_url=url, timeout=30) as client:
            yield client, database
    finally:
        server.should_exit = True
        thread.join()
        database.close_connection()

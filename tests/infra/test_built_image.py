"""The built image, and compose.yaml's commands in it: from photos to large photos.

`make test-slow GROUP=image`, as root. docs/deploying.md says what it needs and what it proves.
"""

import io
import json
from collections.abc import Iterator

import pytest
from PIL import Image as Pillow

from srgan.recipes import tiny
from srgan.version import release_version
from tests.support.image import Image, built_image, why_no_image
from tests.support.photos import dead_leaves
from tests.support.postgres import why_no_postgres
from tests.support.running_compose import RunningCompose, running_compose

pytestmark = [
    pytest.mark.slow(group="image"),
    pytest.mark.timeout(2 * 3600),
]

NUM_PHOTOS = 40
RETRAIN = {
    "source": "s3://srgan/raw/mine",
    "dataset": "mine",
    "model": "mine-x4",
    "recipe": tiny().model_dump(mode="json"),
}
UPSCALE = {"source": "s3://srgan/small", "destination": "s3://srgan/large", "model": "mine-x4"}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    if reason := why_no_image():
        pytest.skip(reason)
    with built_image() as built:
        yield built


@pytest.fixture(scope="module")
def compose(image: Image) -> Iterator[RunningCompose]:
    if reason := why_no_postgres():
        pytest.skip(reason)
    with running_compose(image) as running:
        yield running


def deployment(compose: RunningCompose, name: str, *options: str) -> str:
    """Run a deployment from the worker, as docs/deploying.md does; returns what it prints."""
    done = compose.containers["worker"].run(
        *("prefect", "deployment", "run", name, *options, "--watch"), timeout_s=3000
    )
    assert done.returncode == 0, "\n".join(
        [done.stdout[-6000:], done.stderr[-3000:], compose.containers["worker"].console]
    )
    return done.stdout


def test_the_images_user_runs_this_release_and_can_write_only_at_home(image: Image) -> None:
    assert image.user == "10001:10001"
    code = "from srgan.version import release_version; print(release_version())"
    assert image.run("python", "-c", code).stdout.strip() == release_version()
    assert image.run("id", "-u").stdout.strip() == "10001"
    assert image.run("touch", f"{image.environment['HOME']}/.srgan/file").returncode == 0
    assert image.run("touch", f"{image.folder}/file").returncode != 0


def test_the_image_has_what_runs_and_neither_tests_nor_downloaded_wheels(image: Image) -> None:
    for program in ("srgan", "prefect", "mlflow", "ray", "weed", "g++"):
        found = image.run("sh", "-c", f"command -v {program}")
        assert found.returncode == 0, f"{program}: {found.stderr}"
    folder = image.root / image.folder.lstrip("/")
    assert {path.name for path in folder.iterdir()} >= {"srgan", "flows", "prefect.yaml"}
    assert not (folder / "tests").exists()
    assert list((folder / "srgan" / "__pycache__").iterdir())
    assert not list((image.root / "root" / ".cache").rglob("*.whl"))


def test_all_services_start_beside_debians_postgresql_and_the_doctor_finds_no_fault(
    compose: RunningCompose,
) -> None:
    done = compose.containers["worker"].run("srgan", "doctor", timeout_s=600)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_photos_become_a_champion_and_the_champion_makes_large_photos(
    compose: RunningCompose,
) -> None:
    store = compose.store()
    for seed in range(NUM_PHOTOS):
        store.put(f"raw/mine/{seed:02d}.png", dead_leaves(seed))
    prepare = ("--param", "source=s3://srgan/raw/mine", "--param", "dataset=mine")
    print(deployment(compose, "prepare/prepare", *prepare)[-500:])
    print(deployment(compose, "retrain/retrain", "--params", json.dumps(RETRAIN))[-500:])
    shown = compose.containers["worker"].run("srgan", "models", "list", "--json", timeout_s=300)
    (model,) = json.loads(shown.stdout)["models"]
    print(model)
    assert (model["model"], model["champion"]) == ("mine-x4", 1)
    for seed in range(3):
        store.put(f"small/{seed}.png", dead_leaves(100 + seed, 40, 50))
    print(deployment(compose, "upscale/upscale", "--params", json.dumps(UPSCALE))[-500:])
    made = {info.key for info in store.list("large/") if "/_srgan/" not in info.key}
    assert made == {f"large/{seed}.png" for seed in range(3)}
    assert Pillow.open(io.BytesIO(store.get("large/0.png"))).size == (200, 160)
    # Which restarts there were says what a busy host does to the services.
    print({name: one.num_starts for name, one in compose.containers.items()})

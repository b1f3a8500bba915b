"""The main job through a deployment and the real worker, and what its users do next."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from srgan.config import GateConfig, Recipe
from srgan.data.prepare import list_sources
from srgan.keys import MAP
from srgan.measure.metrics import psnr
from srgan.measure.sets import newest_set
from srgan.promotion.log import PromotionLog
from srgan.recipes import tiny
from srgan.report.chain import as_text
from srgan.resize.arrays import imresize
from srgan.services.mlflow_models import Registry
from srgan.services.s3 import S3Store
from srgan.versions.services import Services
from srgan.versions.trace import trace
from tests.support.flow_runs import Run
from tests.support.photos import dead_leaves
from tests.support.places import place
from tests.support.running_stack import Notebook, RunningStack
from tests.support.waiting import wait_until

PAIRS = {"hr": "s3://srgan/raw/phone/hr", "lr": "s3://srgan/raw/phone/lr", "crop_size": 64}
PAIRED_SET = {"source": "s3://srgan/raw/street/hr", "lr": "s3://srgan/raw/street/lr"}


def paired() -> Recipe:
    """`tiny`, in both stages with pairs, decided on a set of pairs."""
    recipe = tiny()
    assert recipe.adversarial is not None
    share = {"pair_share": 0.25}
    return recipe.model_copy(
        update={
            "pairs": "phone",
            "pretrain": recipe.pretrain.model_copy(update=share),
            "adversarial": recipe.adversarial.model_copy(update=share),
            "gate": GateConfig(sets=("street",)),
        }
    )


RETRAIN = {
    "source": "s3://srgan/raw/leaves",
    "dataset": "leaves",
    "model": "leaves-x4",
    "recipe": paired().model_dump(mode="json"),
}
UPSCALE = {
    "source": "s3://srgan/raw/small",
    "destination": "s3://srgan/large",
    "model": "leaves-x4",
    "config": {"failure_tolerance": 0.5},
}


@pytest.fixture(scope="module")
def retrained(stack: RunningStack, notebook: Notebook) -> RunningStack:
    """Eight photos and two folders of pairs uploaded, and one retraining through its deployment."""
    for seed in range(8):
        stack.store.put(f"raw/leaves/{seed}.png", dead_leaves(seed))
    upload_pairs(stack, "phone", range(20, 24))
    upload_pairs(stack, "street", range(30, 37))
    notebook.run(
        "from flows.prepare_eval import prepare_eval\n"
        "from flows.prepare_pairs import prepare_pairs\n"
        f"prepare_pairs(dataset='phone', **{PAIRS!r})\n"
        f"prepare_eval(name='street', **{PAIRED_SET!r})"
    )
    run = Run(stack, "retrain/retrain", RETRAIN)
    assert run.wait() == "COMPLETED", run.logs
    return stack


def upload_pairs(stack: RunningStack, name: str, seeds: range) -> None:
    """Photos, and noisy small ones of the same names; the last of these is a pixel beside."""
    for seed in seeds:
        data = dead_leaves(seed)
        hr = np.asarray(Image.open(io.BytesIO(data)))
        noise = np.random.default_rng(seed).normal(0, 4, (40, 50, 3))
        lr = np.clip(imresize(hr, scale=1 / 4) + noise, 0, 255).astype(np.uint8)
        if seed == seeds[-1]:
            lr = np.roll(lr, 1, axis=1)
        small = io.BytesIO()
        Image.fromarray(lr).save(small, "PNG")
        stack.store.put(f"raw/{name}/hr/{seed}.png", data)
        stack.store.put(f"raw/{name}/lr/{seed}.png", small.getvalue())


@pytest.fixture(scope="module")
def upscaled(retrained: RunningStack) -> RunningStack:
    """Four small photos in folders, one of them broken, upscaled through the deployment."""
    store = retrained.store
    for number, name in enumerate(["a.png", "deep/b.png", "deep/er/ünï.png"]):
        store.put(f"raw/small/{name}", dead_leaves(100 + number, 40, 50))
    store.put("raw/small/broken.png", b"no image at all")
    run = Run(retrained, "upscale/upscale", UPSCALE)
    assert run.wait() == "COMPLETED", run.logs
    return retrained


def test_a_retraining_through_its_deployment_ends_with_a_champion_better_than_bicubic(
    retrained: RunningStack,
) -> None:
    champion = Registry(retrained.stack.settings()).resolve("models:/leaves-x4@champion")
    metrics = champion.metrics
    assert metrics["model"]["psnr"] > metrics["bicubic"]["psnr"]


def test_a_retraining_learns_from_pairs_and_pairs_that_it_did_not_see_decide(
    retrained: RunningStack,
) -> None:
    store, registry = retrained.store, Registry(retrained.stack.settings())
    champion = registry.record(registry.resolve("models:/leaves-x4@champion"))
    assert champion.pairs is not None
    assert (champion.pairs.dataset, champion.pairs.num_train_photos) == ("phone", 3)
    made = newest_set(store, "street")
    assert list(made.rejected) == ["raw/street/hr/36.png"]
    assert made.rejected["raw/street/hr/36.png"].startswith("shifted: raw/street/lr/36.png: LR ")
    (entry,) = PromotionLog(store, "leaves-x4").entries()
    assert entry.sets["street"].version == made.version
    assert "on street " in entry.decision.reason
    plain = np.mean([noisy_bicubic(store, seed) for seed in range(30, 36)])
    assert entry.sets["street"].metrics["bicubic"]["psnr"] == pytest.approx(plain)


def noisy_bicubic(store: S3Store, seed: int) -> float:
    """PSNR of the enlarged LR photo of a pair."""
    hr, lr = (
        np.asarray(Image.open(io.BytesIO(store.get(f"raw/street/{each}/{seed}.png"))))
        for each in ("hr", "lr")
    )
    return psnr(hr, imresize(lr, scale=4), border=4)


def test_a_second_retraining_with_nothing_new_reads_no_photo_and_trains_nothing(
    retrained: RunningStack, notebook: Notebook
) -> None:
    runs_before = _stage_runs(retrained)
    said = notebook.run(
        "from flows.retrain import retrain\n"
        f"print(retrain(**{RETRAIN!r}, return_state=True).message)"
    )
    assert said.splitlines()[-1].startswith("Nothing new")
    assert _stage_runs(retrained) == runs_before
    wait_until(
        lambda: "0 objects read" in retrained.newest_logs("prepare"), "the log of what was read", 30
    )


def test_the_champion_upscales_an_image_in_a_process_that_knows_only_the_registry(
    retrained: RunningStack, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(dead_leaves(50, 30, 44))
    code = (
        "import io, sys, mlflow, pandas\n"
        "from PIL import Image\n"
        "model = mlflow.pyfunc.load_model('models:/leaves-x4@champion')\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "out = model.predict(pandas.DataFrame({'image': [data]}))\n"
        "print(Image.open(io.BytesIO(out.iloc[0, 0])).size)"
    )
    stranger = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "MLFLOW_TRACKING_URI": retrained.env["MLFLOW_TRACKING_URI"],
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(photo)],
        env=stranger,
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.splitlines()[-1] == "(176, 120)"


def test_every_image_is_upscaled_under_its_path_and_the_broken_one_is_recorded(
    upscaled: RunningStack,
) -> None:
    outputs = {
        info.key
        for info in upscaled.store.list("large/")
        if not info.key.startswith("large/_srgan/")
    }
    assert outputs == {"large/a.png", "large/deep/b.png", "large/deep/er/ünï.png"}
    with Image.open(io.BytesIO(upscaled.store.get("large/deep/b.png"))) as image:
        assert image.size == (200, 160)
    outcomes = _records(upscaled)
    assert outcomes["broken.png"] == ("failed", "not_an_image")
    assert [state for state, _ in outcomes.values()].count("done") == 3


def test_upscaling_again_does_nothing(upscaled: RunningStack, notebook: Notebook) -> None:
    upscaled.store.delete("raw/small/broken.png")  # it would be tried again, in a job
    before = {info.key: info.token for info in upscaled.store.list("large/deep/")}
    said = notebook.run(
        f"from flows.upscale import upscale\nprint(upscale(**{UPSCALE!r}).model_dump_json())"
    )
    assert {info.key: info.token for info in upscaled.store.list("large/deep/")} == before
    assert json.loads(said.splitlines()[-1])["num_done"] == 0


def test_nothing_that_retraining_and_bulk_run_left_in_the_bucket_is_a_source(
    upscaled: RunningStack,
) -> None:
    store = upscaled.store
    left = [info for info in store.list("") if not info.key.startswith(("raw/", "bulk/"))]
    taken = {info.key for info in list_sources(place(store, ""))} & {info.key for info in left}
    outputs = {key for key in taken if "srgan-source" in store.metadata(key)}
    assert {"large/a.png", "large/deep/b.png", "large/deep/er/ünï.png"} <= outputs
    assert taken == outputs
    # Ray leaves markers of its folders.
    ours = [info.key for info in left if info.key not in taken and not info.key.endswith("/")]
    entries = {key: [each.template for each in MAP if each.names(key) is not None] for key in ours}
    assert {key: found for key, found in entries.items() if len(found) != 1} == {}
    written = {key.partition("/")[0] for key in ours}
    assert written >= {"crops", "large", "mlflow", "promotions", "retrainings", "runs"}


def test_no_generated_secret_is_anywhere_but_in_the_credentials(upscaled: RunningStack) -> None:
    env = upscaled.stack.env()
    token = Path(env["RAY_AUTH_TOKEN_PATH"]).read_text().strip()
    secrets = {
        "S3 secret key": env["AWS_SECRET_ACCESS_KEY"],
        "Ray token": token,
    }
    home = Path(env["SRGAN_HOME"])
    credentials = {home / "credentials.json", home / "ray.token"}
    assert {path.stat().st_mode & 0o777 for path in credentials} == {0o600}
    files = set(_files_of_the_stack(home)) - credentials
    searched = b"".join(path.read_bytes() for path in files if path.suffix in {".log", ".db"})
    assert b"leaves-x4" in searched  # what is not secret is found by the same search
    for path in files:
        content = path.read_bytes()
        found = [name for name, secret in secrets.items() if secret.encode() in content]
        assert not found, f"{', '.join(found)} in {path}"
    jobs = httpx.get(
        f"{env['RAY_ADDRESS']}/api/jobs/",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
        trust_env=False,
    ).text
    assert "pretrain" in jobs
    for key in (info.key for info in upscaled.store.list("")):
        jobs += key
        if key.endswith(".json"):
            jobs += upscaled.store.get(key).decode()
    for name, secret in secrets.items():
        assert secret not in jobs, f"{name} is in the job records or the bucket"


@pytest.mark.parametrize(("origin", "status"), [("http://evil.example", 400), (None, 200)])
def test_pages_of_others_may_not_ask_prefects_api_in_a_browser(
    upscaled: RunningStack, origin: str | None, status: int
) -> None:
    api = upscaled.stack.env()["PREFECT_API_URL"]
    own = api.removesuffix("/api")
    asked = {
        "Origin": origin or own,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = httpx.options(f"{api}/deployments/", headers=asked, timeout=30, trust_env=False)
    assert answer.status_code == status
    assert answer.headers.get("Access-Control-Allow-Origin") == (None if origin else own)


def _files_of_the_stack(home: Path) -> list[Path]:
    folders = [home, Path(os.path.realpath(home / "run"))]
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def _stage_runs(stack: RunningStack) -> set[str]:
    return {info.key.split("/")[1] for info in stack.store.list("runs/")}


def _records(stack: RunningStack) -> dict[str, tuple[str, str | None]]:
    outcomes: dict[str, tuple[str, str | None]] = {}
    for info in stack.store.list("large/_srgan/"):
        if info.key.endswith(".parquet"):
            table = pq.read_table(io.BytesIO(stack.store.get(info.key))).to_pylist()
            outcomes |= {
                row["source_key"].removeprefix("raw/small/"): (row["outcome"], row["reason"])
                for row in table
            }
    return outcomes


def test_an_upscaled_image_is_traced_to_its_photo_its_model_and_the_report_of_the_retraining(
    upscaled: RunningStack,
) -> None:
    chain = as_text(trace(Services(upscaled.stack.settings(), print), "s3://srgan/large/a.png"))
    assert "s3://srgan/raw/small/a.png" in chain
    assert "model version: models:/leaves-x4/1" in chain
    assert "trained on dataset: leaves, version" in chain
    (address,) = re.findall(r"report +s3://srgan/(\S+\.html)", chain)
    page = upscaled.store.get(address).decode()
    assert page.count('<article class="viewer"') >= 1
    assert page.count('class="chart"') >= 4, "curves of both stages"
    assert "GAN stage" in page.partition("Time and cost")[2], "what its job cost"
    assert "s3://srgan/raw/phone/hr/ and s3://srgan/raw/phone/lr/" in page
    assert "Evaluation set street, 6 images enlarged from s3://srgan/raw/street/lr/" in page

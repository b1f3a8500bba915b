"""`make demo`: run the whole pipeline on real photographs from outside, as a user would."""

import hashlib
import re
from pathlib import Path

from rich.console import Console

from srgan.config import Recipe
from srgan.config.networks import FeatureNetwork
from srgan.demo.display import open_console, open_display
from srgan.demo.photos import hold_out, photos_in, shipped_photos, small_versions, sync
from srgan.demo.summary import print_summary, read_outcome
from srgan.demo.watch import StoppedByUserError, watching
from srgan.errors import StackError
from srgan.recipes import demo
from srgan.services.prefect_runs import flow_run_page
from srgan.services.s3 import S3Store
from srgan.stack import Stack
from srgan.versions.mirror_weights import mirror
from srgan.versions.services import Services
from srgan.versions.shipped import import_shipped

_INTERRUPTED = 130
_START = "shipped"
_TEACHER: FeatureNetwork = "efficientnet_lite0"
_JUDGE: FeatureNetwork = "efficientnet_lite1"
_NUM_HELD_OUT = 12
"""Photos that the gate needs at most; of many, a smaller share than the recipe's is enough."""


def run_demo(stack: Stack, folder: Path | None) -> int:
    """Upload photos, mirror networks, register the start, retrain, upscale; return the exit code.

    `folder` holds the user's photos; None means those that come with scikit-image, scikit-learn
    and Matplotlib. The stack must run, and its variables be in this process's environment.
    """
    console = open_console()
    name = dataset_name(folder)
    services = Services(stack.settings(), console.print)
    store = services.store
    try:
        num_photos = _upload(console, store, name, folder)
        _mirror(console, services)
        _register_start(console, services, model_name(name))
        with console.status("registering the flows with Prefect"):
            stack.deploy()
        pictures = stack.home / "demo"
        _run(console, stack, store, "retrain/retrain", _retraining(store, name, num_photos))
        if services.log(model_name(name)).champion() is not None:
            _run(console, stack, store, "upscale/upscale", _upscaling(store, name))
        hold_out(store, name)
        outcome = read_outcome(services, name, model_name(name), pictures)
    except (StoppedByUserError, KeyboardInterrupt):
        console.print(
            "\nStopped. All finished work is kept: the same command goes on from the newest "
            "checkpoint.\nThe services still run; `srgan stack down` ends them."
        )
        return _INTERRUPTED
    print_summary(console, stack, outcome)
    return 0


def dataset_name(folder: Path | None) -> str:
    """Name a folder's photos in the bucket and the registry; each folder has its own name."""
    if folder is None:
        return "demo"
    word = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:30] or "photos"
    return f"{word}-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:6]}"


def model_name(name: str) -> str:
    """Name the registered model of a demo dataset."""
    return f"srgan-{name}"


def _upload(console: Console, store: S3Store, name: str, folder: Path | None) -> int:
    photos, num_there = photos_in(folder) if folder else (shipped_photos(), 0)
    if num_there > len(photos):
        console.print(f"{folder} holds {num_there} photos; the demo takes the first {len(photos)}")
    raw = sync(store, f"raw/{name}", photos)
    sync(store, f"small/{name}", small_versions(photos))
    console.print(
        f"photos in {store.uri(f'raw/{name}')}: {raw.num_uploaded} uploaded, "
        f"{raw.num_unchanged} already there"
        + (f", {raw.num_removed} removed" if raw.num_removed else ""),
    )
    return len(photos)


def _mirror(console: Console, services: Services) -> None:
    """Put the teacher and the judge into the bucket, from their packages; nothing is downloaded."""
    for role, network in (("teacher of the GAN", _TEACHER), ("judge of its images", _JUDGE)):
        mirrored = mirror(services, network)
        console.print(
            f"{role}: {network}, {mirrored.licence}, from {mirrored.source}",
            soft_wrap=True,
        )


def _register_start(console: Console, services: Services, model: str) -> None:
    """Make the generator that comes with srgan the first champion, from which the GAN starts."""
    version, _ = import_shipped(services, _START, model)
    console.print(f"start of the GAN: {_START}, registered as {version.uri}")


def _retraining(store: S3Store, name: str, num_photos: int) -> dict[str, object]:
    return {
        "source": store.uri(f"raw/{name}"),
        "dataset": name,
        "model": model_name(name),
        "recipe": holding_out(demo(), num_photos).model_dump(mode="json"),
        # The GAN stage alone, from the generator that `_register_start` made champion.
        "policy": {"start": "champion"},
    }


def holding_out(recipe: Recipe, num_photos: int) -> Recipe:
    """Return the recipe with a smaller share of held-out photos where there are many."""
    share = min(recipe.data.eval_share, round(_NUM_HELD_OUT / num_photos, 3))
    data = recipe.data.model_copy(update={"eval_share": share})
    return recipe.model_copy(update={"data": data})


def _upscaling(store: S3Store, name: str) -> dict[str, object]:
    return {
        "source": store.uri(f"small/{name}"),
        "destination": store.uri(f"upscaled/{name}"),
        "model": model_name(name),
    }


def _run(
    console: Console,
    stack: Stack,
    store: S3Store,
    deployment: str,
    parameters: dict[str, object],
) -> None:
    """Run one deployment through the worker; `StackError` with its message if it fails."""
    console.print(deployment.partition("/")[0], style="bold")
    with watching(stack.env()["RAY_ADDRESS"], store) as watch, open_display(console) as display:
        run = watch.run(deployment, parameters, display.show)
    page = flow_run_page(stack.settings(), str(run.id))
    assert run.state is not None
    if not run.state.is_completed():
        raise StackError(
            f"{deployment} ended as {run.state.name}: {run.state.message}\nIts log: {page}"
        )
    console.print(f"  {run.state.message or 'done'}", soft_wrap=True)

"""A champion trained on, through the deployment, when more photos have come."""

import json

import pytest

from srgan.recipes import tiny
from tests.support.photos import dead_leaves
from tests.support.running_stack import RunningStack

pytestmark = pytest.mark.slow(group="retraining")

MODEL = "tuned-x4"


def test_a_champion_is_fine_tuned_when_photos_have_come_and_the_version_says_from_what(
    stack: RunningStack,
) -> None:
    upload(stack, range(8))
    first = retrain(stack)
    assert (first["start"], first["version"]) == ("scratch", 1)
    # By hand, because the gate takes seven held-out photos to decide.
    crowned = stack.run(
        *("srgan", "models", "promote", f"{MODEL}/1", "--force", "--reason", "a first champion")
    )
    assert crowned.returncode == 0, crowned.stderr
    upload(stack, range(8, 14))
    second = retrain(stack)
    assert second["version"] == 2
    assert (second["start"], second["start_weights"]) == (f"models:/{MODEL}/1", first["weights"])
    assert "6 new" in second["reason"]
    checkpoint = stack.python(
        "from srgan.services.s3 import open_store\n"
        "from srgan.settings import Settings\n"
        "from srgan.train.checkpoint import checkpoint_keys, read_manifest\n"
        "store = open_store(Settings())\n"
        f"newest = checkpoint_keys(store, {second['run']!r})[-1]\n"
        "print(read_manifest(store, newest).init_from)"
    )
    assert checkpoint.splitlines()[-1] == first["weights"], "its training began with the champion"


def upload(stack: RunningStack, seeds: range) -> None:
    for seed in seeds:
        stack.store.put(f"raw/tuned/{seed:02d}.png", dead_leaves(seed + 700))


def retrain(stack: RunningStack) -> dict[str, str]:
    """Through the deployment, on pixels alone, from the champion if there is one; its tags."""
    recipe = tiny().model_copy(update={"name": "tuned", "adversarial": None})
    done = stack.deployment(
        "retrain/retrain",
        source="s3://srgan/raw/tuned",
        dataset="tuned",
        model=MODEL,
        recipe=recipe.model_dump(mode="json"),
        policy={"start": "champion"},
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    printed = stack.python(
        "import json\n"
        "from srgan.services.mlflow_models import Registry\n"
        "from srgan.settings import Settings\n"
        "registry = Registry(Settings())\n"
        f"newest = registry.versions({MODEL!r})[-1]\n"
        "print(json.dumps(newest.tags | {'version': newest.ref.version}))"
    )
    found: dict[str, str] = json.loads(printed.splitlines()[-1])
    return found

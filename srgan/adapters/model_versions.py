"""Versions as MLflow has them, and what this project reads from their tags."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from srgan.errors import RegistryError
from srgan.refs import ModelRef

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

TAG_PREFIX = "srgan."
RUN_TAG = "srgan.run"


@contextmanager
def tolerating(*codes: str) -> Iterator[None]:
    """Swallow MLflow's answers of these codes; whatever else went wrong is raised."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code not in codes:
            raise


def own_tags(entry: "ModelVersion") -> dict[str, str]:
    """Tags of this project, names without their prefix."""
    return {
        name.removeprefix(TAG_PREFIX): value
        for name, value in entry.tags.items()
        if name.startswith(TAG_PREFIX)
    }


def as_ref(entry: "ModelVersion") -> ModelRef:
    """What a version is by its tags; `RegistryError` for one that somebody else registered."""
    tags = entry.tags
    if RUN_TAG not in tags:
        raise RegistryError(
            f"models:/{entry.name}/{entry.version} was not registered by this project: it has no "
            f"tag {RUN_TAG}"
        )
    return ModelRef(
        name=entry.name,
        version=int(entry.version),
        run=tags[RUN_TAG],
        weights_digest=tags["srgan.weights"],
        pretrained_run=tags.get("srgan.pretrained_run"),
        metrics=json.loads(tags.get("srgan.metrics", "{}")),  # of an import nothing is known
    )

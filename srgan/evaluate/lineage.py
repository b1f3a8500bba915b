"""Where a model version comes from, and whether another one would be made of anything new."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from srgan.config import GateConfig, Recipe
from srgan.errors import RegistryError
from srgan.refs import CheckpointRef, DatasetRef, EvaluationRef, config_digest
from srgan.version import code_version

_WORDS = {"dataset_version": "dataset", "recipe": "recipe", "code_version": "code"}


@dataclass(frozen=True)
class Lineage:
    """What is recorded with a model version."""

    checkpoint: CheckpointRef
    pretrained: CheckpointRef | None
    """The stage that the checkpoint's training started from."""
    dataset: DatasetRef
    evaluation: EvaluationRef
    recipe: Recipe | None
    """What the retraining was asked for, where there was one."""


def training_inputs(dataset: DatasetRef, recipe: Recipe) -> dict[str, str]:
    """Tags that name everything a retraining is made of, wherever and on whatever it runs."""
    return {
        "dataset_version": dataset.version,
        "recipe": config_digest(recipe.pretrain, recipe.adversarial),
        "code_version": code_version(),
    }


def what_changed(tags: Mapping[str, str], inputs: Mapping[str, str]) -> list[str]:
    """Words for the `training_inputs` in which a version, by its tags, differs from `inputs`."""
    return [_WORDS[name] for name, value in inputs.items() if tags.get(name) != value]


def recorded_gate(tags: Mapping[str, str]) -> GateConfig:
    """The margins that travelled with a version, by its tags; the defaults where none did."""
    recorded = tags.get("gate")
    if recorded is None:
        return GateConfig()
    try:
        return GateConfig.model_validate_json(recorded)
    except ValidationError as error:
        raise RegistryError(
            f"tag srgan.gate of the model version is no gate of this release: {error}; "
            "put it right in MLflow, or delete it for the defaults"
        ) from error

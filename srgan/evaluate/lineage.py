"""Where a model version comes from, and whether another one would be made of anything new."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import AliasChoices, Field, TypeAdapter, ValidationError

from srgan.config import GateConfig, Recipe, StageConfig, deciding
from srgan.errors import RegistryError, explain
from srgan.refs import (
    CheckpointRef,
    DatasetRef,
    EvaluationRef,
    ModelRef,
    Ref,
    SetResult,
    config_digest,
    digest,
)
from srgan.version import numerics_version, release_version

_SETS = TypeAdapter(dict[str, SetResult])
_JUDGES = TypeAdapter(dict[str, list[str]])
_WORDS = {"dataset_version": "dataset", "recipe": "recipe", "numerics_version": "code"}


class Lineage(Ref):
    """What is recorded with a model version that was trained here."""

    checkpoint: CheckpointRef
    pretrained: CheckpointRef | None
    """The stage that the checkpoint's training started from."""
    dataset: DatasetRef
    evaluation: EvaluationRef
    recipe: Recipe | None
    """What the retraining was asked for, where there was one."""
    reason: str | None = None
    """Why it was trained."""
    start: ModelRef | None = None
    """The version that it was fine-tuned from; None: trained from scratch."""
    numerics_version: str = ""
    """Of the code that the stages are named by; an earlier release recorded none."""
    release_version: str = Field(
        default_factory=release_version,
        validation_alias=AliasChoices("release_version", "code_version"),
    )
    """Of the flow that trained; a registration that is finished later may run another one."""

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the version, names without their prefix."""
        sets = {name: found.model_dump() for name, found in self.evaluation.sets.items()}
        judges = self.evaluation.trained_on_judge
        values = {
            "run": self.checkpoint.run,
            "pretrained_run": self.pretrained.run if self.pretrained else None,
            "weights": self.checkpoint.digest,
            "dataset": self.dataset.dataset,
            "dataset_version": self.dataset.version,
            "dataset_ref": self.dataset.model_dump_json(),
            "pretrained_ref": self.pretrained.model_dump_json() if self.pretrained else None,
            "gate": self.recipe.gate.model_dump_json() if self.recipe else None,
            "recipe_name": self.recipe.name if self.recipe else None,
            "metrics": json.dumps(self.evaluation.metrics, sort_keys=True),
            "sets": json.dumps(sets, sort_keys=True) if sets else None,
            "trained_on_judge": json.dumps(judges, sort_keys=True) if judges else None,
            "evaluation": self.evaluation.key,
            "evaluation_run": self.evaluation.mlflow_run_id,
            "reason": self.reason,
            **start_tags(self.start),
        }
        if self.recipe:
            values |= training_inputs(self.dataset, self.recipe, self.numerics_version)
        values["numerics_version"] = self.numerics_version
        values["release_version"] = self.release_version
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True)
class ImportLineage:
    """What is recorded with a version whose weights others published: no training, no dataset."""

    source_file: str
    """Name of the file as it came, without its folder."""
    source_sha256: str
    source_format: str
    weights_digest: str
    """SHA-256 of what we made of it."""

    @property
    def run(self) -> str:
        """Same file and same conversion, same name; in place of a training stage's."""
        return f"import-{digest([self.source_sha256, self.weights_digest])[:16]}"

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the version, names without their prefix."""
        return {
            "run": self.run,
            "weights": self.weights_digest,
            "source_file": self.source_file,
            "source_sha256": self.source_sha256,
            "source_format": self.source_format,
            "numerics_version": numerics_version(),
            "release_version": release_version(),
        }


def start_tags(start: ModelRef | None) -> dict[str, str]:
    """What a training began with: ``scratch``, or the version and its weights."""
    if start is None:
        return {"start": "scratch"}
    return {"start": start.uri, "start_weights": start.weights_digest}


def training_inputs(dataset: DatasetRef, recipe: Recipe, numerics_version: str) -> dict[str, str]:
    """Tags that name everything a retraining is made of, wherever and on whatever it runs.

    Not whose weights it is fine-tuned from: they are another version's after every promotion.
    """
    start = [] if recipe.retrain.start == "scratch" else [recipe.retrain.start]
    return {
        "dataset_version": dataset.version,
        "recipe": config_digest(*map(_decides, (recipe.pretrain, recipe.adversarial)), *start),
        "numerics_version": numerics_version,
    }


def _decides(stage: StageConfig | None) -> dict[str, object] | None:
    return deciding(stage.model_dump(mode="json")) if stage else None


def what_changed(tags: Mapping[str, str], inputs: Mapping[str, str]) -> list[str]:
    """Words for the `training_inputs` in which a version, by its tags, differs from `inputs`."""
    return [_WORDS[name] for name, value in inputs.items() if tags.get(name) != value]


def recorded_sets(tags: Mapping[str, str]) -> dict[str, SetResult]:
    """What was measured on evaluation sets when a version was registered, by its tags."""
    return _SETS.validate_json(tags.get("sets", "{}"))


def recorded_judges(tags: Mapping[str, str]) -> dict[str, list[str]]:
    """Contestants that learned from the network that judged them, by a version's tags."""
    return _JUDGES.validate_json(tags.get("trained_on_judge", "{}"))


def recorded_gate(tags: Mapping[str, str]) -> GateConfig:
    """The margins that travelled with a version, by its tags; the defaults where none did."""
    recorded = tags.get("gate")
    if recorded is None:
        return GateConfig()
    try:
        return GateConfig.model_validate_json(recorded)
    except ValidationError as error:
        raise RegistryError(
            f"tag srgan.gate of the model version is no gate of this release: {explain(error)}; "
            "put it right in MLflow, or delete it for the defaults"
        ) from error

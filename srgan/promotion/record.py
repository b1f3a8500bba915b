"""The record of a model version: lineage, figures and decisions, which MLflow keeps as tags.

This file alone knows how a value becomes a tag and how a tag is read. Registries outlive releases:
names and values of tags stay as they are, and a tag that an older release did not write is None.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from srgan.config import GateConfig
from srgan.errors import RegistryError, explain
from srgan.keys import RUNS
from srgan.refs import CheckpointRef, DatasetRef, ModelRef, SetResult

TAG_PREFIX = "srgan."
"""In front of every tag of this project in MLflow; names in this file are without it."""

T = TypeVar("T")

_DATASET = TypeAdapter(DatasetRef)
_CHECKPOINT = TypeAdapter(CheckpointRef)
_GATE = TypeAdapter(GateConfig)
_METRICS = TypeAdapter(dict[str, dict[str, float]])
_SETS = TypeAdapter(dict[str, SetResult])
_JUDGES = TypeAdapter(dict[str, list[str]])
_INPUTS = ("dataset_version", "recipe", "numerics_version")


@dataclass(frozen=True)
class References:
    """Runs and dataset versions that something needs."""

    runs: frozenset[str] = frozenset()
    """Names below ``runs/``."""
    datasets: frozenset[str] = frozenset()
    """Versions, whatever the dataset is called."""

    def __or__(self, other: "References") -> "References":
        return References(self.runs | other.runs, self.datasets | other.datasets)


@dataclass(frozen=True)
class VersionRecord:
    """One version of a registered model.

    Tags that hold JSON are read when they are asked for, so that a gate of another release does
    not spoil a list of versions. `RegistryError` names the tag that cannot be read.
    """

    name: str
    """Of the registered model."""
    version: int
    tags: Mapping[str, str]
    """As MLflow has them, names without `TAG_PREFIX`."""
    created: datetime
    mlflow_run: str | None = None
    """MLflow run whose artifacts are its files."""
    aliases: tuple[str, ...] | None = None
    """None where MLflow does not tell: a search gives no aliases."""

    @property
    def uri(self) -> str:
        """MLflow address of exactly this version."""
        return f"models:/{self.name}/{self.version}"

    @property
    def ref(self) -> ModelRef:
        """The value that the pipeline passes on."""
        return ModelRef(
            name=self.name,
            version=self.version,
            run=self.run,
            weights_digest=self.weights_digest,
            pretrained_run=self.pretrained_run,
            metrics=self.metrics,
        )

    @property
    def run(self) -> str:
        """Training stage or import that made the weights."""
        return self._required("run")

    @property
    def weights_digest(self) -> str:
        """SHA-256 of the weights."""
        return self._required("weights")

    @property
    def pretrained_run(self) -> str | None:
        """Training stage that `run` started from."""
        return self.tags.get("pretrained_run")

    @property
    def pretrained(self) -> CheckpointRef | None:
        """The checkpoint that `run` started from."""
        return self._read("pretrained_ref", _CHECKPOINT)

    @property
    def is_imported(self) -> bool:
        """Whether others trained the weights."""
        return self.source_file is not None

    @property
    def source_file(self) -> str | None:
        """Name of the file that an imported version came in."""
        return self.tags.get("source_file")

    @property
    def source_format(self) -> str | None:
        """Format of that file."""
        return self.tags.get("source_format")

    @property
    def dataset(self) -> DatasetRef | None:
        """The dataset version that it was trained on; None where it was imported."""
        return self._read("dataset_ref", _DATASET)

    @property
    def dataset_name(self) -> str | None:
        """Name of that dataset."""
        return self.tags.get("dataset")

    @property
    def dataset_version(self) -> str | None:
        """Version of that dataset."""
        return self.tags.get("dataset_version")

    @property
    def recipe_name(self) -> str | None:
        """Name of the recipe that made it."""
        return self.tags.get("recipe_name")

    @property
    def recipe(self) -> str | None:
        """Digest of what the recipe says about the weights; None where no recipe made it."""
        return self.tags.get("recipe")

    @property
    def numerics_version(self) -> str | None:
        """Of the code that trained or imported it."""
        return self.tags.get("numerics_version")

    @property
    def release_version(self) -> str | None:
        """Release that made it."""
        return self.tags.get("release_version")

    @property
    def inputs(self) -> dict[str, str]:
        """The tags of `lineage.training_inputs` that it has."""
        return {name: self.tags[name] for name in _INPUTS if name in self.tags}

    @property
    def reason(self) -> str | None:
        """Why it was trained."""
        return self.tags.get("reason")

    @property
    def start(self) -> str | None:
        """``scratch``, or the address of the version that it was fine-tuned from."""
        return self.tags.get("start")

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Figures on held-out crops when it was registered; empty where it was imported."""
        return self._read("metrics", _METRICS) or {}

    @property
    def sets(self) -> dict[str, SetResult]:
        """Figures on evaluation sets when it was registered, by name of the set."""
        return self._read("sets", _SETS) or {}

    @property
    def trained_on_judge(self) -> dict[str, list[str]]:
        """Contestants that learned from the network that judged them, by the distance's name."""
        return self._read("trained_on_judge", _JUDGES) or {}

    @property
    def evaluation(self) -> str | None:
        """Key of the report that it was registered with."""
        return self.tags.get("evaluation")

    @property
    def evaluation_run(self) -> str | None:
        """MLflow run of that evaluation."""
        return self.tags.get("evaluation_run")

    @property
    def gate(self) -> GateConfig:
        """The margins that travelled with it; the defaults where none did."""
        return self._read("gate", _GATE) or GateConfig()

    @property
    def decision(self) -> str | None:
        """The sentence of the last decision about it."""
        return self.tags.get("decision")

    @property
    def rollback(self) -> str | None:
        """The sentence of the rollback that left it."""
        return self.tags.get("rollback")

    @property
    def report(self) -> str | None:
        """Address of the report of its retraining."""
        return self.tags.get("report")

    @property
    def references(self) -> References:
        """What it was made of and measured by.

        `RegistryError` where a tag that may name something cannot be read.
        """
        runs, datasets = [self.run, self.pretrained_run], [self.dataset_version]
        if self.pretrained:
            runs.append(self.pretrained.run)
            datasets.append(self.pretrained.dataset_version)
        if self.dataset:
            datasets.append(self.dataset.version)
        runs += map(_run_of, [self.evaluation, *(each.key for each in self.sets.values())])
        return References(frozenset(filter(None, runs)), frozenset(filter(None, datasets)))

    def _required(self, tag: str) -> str:
        if tag not in self.tags:
            raise RegistryError(
                f"{self.uri} was not registered by this project: it has no tag {TAG_PREFIX}{tag}"
            )
        return self.tags[tag]

    def _read(self, tag: str, kind: TypeAdapter[T]) -> T | None:
        text = self.tags.get(tag)
        if text is None:
            return None
        try:
            return kind.validate_json(text)
        except ValidationError as error:
            raise RegistryError(
                f"tag {TAG_PREFIX}{tag} of {self.uri} cannot be read by this release: "
                f"{explain(error)}; correct the tag in MLflow, or delete it to go on without"
            ) from error


def as_tags(**values: object) -> dict[str, str]:
    """Tags by name without their prefix; a value that is None or "" has none."""
    return {name: _written(value) for name, value in values.items() if value not in (None, "")}


def _written(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return json.dumps(value, sort_keys=True, default=_plain)


def _plain(value: Any) -> object:
    assert isinstance(value, BaseModel)
    return value.model_dump()


def _run_of(key: str | None) -> str | None:
    """Name of the run that a key below ``runs/`` belongs to."""
    return key.removeprefix(RUNS).partition("/")[0] if key else None

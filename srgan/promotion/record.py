"""The record of a model version: lineage, figures and decisions, stored as MLflow tags.

Only this file knows how a value becomes a tag and how a tag is read. Registries outlive releases,
so names and values of tags must not change, and a tag that an older release did not write is None.
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
from srgan.refs import Blend, CheckpointRef, DatasetRef, ModelRef, SetResult

TAG_PREFIX = "srgan."
"""Prefix of all our tags in MLflow; tag names in this file are without it."""

T = TypeVar("T")

_BLEND = TypeAdapter(Blend)
_DATASET = TypeAdapter(DatasetRef)
_CHECKPOINT = TypeAdapter(CheckpointRef)
_GATE = TypeAdapter(GateConfig)
_METRICS = TypeAdapter(dict[str, dict[str, float]])
_SETS = TypeAdapter(dict[str, SetResult])
_JUDGES = TypeAdapter(dict[str, list[str]])
_INPUTS = ("dataset_version", "pairs_version", "recipe", "numerics_version")


@dataclass(frozen=True)
class References:
    """Runs and dataset versions that something refers to."""

    runs: frozenset[str] = frozenset()
    """Names below ``runs/``."""
    datasets: frozenset[str] = frozenset()
    """Versions of any dataset."""

    def __or__(self, other: "References") -> "References":
        return References(self.runs | other.runs, self.datasets | other.datasets)


@dataclass(frozen=True)
class VersionRecord:
    """One version of a registered model.

    JSON in tags is parsed when a property is read, so that another release's gate does not break a
    list of versions. `RegistryError` names the tag that cannot be read.
    """

    name: str
    """Name of the registered model."""
    version: int
    tags: Mapping[str, str]
    """Tags in MLflow, without `TAG_PREFIX` in their names."""
    created: datetime
    mlflow_run: str | None = None
    """MLflow run whose artifacts are the version's files."""
    aliases: tuple[str, ...] | None = None
    """None if unknown: a search in MLflow does not return aliases."""

    @property
    def uri(self) -> str:
        """MLflow address of exactly this version."""
        return f"models:/{self.name}/{self.version}"

    @property
    def ref(self) -> ModelRef:
        """The reference that the pipeline passes on."""
        return ModelRef(
            name=self.name,
            version=self.version,
            run=self.run,
            weights_digest=self.weights_digest,
            pretrained_run=self.pretrained_run,
            blended_runs=self.blend.runs if self.blend else (),
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
        """True if the weights were trained elsewhere."""
        return self.source_file is not None

    @property
    def source_file(self) -> str | None:
        """Name of the file that was imported."""
        return self.tags.get("source_file")

    @property
    def source_format(self) -> str | None:
        """Format of the imported file."""
        return self.tags.get("source_format")

    @property
    def blend(self) -> Blend | None:
        """Sources of a blend; None for others."""
        return self._read("blend", _BLEND)

    @property
    def made_from(self) -> tuple[str, ...]:
        """Addresses of the registered versions that its weights came from, by training or blend."""
        blended = self.blend.sources if self.blend else ()
        starts = () if self.start in (None, "scratch") else (self.start,)
        return (*starts, *(source.model for source in blended if source.runs))

    @property
    def dataset(self) -> DatasetRef | None:
        """The dataset version that it was trained on; None if imported."""
        return self._read("dataset_ref", _DATASET)

    @property
    def pairs(self) -> DatasetRef | None:
        """The dataset of pairs that its training took a share from; None without."""
        return self._read("pairs_ref", _DATASET)

    @property
    def dataset_name(self) -> str | None:
        """Name of the dataset that it was trained on."""
        return self.tags.get("dataset")

    @property
    def dataset_version(self) -> str | None:
        """Version of that dataset."""
        return self.tags.get("dataset_version")

    @property
    def recipe_name(self) -> str | None:
        """Name of its recipe."""
        return self.tags.get("recipe_name")

    @property
    def recipe(self) -> str | None:
        """Digest of the recipe's settings that decide the weights; None without a recipe."""
        return self.tags.get("recipe")

    @property
    def numerics_version(self) -> str | None:
        """Version of the code that trained or imported it."""
        return self.tags.get("numerics_version")

    @property
    def release_version(self) -> str | None:
        """Release that made it."""
        return self.tags.get("release_version")

    @property
    def inputs(self) -> dict[str, str]:
        """Those tags of `lineage.training_inputs` that it has."""
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
        """Figures on held-out crops at registration; empty if imported."""
        return self._read("metrics", _METRICS) or {}

    @property
    def sets(self) -> dict[str, SetResult]:
        """Figures on evaluation sets at registration, by name of the set."""
        return self._read("sets", _SETS) or {}

    @property
    def trained_on_judge(self) -> dict[str, list[str]]:
        """Contestants whose training used the judge, by the name of its distance."""
        return self._read("trained_on_judge", _JUDGES) or {}

    @property
    def evaluation(self) -> str | None:
        """Key of the evaluation report that it was registered with."""
        return self.tags.get("evaluation")

    @property
    def evaluation_run(self) -> str | None:
        """MLflow run of that evaluation."""
        return self.tags.get("evaluation_run")

    @property
    def gate(self) -> GateConfig:
        """Margins of its gate; the defaults if none were recorded."""
        return self._read("gate", _GATE) or GateConfig()

    @property
    def decision(self) -> str | None:
        """Sentence of the last decision about it."""
        return self.tags.get("decision")

    @property
    def rollback(self) -> str | None:
        """Sentence of the rollback that left it."""
        return self.tags.get("rollback")

    @property
    def report(self) -> str | None:
        """Address of its retraining's report."""
        return self.tags.get("report")

    @property
    def opinion(self) -> str | None:
        """Result of the last study in which people judged it."""
        return self.tags.get("opinion")

    @property
    def references(self) -> References:
        """Runs and dataset versions that it was made of and measured with.

        `RegistryError` if a tag that may name one cannot be read.
        """
        runs, datasets = [self.run, self.pretrained_run], [self.dataset_version]
        if self.pretrained:
            runs.append(self.pretrained.run)
            datasets.append(self.pretrained.dataset_version)
        if self.dataset:
            datasets.append(self.dataset.version)
        if self.pairs:
            datasets.append(self.pairs.version)
        runs += self.blend.runs if self.blend else ()
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
    """Return tags by name without `TAG_PREFIX`; None and "" get no tag."""
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
    """Return the name of the run that a key below ``runs/`` belongs to."""
    return key.removeprefix(RUNS).partition("/")[0] if key else None

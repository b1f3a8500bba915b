"""Lineage of a model version: what it was made of, and its registration below its run."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import AliasChoices, Field

from srgan.config import Recipe, StageConfig, deciding
from srgan.errors import ConfigError
from srgan.keys import registration_key
from srgan.promotion.record import References, as_tags
from srgan.refs import (
    Blend,
    CheckpointRef,
    DatasetRef,
    EvaluationRef,
    ModelRef,
    Ref,
    config_digest,
    digest,
)
from srgan.storage import ObjectStore, read_document, write_document
from srgan.version import numerics_version, release_version

_WORDS = {
    "dataset_version": "dataset",
    "pairs_version": "pairs",
    "recipe": "recipe",
    "numerics_version": "code",
}


class Lineage(Ref):
    """Record of a model version that was trained here."""

    checkpoint: CheckpointRef
    pretrained: CheckpointRef | None
    """Stage that the checkpoint's training started from."""
    dataset: DatasetRef
    evaluation: EvaluationRef
    recipe: Recipe | None
    """Recipe of the retraining; None without one."""
    reason: str | None = None
    """Reason of the retraining."""
    start: ModelRef | None = None
    """Version that it was fine-tuned from; None if trained from scratch."""
    pairs: DatasetRef | None = None
    """Dataset of pairs that its stages took a share from."""
    numerics_version: str = ""
    """Version of the code that names the stages; earlier releases recorded none."""
    release_version: str = Field(
        default_factory=release_version,
        validation_alias=AliasChoices("release_version", "code_version"),
    )
    """Release of the flow that trained; a later one may finish the registration."""

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the version, without `TAG_PREFIX` in their names."""
        inputs: dict[str, str] = {}
        if self.recipe:
            inputs = training_inputs(self.dataset, self.recipe, self.numerics_version, self.pairs)
        tags = as_tags(
            run=self.checkpoint.run,
            pretrained_run=self.pretrained and self.pretrained.run,
            weights=self.checkpoint.digest,
            dataset=self.dataset.dataset,
            dataset_version=self.dataset.version,
            dataset_ref=self.dataset,
            pairs_ref=self.pairs,
            pretrained_ref=self.pretrained,
            gate=self.recipe and self.recipe.gate,
            recipe_name=self.recipe and self.recipe.name,
            metrics=self.evaluation.metrics,
            sets=self.evaluation.sets or None,
            trained_on_judge=self.evaluation.trained_on_judge or None,
            evaluation=self.evaluation.key,
            evaluation_run=self.evaluation.mlflow_run_id,
            reason=self.reason,
        )
        versions = as_tags(
            numerics_version=self.numerics_version, release_version=self.release_version
        )
        return tags | start_tags(self.start) | as_tags(**inputs) | versions

    @property
    def references(self) -> References:
        """Runs and dataset versions that a registration still needs."""
        stages = [stage for stage in (self.checkpoint, self.pretrained) if stage]
        runs = [self.evaluation.run, *(stage.run for stage in stages)]
        if self.start:
            runs += [self.start.run, *self.start.training_runs]
        versions = [self.dataset.version, self.evaluation.dataset_version]
        versions += [stage.dataset_version for stage in stages]
        versions += [self.pairs.version] if self.pairs else []
        return References(frozenset(runs), frozenset(versions))


@dataclass(frozen=True)
class ImportLineage:
    """Record of a version with imported weights: no training and no dataset."""

    source_file: str
    """Name of the imported file, without its folder."""
    source_sha256: str
    source_format: str
    weights_digest: str
    """SHA-256 of the converted weights."""
    blend: Blend | None = None
    """Sources of blended weights."""

    @property
    def run(self) -> str:
        """Name in place of a training stage's; the same for the same file and conversion."""
        return f"import-{digest([self.source_sha256, self.weights_digest])[:16]}"

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the version, without `TAG_PREFIX` in their names."""
        return as_tags(
            run=self.run,
            weights=self.weights_digest,
            source_file=self.source_file,
            source_sha256=self.source_sha256,
            source_format=self.source_format,
            blend=self.blend,
            numerics_version=numerics_version(),
            release_version=release_version(),
        )


def start_tags(start: ModelRef | None) -> dict[str, str]:
    """Return tags of the start of a training: ``scratch``, or the version and its weights."""
    if start is None:
        return {"start": "scratch"}
    return {"start": start.uri, "start_weights": start.weights_digest}


def training_inputs(
    dataset: DatasetRef, recipe: Recipe, numerics_version: str, pairs: DatasetRef | None = None
) -> dict[str, str]:
    """Return tags that name all inputs of a retraining, wherever it runs.

    The weights that it is fine-tuned from are left out: they change with every promotion.
    """
    start = [] if recipe.retrain.start == "scratch" else [recipe.retrain.start]
    return {
        "dataset_version": dataset.version,
        **({"pairs_version": pairs.version} if pairs else {}),
        "recipe": config_digest(*map(_decides, (recipe.pretrain, recipe.adversarial)), *start),
        "numerics_version": numerics_version,
    }


def _decides(stage: StageConfig | None) -> dict[str, object] | None:
    return deciding(stage.model_dump(mode="json")) if stage else None


def what_changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return words for the `training_inputs` that differ."""
    return [word for name, word in _WORDS.items() if before.get(name) != now.get(name)]


def keep_registration(store: ObjectStore, model: str, lineage: Lineage) -> str:
    """Write the registration (idempotent) and return its key."""
    key = registration_key(lineage.checkpoint.run, model)
    write_document(store, key, lineage)
    return key


def read_registration(store: ObjectStore, run: str, model: str | None) -> tuple[str, Lineage]:
    """Read the model and lineage that a training run was measured for.

    Without `model` there must be only one. `ConfigError` if there is none, or several.
    """
    prefix = registration_key.below(run)
    keys = [info.key for info in store.list(prefix) if info.key.endswith(".json")]
    kept = [key.removeprefix(prefix).removesuffix(".json") for key in sorted(keys)]
    chosen = [name for name in kept if model in (None, name)]
    if not chosen:
        meant = f"it was made for {', '.join(kept)}" if kept else "no retraining has measured it"
        raise ConfigError(
            f"there is no {store.uri(prefix)}{model or '…'}.json to register {run} from: {meant}"
        )
    if len(chosen) > 1:
        raise ConfigError(f"{run} was made for {', '.join(kept)}; choose one with --model")
    key = registration_key(run, chosen[0])
    return chosen[0], read_document(store, key, Lineage, mend="evaluate and register it again")

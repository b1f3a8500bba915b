"""Registered models in MLflow: versions with lineage, aliases, and the way back to weights.

The registry is trusted: a model loaded through MLflow runs the code that it carries. This
project's own engine reads weights and config only, never that code.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from srgan.adapters.addresses import parse_address
from srgan.adapters.model_versions import RUN_TAG, TAG_PREFIX, as_ref, own_tags, tolerating
from srgan.adapters.packaging import GENERATOR_PATH
from srgan.adapters.tracking import (
    mlflow_client,
)
from srgan.errors import RegistryError
from srgan.refs import CheckpointRef, DatasetRef, ModelRef
from srgan.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from srgan.models.base import Generator

CHAMPION = "champion"
CHALLENGER = "challenger"


@dataclass(frozen=True)
class Registered:
    """One version as a list shows it."""

    ref: ModelRef
    tags: dict[str, str]
    """Lineage, names without their ``srgan.`` prefix."""
    created: datetime


class Registry:
    """The models of one MLflow server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = mlflow_client(settings)

    def resolve(self, address: str) -> ModelRef:
        """``models:/name@alias``, ``models:/name/3`` or a bare name, which means its champion.

        `RegistryError` when there is no such model, version or alias.
        """
        name, named, version = parse_address(address)
        alias = named or CHAMPION
        entry = self._find_version(name, version) if version else self._find_alias(name, alias)
        if entry is None:
            what = f"version {version}" if version else f"alias {alias!r}"
            raise RegistryError(
                f"the registry at {self._settings.mlflow_tracking_uri} has no model {name!r} "
                f"with {what}; look at its Models page, or run the retrain flow"
            )
        return as_ref(entry)

    def find(self, name: str, alias: str) -> ModelRef | None:
        """The version that an alias names; None when there is no such model or alias."""
        entry = self._find_alias(name, alias)
        return as_ref(entry) if entry else None

    def alias(self, name: str, alias: str) -> int | None:
        """Number of the version that an alias names, whoever registered it."""
        entry = self._find_alias(name, alias)
        return int(entry.version) if entry else None

    def aliases(self, name: str) -> dict[str, int]:
        """Version by alias; empty where there is no such model."""
        with tolerating("RESOURCE_DOES_NOT_EXIST"):
            found = self._client.get_registered_model(name).aliases
            return {alias: int(version) for alias, version in found.items()}
        return {}

    def names(self) -> list[str]:
        """Names of all models of the server, sorted."""
        names, page = list[str](), None
        while True:
            found = self._client.search_registered_models(page_token=page)
            names += [model.name for model in found]
            page = found.token
            if not page:
                return sorted(names)

    def versions(self, name: str) -> list[Registered]:
        """Versions of a model that this project registered, the oldest first."""
        found = self._search(f"name='{name}'")
        return [
            Registered(
                as_ref(entry),
                own_tags(entry),
                datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
            )
            for entry in found
            if RUN_TAG in entry.tags
        ]

    def version(self, name: str, version: int) -> ModelRef | None:
        """A version by its number; None when it is not there, or not any more."""
        entry = self._find_version(name, version)
        return as_ref(entry) if entry else None

    def of_run(self, name: str, run: str) -> "ModelVersion | None":
        """The version of a training run or an import, if it has one.

        Where two were made at the same moment, the first alone stays.
        """
        found = self._search(f"name='{name}' and tags.`{RUN_TAG}`='{run}'")
        for extra in found[1:]:
            with tolerating("RESOURCE_DOES_NOT_EXIST"):
                self._client.delete_model_version(name, extra.version)
        return found[0] if found else None

    def tags(self, ref: ModelRef) -> dict[str, str]:
        """Lineage tags of a version, names without their ``srgan.`` prefix."""
        return own_tags(self._client.get_model_version(ref.name, str(ref.version)))

    def dataset_of(self, ref: ModelRef) -> DatasetRef:
        """The dataset version that a model version was trained on.

        `RegistryError` for an imported version, which has none.
        """
        tags = self.tags(ref)
        if "dataset_ref" not in tags:
            raise RegistryError(
                f"{ref.uri} was imported from {tags.get('source_file', 'elsewhere')} and has no "
                "dataset of its own: name a prepared one with the parameter dataset of the flow "
                "(promote, evaluate-model)"
            )
        return DatasetRef.model_validate_json(tags["dataset_ref"])

    def pretrained_of(self, ref: ModelRef) -> CheckpointRef | None:
        """The stage that a version's training started from, if one did."""
        pretrained = self.tags(ref).get("pretrained_ref")
        return CheckpointRef.model_validate_json(pretrained) if pretrained else None

    def datasets_of(self, ref: ModelRef) -> tuple[list[DatasetRef], str | None]:
        """Dataset versions that a version was trained on, with those that it was fine-tuned from.

        None of an imported one, and none of what lies behind a version that was deleted: its
        address is the second.
        """
        found: list[DatasetRef] = []
        version: ModelRef | None = ref
        while version is not None:
            tags = self.tags(version)
            if "dataset_ref" in tags:
                found.append(DatasetRef.model_validate_json(tags["dataset_ref"]))
            start = tags.get("start", "scratch")
            name, _, number = parse_address(start)
            version = self.version(name, number) if number else None
            if number and version is None:
                return found, start
        return found, None

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version; the last writer wins, so the promotion log decides."""
        self._client.set_registered_model_alias(name, alias, str(version))

    def set_tag(self, ref: ModelRef, name: str, value: str) -> None:
        """Set the tag ``srgan.<name>`` of a version."""
        self._client.set_model_version_tag(ref.name, str(ref.version), f"{TAG_PREFIX}{name}", value)

    def load_generator_bytes(self, ref: ModelRef) -> bytes:
        """Weights and config as safetensors, verified against the version's digest."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        uri = self._client.get_model_version_download_uri(ref.name, str(ref.version))
        repository = get_artifact_repository(
            uri, tracking_uri=self._settings.require("mlflow_tracking_uri")
        )
        with tempfile.TemporaryDirectory(prefix="srgan-weights-") as directory:
            path = repository.download_artifacts(GENERATOR_PATH, directory)  # type: ignore[no-untyped-call]  # MLflow has no type for it
            data = Path(path).read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != ref.weights_digest:
            raise RegistryError(
                f"weights of {ref.uri} were altered: SHA-256 is {found}, the version says "
                f"{ref.weights_digest}"
            )
        return data

    def _search(self, condition: str) -> "list[ModelVersion]":
        """Versions that meet a condition, the oldest first."""
        entries, page = list["ModelVersion"](), None
        while True:
            found = self._client.search_model_versions(condition, page_token=page)
            entries += found
            page = found.token
            if not page:
                return sorted(entries, key=lambda entry: int(entry.version))

    def _find_alias(self, name: str, alias: str) -> "ModelVersion | None":
        # MLflow calls an alias that does not exist an invalid parameter.
        with tolerating("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return self._client.get_model_version_by_alias(name, alias)
        return None

    def _find_version(self, name: str, version: int) -> "ModelVersion | None":
        with tolerating("RESOURCE_DOES_NOT_EXIST"):
            return self._client.get_model_version(name, str(version))
        return None


def load(address: str, settings: Settings | None = None) -> "Generator":
    """The plain network of a registered model, on the CPU in eval mode, for arrays and tensors.

    ``srgan.load("models:/name@champion")``: `forward` takes LR (N, 3, h, w) in [0, 1] and gives
    SR (N, 3, s·h, s·w), nominally [−1, 1]. Only MLFLOW_TRACKING_URI has to be set; no code of
    the model is run.
    """
    from srgan.models.interchange import load_generator

    registry = Registry(settings or Settings())
    return load_generator(registry.load_generator_bytes(registry.resolve(address)))

"""Registered models in MLflow: addresses, versions with their records, aliases and weights.

The registry is trusted: a model loaded through MLflow runs the code that it carries. This
project's own engine reads only weights and config, never that code.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from srgan.errors import ConfigError, RegistryError
from srgan.logs import without_password
from srgan.promotion.record import TAG_PREFIX, VersionRecord
from srgan.refs import DatasetRef, ModelRef
from srgan.services.mlflow_runs import ABSENT, NO_ALIAS, mlflow_client, mlflow_errors, pages
from srgan.services.packaging import GENERATOR_PATH
from srgan.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
CHALLENGER = "challenger"

CARD = "model-card.md"
"""Artifact of a version's run: the whole card."""
_MAX_DESCRIPTION = 5000
"""Characters in the column of MLflow's tables. PostgreSQL refuses more, and SQLite does not."""
_RUN_TAG = f"{TAG_PREFIX}run"
"""Tag of every version that this project registered."""
_WEIGHTS_TAG = f"{TAG_PREFIX}weights"
_NAME = r"[a-z0-9][a-z0-9_.-]{0,62}"
_ADDRESS = re.compile(rf"(?:models:/)?({_NAME})(?:@([A-Za-z][\w-]*)|/([1-9]\d*))?")


def parse_address(address: str) -> tuple[str, str | None, int | None]:
    """Split an address into name, and alias or version where it has one; else `ConfigError`."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ConfigError(
            f"{address!r} is not a model's address; expected NAME, models:/NAME@ALIAS or "
            "models:/NAME/VERSION"
        )
    name, alias, version = match.groups()
    return name, alias, int(version) if version else None


def challenger_address(address: str) -> str:
    """Return an address in which a bare name means the newest challenger, not the champion."""
    name, alias, version = parse_address(address)
    return f"models:/{name}@{CHALLENGER}" if alias is None and version is None else address


def check_name(name: str) -> None:
    """Raise `ConfigError` if this cannot be the name of a model."""
    if not re.fullmatch(_NAME, name):
        raise ConfigError(
            f"{name!r} cannot be a model's name: a letter or digit, then up to 62 of a-z, 0-9, "
            "_, . and -"
        )


def description_of(card: str) -> str:
    """Return what MLflow can store of a card beside the version: the beginning of a long one."""
    if len(card) <= _MAX_DESCRIPTION:
        return card
    end = f"…\n\nThe rest is in the run's `{CARD}`."
    return card[: _MAX_DESCRIPTION - len(end)] + end


class Registry:
    """The models of one MLflow server that are the team's, under the names that it gives them.

    On the server, every name of a team's model begins with the team (`Settings.shared`).
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._shared, self._own = settings.shared, settings.own
        self._client = mlflow_client(settings)

    def resolve(self, address: str) -> ModelRef:
        """Find ``models:/name@alias``, ``models:/name/3``, or a bare name's alias ``champion``.

        The alias follows the promotion log, which decides: code that can read the bucket calls
        `champion.find_version` instead. `RegistryError` if there is no such model, version or
        alias.
        """
        name, named, version = parse_address(address)
        alias = named or CHAMPION
        entry = self._find_version(name, version) if version else self._find_alias(name, alias)
        if entry is None:
            what = f"version {version}" if version else f"alias {alias!r}"
            registry = without_password(self._settings.require("mlflow_tracking_uri"))
            raise RegistryError(
                f"the registry at {registry} has no model {name!r} "
                f"with {what}; look at its Models page, or run the retrain flow"
            )
        return self._record(entry).ref

    def alias(self, name: str, alias: str) -> int | None:
        """Return the version number that an alias names, registered by this project or not."""
        entry = self._find_alias(name, alias)
        return int(entry.version) if entry else None

    def aliases(self, name: str) -> dict[str, int]:
        """Return version numbers by alias; empty if the model does not exist."""
        with mlflow_errors(ignore=ABSENT):
            found = self._client.get_registered_model(self._shared(name)).aliases
            return {alias: int(version) for alias, version in found.items()}
        return {}

    def names(self) -> list[str]:
        """Return the names of all models, sorted."""
        search = self._client.search_registered_models
        found = (self._own(each.name) for each in pages(lambda page: search(page_token=page)))
        return sorted(name for name in found if name is not None)

    def versions(self, name: str) -> list[VersionRecord]:
        """Return a model's versions that this project registered, oldest first."""
        found = self._search(f"name='{self._shared(name)}'")
        return [self._record(entry) for entry in found if _RUN_TAG in entry.tags]

    def all_versions(self) -> Iterator[VersionRecord]:
        """Yield all versions that this project registered, with their aliases."""
        search = self._client.search_model_versions
        for entry in pages(lambda page: search(page_token=page)):
            if _RUN_TAG in entry.tags and self._own(entry.name) is not None:
                yield self.record(self._record(entry).ref)

    def version(self, name: str, version: int) -> ModelRef | None:
        """Return a version by its number; None if it does not exist or was deleted."""
        entry = self._find_version(name, version)
        return self._record(entry).ref if entry else None

    def of_run(self, name: str, run: str) -> ModelRef | None:
        """Return the version of a training run or an import; None if it has none.

        If two were made at the same moment, the first one stays and the others are deleted.
        """
        found = self._search(f"name='{self._shared(name)}' and tags.`{_RUN_TAG}`='{run}'")
        for extra in found[1:]:
            with mlflow_errors(ignore=ABSENT):
                self._client.delete_model_version(extra.name, extra.version)
        return self._record(found[0]).ref if found else None

    def of_weights(self, digest: str) -> ModelRef | None:
        """Return the oldest version, of any model, with these weights; None if there is none."""
        found = self._search(f"tags.`{_WEIGHTS_TAG}`='{digest}'")
        own = (entry for entry in found if self._own(entry.name) is not None)
        first = min(own, key=lambda entry: entry.creation_timestamp, default=None)
        return self._record(first).ref if first else None

    def record(self, ref: ModelRef) -> VersionRecord:
        """Return everything that is recorded with a version, and its aliases."""
        entry = self._client.get_model_version(self._shared(ref.name), str(ref.version))
        return self._record(entry, tuple(entry.aliases))

    def dataset_of(self, ref: ModelRef) -> DatasetRef:
        """Return the dataset version that a model version was trained on.

        `RegistryError` for an imported version, which has none.
        """
        record = self.record(ref)
        if record.dataset is None:
            raise RegistryError(
                f"{ref.uri} was imported from {record.source_file or 'elsewhere'} and does not "
                "have a dataset: name a prepared one with the parameter dataset of the flow "
                "(promote, evaluate-model)"
            )
        return record.dataset

    def datasets_of(self, ref: ModelRef) -> tuple[list[DatasetRef], str | None]:
        """Return the dataset versions of a version and of those that it was made from.

        Imported versions have none. The second value is that of `ancestry`.
        """
        records, gone = self.ancestry(ref)
        both = [each for record in records for each in (record.dataset, record.pairs)]
        return [each for each in both if each], gone

    def ancestry(self, ref: ModelRef) -> tuple[list[VersionRecord], str | None]:
        """Return the records of a version and of those that it was made from.

        It was fine-tuned from one, or blended of two. If an earlier version was deleted, nothing
        behind it is known: its address is the second value.
        """
        found: list[VersionRecord] = []
        gone: str | None = None
        waiting = [ref]
        while waiting:
            record = self.record(waiting.pop())
            found.append(record)
            for address in record.made_from:
                name, _, number = parse_address(address)
                version = self.version(name, number) if number else None
                if version is None:
                    gone = address
                else:
                    waiting.append(version)
        return found, gone

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version; the last writer wins, so the promotion log decides."""
        self._client.set_registered_model_alias(self._shared(name), alias, str(version))

    def set_tag(self, ref: ModelRef, name: str, value: str) -> None:
        """Set the tag ``srgan.<name>`` of a version."""
        self._client.set_model_version_tag(
            self._shared(ref.name), str(ref.version), f"{TAG_PREFIX}{name}", value
        )

    def describe(self, ref: ModelRef, markdown: str) -> None:
        """Set the description that a version's page shows, by the beginning of a long card."""
        self._client.update_model_version(
            self._shared(ref.name), str(ref.version), description=description_of(markdown)
        )

    def delete(self, ref: ModelRef) -> None:
        """Delete a version; its MLflow run stays."""
        self._client.delete_model_version(self._shared(ref.name), str(ref.version))

    def load_generator_bytes(self, ref: ModelRef) -> bytes:
        """Download weights and config as safetensors, verified against the version's digest."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        name = self._shared(ref.name)
        uri = self._client.get_model_version_download_uri(name, str(ref.version))
        repository = get_artifact_repository(
            uri, tracking_uri=self._settings.require("mlflow_tracking_uri")
        )
        with tempfile.TemporaryDirectory(prefix="srgan-weights-") as directory:
            path = repository.download_artifacts(GENERATOR_PATH, directory)  # type: ignore[no-untyped-call]  # untyped in MLflow
            data = Path(path).read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != ref.weights_digest:
            raise RegistryError(
                f"weights of {ref.uri} were altered: SHA-256 is {found}, the version says "
                f"{ref.weights_digest}"
            )
        return data

    def _search(self, condition: str) -> "list[ModelVersion]":
        """Return versions that meet a condition, oldest first."""
        search = self._client.search_model_versions
        found = pages(lambda page: search(condition, page_token=page))
        return sorted(found, key=lambda entry: int(entry.version))

    def _find_alias(self, name: str, alias: str) -> "ModelVersion | None":
        with mlflow_errors(ignore=NO_ALIAS):
            return self._client.get_model_version_by_alias(self._shared(name), alias)
        return None

    def _find_version(self, name: str, version: int) -> "ModelVersion | None":
        with mlflow_errors(ignore=ABSENT):
            return self._client.get_model_version(self._shared(name), str(version))
        return None

    def _record(
        self, entry: "ModelVersion", aliases: tuple[str, ...] | None = None
    ) -> VersionRecord:
        name = self._own(entry.name)
        assert name is not None, f"{entry.name} is another team's"
        return VersionRecord(
            name=name,
            version=int(entry.version),
            tags={
                tag.removeprefix(TAG_PREFIX): value
                for tag, value in entry.tags.items()
                if tag.startswith(TAG_PREFIX)
            },
            created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
            mlflow_run=entry.run_id,
            aliases=aliases,
        )

"""Register new model versions: models trained here, with their lineage, and imported ones."""

import tempfile
from dataclasses import replace
from pathlib import Path

from srgan.measure.evaluation import PICTURE
from srgan.measure.figures import means_table, trained_on_judge_note
from srgan.promotion.lineage import ImportLineage, Lineage
from srgan.promotion.record import TAG_PREFIX
from srgan.refs import BlendSource, ModelRef
from srgan.services.mlflow_models import CARD, CHALLENGER, Registry, check_name, description_of
from srgan.services.mlflow_runs import (
    PRESENT,
    artifact_url,
    mlflow_errors,
    start_run,
    tracked_run,
)
from srgan.services.packaging import save_pyfunc
from srgan.settings import Settings
from srgan.storage import ObjectStore
from srgan.train.checkpoint import read_generator


def register_version(
    settings: Settings, store: ObjectStore, model: str, lineage: Lineage
) -> ModelRef:
    """Register the weights of the lineage's checkpoint (see `Registrar.register`)."""
    weights = read_generator(store, lineage.checkpoint)
    return Registrar(settings).register(model, weights, lineage)


class Registrar(Registry):
    """A registry that also makes new versions."""

    def register(self, name: str, weights: bytes, lineage: Lineage) -> ModelRef:
        """Make a version of `name` with alias ``challenger``, or return the one that the run has.

        The alias never moves back to an older version: a run may be registered again much later.
        `weights` are the safetensors whose SHA-256 is the checkpoint's digest.
        """
        found = self.of_run(name, lineage.checkpoint.run)
        ref = found or self._create(name, weights, lineage)
        aliased = self.alias(name, CHALLENGER)
        if aliased is None or aliased < ref.version:
            self.set_alias(name, CHALLENGER, ref.version)
        return ref

    def register_import(
        self, name: str, weights: bytes, lineage: ImportLineage, card: str = ""
    ) -> ModelRef:
        """Make a version of `name`, or return the one that the same file made before.

        `card` is Markdown for the version's page, if more is known than the file.

        No alias moves: ``challenger`` is the newest version that was trained here. An imported
        version is used and promoted by its number. A blend knows those of its two sources that are
        registered, under any name: their weights tell.
        """
        check_name(name)
        found = self.of_run(name, lineage.run)
        return found or self._create_import(name, weights, self._with_known_sources(lineage), card)

    def _create(self, name: str, weights: bytes, lineage: Lineage) -> ModelRef:
        checkpoint = lineage.checkpoint
        run_id = checkpoint.mlflow_run_id or start_run(
            self._settings,
            name=checkpoint.run,
            key=checkpoint.run,
            parent=None,
            params={},
        )
        return self._publish(name, weights, run_id, lineage.tags, self._describe(lineage))

    def _with_known_sources(self, lineage: ImportLineage) -> ImportLineage:
        if lineage.blend is None:
            return lineage
        first, second = map(self._known, lineage.blend.sources)
        blend = lineage.blend.model_copy(update={"first": first, "second": second})
        return replace(lineage, blend=blend)

    def _known(self, source: BlendSource) -> BlendSource:
        # What the file itself says about runs does not count.
        found = self.of_weights(source.weights)
        known = {"model": found.uri, "runs": found.training_runs} if found else {"runs": ()}
        return source.model_copy(update=known)

    def _create_import(
        self, name: str, weights: bytes, lineage: ImportLineage, card: str
    ) -> ModelRef:
        text = card or (
            f"Imported from `{lineage.source_file}` ({lineage.source_format}, SHA-256 "
            f"`{lineage.source_sha256[:16]}…`). Neither trained nor measured here."
        )
        if lineage.blend:
            text += f" Blended: {lineage.blend}."
        # One run per model name: two names must not overwrite each other's artifacts.
        with tracked_run(
            self._settings,
            name=lineage.run,
            key=f"{name}/{lineage.run}",
            parent=None,
            params=lineage.tags,
        ) as run_id:
            return self._publish(name, weights, run_id, lineage.tags, text)

    def _publish(
        self, name: str, weights: bytes, run_id: str, tags: dict[str, str], description: str
    ) -> ModelRef:
        """Upload the artifacts below the run, then make and return the version."""
        with tempfile.TemporaryDirectory(prefix="srgan-model-") as directory:
            model = Path(directory) / "model"
            save_pyfunc(model, weights)
            self._client.log_artifacts(run_id, str(model), "model")
        self._client.log_text(run_id, description, CARD)
        self._ensure_model(name)
        self._client.create_model_version(
            self._shared(name),
            source=f"{self._client.get_run(run_id).info.artifact_uri}/model",
            run_id=run_id,
            tags={f"{TAG_PREFIX}{tag}": value for tag, value in tags.items()},
            description=description_of(description),
        )
        # Look it up: another process, or this request repeated after a lost answer, may have made
        # a version of the same run, and MLflow cannot write on condition.
        made = self.of_run(name, tags["run"])
        assert made is not None
        return made

    def _describe(self, lineage: Lineage) -> str:
        """Write the Markdown for the version's page: figures and the comparison picture."""
        dataset, evaluation = lineage.dataset, lineage.evaluation
        text = (
            f"Trained on `{dataset.dataset}` version `{dataset.version[:12]}` "
            f"({dataset.num_train_photos} photos), measured on {evaluation.num_images} "
            f"held-out crops.\n\n"
            f"{means_table(evaluation.metrics, evaluation.trained_on_judge).markdown()}\n"
        )
        for each, found in evaluation.sets.items():
            text += f"\nEvaluation set `{each}` version `{found.version[:12]}`:\n\n"
            text += f"{means_table(found.metrics, evaluation.trained_on_judge).markdown()}\n"
        if run_id := evaluation.mlflow_run_id:
            picture = artifact_url(self._settings, run_id, PICTURE)
            text += f"\n![comparison]({picture})\n"
            if caption := trained_on_judge_note(evaluation.trained_on_judge):
                text += f"\n{caption}\n"
        return text

    def _ensure_model(self, name: str) -> None:
        with mlflow_errors(ignore=PRESENT):
            self._client.create_registered_model(self._shared(name))

"""What an evaluation job is told, and where its results lie."""

from pydantic import Field

from srgan import keys
from srgan.config import Config
from srgan.perceptual import FeatureNetwork
from srgan.refs import CheckpointRef, DatasetRef, ModelRef, SetRef, config_digest

MODEL, PRETRAINED, CHAMPION = "model", "pretrained", "champion"


class EvaluateSpec(Config):
    """What to measure, and on what."""

    dataset: DatasetRef
    contestants: dict[str, CheckpointRef | ModelRef]
    """``model`` (the one that this is about), and ``pretrained`` and ``champion`` if any."""
    judges: dict[FeatureNetwork, str] = Field(default_factory=dict)
    """SHA-256 of the mirrored weights of each perceptual network that measures a distance."""
    sets: tuple[SetRef, ...] = ()
    """Evaluation sets to measure on besides the held-out crops."""
    numerics_version: str
    """Of the code that the evaluation is named by."""
    release_version: str
    mlflow_run_id: str | None = None
    """Where picture, report and figures are logged."""

    @property
    def digest(self) -> str:
        """Names the evaluation by what goes in, whichever way the weights are addressed."""
        weights = (f"{name}:{weights_digest(ref)}" for name, ref in self.contestants.items())
        judges = (f"{network}:{sha256}" for network, sha256 in self.judges.items())
        sets = (f"{each.name}:{each.version}" for each in self.sets)
        return config_digest(
            self.dataset.version,
            *sorted(weights),
            *sorted(judges),
            *sorted(sets),
            self.numerics_version,
        )

    @property
    def run(self) -> str:
        """Name below ``runs/``; the results lie next to the checkpoint that they are about."""
        return keys.evaluation_run(self.contestants[MODEL].run, self.digest[:16])

    @property
    def spec_key(self) -> str:
        return keys.spec_key(self.run)

    @property
    def report_key(self) -> str:
        return keys.report_key(self.run)

    def set_report_key(self, name: str) -> str:
        """Report on one evaluation set."""
        return keys.set_report_key(self.run, name)

    @property
    def picture_key(self) -> str:
        return keys.picture_key(self.run)

    @property
    def details_key(self) -> str:
        """`Details` as JSON: the pictures of a retraining's report."""
        return keys.details_key(self.run)

    @property
    def result_key(self) -> str:
        """`EvaluationRef` as JSON, written last: whoever finds it finds the rest."""
        return keys.evaluation_key(self.run)


def weights_digest(ref: CheckpointRef | ModelRef) -> str:
    """SHA-256 of the generator that a checkpoint or model version stands for."""
    return ref.digest if isinstance(ref, CheckpointRef) else ref.weights_digest

"""Tell how far a job is: the document that it writes, and that flows and displays read."""

import json

from pydantic import BaseModel, ConfigDict, RootModel

from srgan.keys import progress_key
from srgan.readable import duration
from srgan.storage import ObjectStore, find_document

_TOLD_WAIT_SHARE = 0.1


class Progress(BaseModel):
    """Progress of any job.

    The node's release writes it and the flow's release, which may be another, reads it: fields that
    this release does not know are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    step: int
    """Number of training steps, batches or photos that are done."""
    steps: int
    eta_s: float | None = None
    """Seconds to the end; None if the job does not know."""
    what: str = "batches"
    """Name of what a job counts, for people; stages count steps."""


class StageProgress(Progress):
    """Progress of a training stage; means over the latest logging interval."""

    stage: str
    eta_s: float
    """Seconds to the end at the recent pace, validation and checkpoints included."""
    crops_per_s: float
    """HR patches per second over all ranks, without validation and checkpoints."""
    learning_rate: float
    losses: dict[str, float]
    """Means over ranks and steps; non-finite ones are left out."""
    data_wait_share: float
    """Share of the time that the rank that waited longest waited for patches."""
    data_wait_s: float
    """Seconds that it waited."""
    missed_share: float | None
    """The `adversarial_share` of the config, if the bound of the weight kept the stage below it."""
    memory_bytes: int
    """Peak of rank 0's process, or of its GPU."""

    def line(self) -> str:
        """One line for people."""
        losses = "  ".join(f"{name} {value:.4g}" for name, value in sorted(self.losses.items()))
        waits = self.data_wait_share >= _TOLD_WAIT_SHARE
        waited = f"  waited {self.data_wait_s:.1f} s for patches" if waits else ""
        bound = (
            f"  adversarial_weight is at its bound, too small for the share {self.missed_share:g}"
            if self.missed_share
            else ""
        )
        return (
            f"{self.stage} {self.step}/{self.steps}  {self.crops_per_s:.1f} crops/s  "
            f"{duration(self.eta_s)} left  {losses}{bound}{waited}"
        )


class _Document(RootModel[StageProgress | Progress]):
    """The kind that has most of the fields."""


def write_progress(store: ObjectStore, run: str, progress: Progress) -> None:
    """Write how far the job of a run is, with the fields that it has set; raise `StorageError`."""
    body = json.dumps(progress.model_dump(exclude_unset=True), sort_keys=True, indent=1)
    store.put(progress_key(run), body.encode(), content_type="application/json")


def find_progress(store: ObjectStore, run: str) -> Progress | None:
    """Read how far any job of a run has come; None before the first has written it.

    `DocumentError` if it is damaged.
    """
    found = find_document(store, progress_key(run), _Document)
    return None if found is None else found.root

"""The map of the bucket: every key of ours, spelled here and nowhere else.

A key is a function of the names in it; its docstring says what lies there. From these functions
come the prefixes that are never read as a user's photos (`is_ours`) and the table of
``docs/reference.md``. Buckets in use hold these keys, so none may change.
"""

import inspect
import re
from collections.abc import Callable
from typing import Generic, ParamSpec

from srgan.storage import prefix_of

P = ParamSpec("P")

# A parameter is shown as its name in angle brackets and matches one part of a path, a number
# matches digits, unless it is listed here.
_SHOWN = {"evaluation": "<stage>/evaluations/<digest>"}
_MATCHES = {
    "destination": ".*",
    "evaluation": "[^/]+/evaluations/[^/]+",
    "run": r"[^/]+(?:/evaluations/[^/]+|/\d{6})?",
    "sha256": "[0-9a-f]{64}",
}


class Key(Generic[P]):
    """One kind of object: a function that makes its keys, and that knows them again."""

    rest, rest_pattern = "", ""

    def __init__(self, function: Callable[P, str]) -> None:
        self._function = function
        self.what = " ".join((inspect.getdoc(function) or "").split())
        """Describes the object."""
        parameters = inspect.signature(function).parameters
        shown = {name: _SHOWN.get(name, f"<{name.replace('_', ' ')}>") for name in parameters}
        path = _fill(function, shown)
        self.template = path + self.rest
        """The key with its names in angle brackets."""
        pattern = re.escape(path) + self.rest_pattern
        for name, parameter in parameters.items():
            usual = r"\d+" if parameter.annotation is int else "[^/]+"
            group = f"(?P<{name}>{_MATCHES.get(name, usual)})"
            pattern = pattern.replace(re.escape(shown[name]), group)
        # The prefix of a destination that is a whole bucket is empty.
        pattern = pattern.replace("(?P<destination>.*)/", "(?:(?P<destination>.*)/)?")
        self._pattern = re.compile(pattern, re.DOTALL)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> str:
        return self._function(*args, **kwargs)

    def names(self, key: str) -> dict[str, str] | None:
        """The names in a key of this kind; None when the key is of another kind."""
        found = self._pattern.fullmatch(key)
        return found and {name: value or "" for name, value in found.groupdict().items()}


class Folder(Key[P]):
    """The path of a folder in which somebody else names the objects: Ray, MLflow, a disk."""

    rest, rest_pattern = "/…", "/.+"


class _StandIn(str):
    """Takes the place of a name or a number, and stays what it is in any format."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return str(self)


def _fill(function: Callable[..., str], shown: dict[str, str]) -> str:
    stand_ins = {name: _StandIn(each) for name, each in shown.items()}
    if "destination" in shown:  # the only name that is an address
        stand_ins["destination"] = _StandIn(f"s3://any/{shown['destination']}")
    return function(**stand_ins)


# Datasets of HR crops.

CROPS = "crops/"


def shards_prefix(dataset: str) -> str:
    return f"{CROPS}{dataset}/shards/"


@Key
def shard_key(dataset: str, sha256: str) -> str:
    """HR crops, uint8 (N, P, P, 3) RGB; readable with `numpy.load(mmap_mode="r")`."""
    return f"{shards_prefix(dataset)}{sha256}.npy"


def tables_prefix(dataset: str) -> str:
    return f"{CROPS}{dataset}/tables/"


@Key
def table_key(dataset: str, sha256: str) -> str:
    """Sources (key, change token, outcome, reason) or photos (pixel digest, split, shard rows)."""
    return f"{tables_prefix(dataset)}{sha256}.parquet"


@Key
def dataset_version_key(dataset: str, version: str) -> str:
    """One version of a dataset: its config, tables and shards; written after them."""
    return f"{CROPS}{dataset}/versions/{version}.json"


@Key
def newest_dataset_key(dataset: str) -> str:
    """The newest version of a dataset."""
    return f"{CROPS}{dataset}/latest.json"


@Key
def announced_key(dataset: str) -> str:
    """The version from which the growth that starts a retraining is counted."""
    return f"{CROPS}{dataset}/announced.json"


# Evaluation sets.

SETS = "sets/"


@Key
def set_photo_key(set_name: str, pixels: str) -> str:
    """A photo of an evaluation set, without loss, named by its pixels."""
    return f"{SETS}{set_name}/photos/{pixels}.png"


@Key
def set_version_key(set_name: str, version: str) -> str:
    """One version of an evaluation set: its photos and how they are cut."""
    return f"{SETS}{set_name}/versions/{version}.json"


@Key
def newest_set_key(set_name: str) -> str:
    """The newest version of an evaluation set."""
    return f"{SETS}{set_name}/latest.json"


# Training stages, evaluations and batches of bulk runs: what jobs are told, and what they leave.

RUNS = "runs/"
BATCH = "upscale-"
"""How the names of runs begin that are batches of bulk runs."""


def evaluation_run(stage: str, digest: str) -> str:
    """Name of the run that evaluates what `stage` has trained."""
    return f"{stage}/evaluations/{digest}"


def batch_run(bulk_run: str, batch: int) -> str:
    """Name of the run that makes one batch of a bulk run."""
    return f"{BATCH}{bulk_run}/{batch:06d}"


def batch_of(run: str) -> int | None:
    """Number of the batch that a run makes, by its name; None when it makes something else."""
    number = run.rpartition("/")[2]
    return int(number) if number.isdecimal() else None


def batches_prefix(bulk_run: str = "") -> str:
    """Below it are the batches of a bulk run, or of all."""
    return f"{RUNS}{BATCH}{bulk_run}"


@Key
def spec_key(run: str) -> str:
    """The spec that the job of a run reads."""
    return f"{RUNS}{run}/spec.json"


@Key
def failure_key(run: str) -> str:
    """The error of the job of a run that failed last, and whether another attempt could help."""
    return f"{RUNS}{run}/failure.json"


def run_of(key: str) -> str:
    """The run whose job reads the spec at `key`."""
    names = spec_key.names(key)
    assert names is not None  # a job is started with the key of a spec
    return names["run"]


@Key
def job_key(run: str, job: str) -> str:
    """Empty: this job id has been used, and Ray must not see it again."""
    return f"{RUNS}{run}/jobs/{job}"


def costs_prefix(run: str) -> str:
    return f"{RUNS}{run}/costs/"


@Key
def cost_key(run: str, job: str) -> str:
    """CPUs and GPUs that a job reserved, and for how long."""
    return f"{costs_prefix(run)}{job}.json"


@Key
def progress_key(stage: str) -> str:
    """How far a stage is."""
    return f"{RUNS}{stage}/progress.json"


@Key
def result_key(stage: str) -> str:
    """The checkpoint that a stage ended with; written last."""
    return f"{RUNS}{stage}/result.json"


def checkpoints_prefix(stage: str) -> str:
    return f"{RUNS}{stage}/checkpoints/"


@Key
def checkpoint_key(stage: str, step: int) -> str:
    """The manifest of a checkpoint; written after its parts."""
    return f"{checkpoints_prefix(stage)}{step:09d}.json"


def parts_prefix(stage: str) -> str:
    return f"{RUNS}{stage}/parts/"


@Key
def part_key(stage: str, sha256: str) -> str:
    """One part of checkpoints, such as the generator or the optimisers."""
    return f"{parts_prefix(stage)}{sha256}"


@Key
def rank_key(stage: str, rank: int) -> str:
    """The latest sign of life of a rank, while the stage runs."""
    return f"{RUNS}{stage}/ranks/{rank}.json"


@Folder
def ray_folder(stage: str) -> str:
    """Files of Ray Train itself."""
    return f"{RUNS}{stage}/ray"


def registrations_prefix(stage: str) -> str:
    return f"{RUNS}{stage}/registrations/"


@Key
def registration_key(stage: str, model: str) -> str:
    """Everything that a model version is made of, before the registry is asked."""
    return f"{registrations_prefix(stage)}{model}.json"


@Key
def report_page_key(stage: str, flow_run: str) -> str:
    """The report of a retraining."""
    return f"{RUNS}{stage}/reports/{flow_run}.html"


def evaluations_prefix(stage: str) -> str:
    return f"{RUNS}{stage}/evaluations/"


def evaluation_of(key: str) -> str:
    """``<stage>/evaluations/<digest>``, by the key of its report."""
    return key.removeprefix(RUNS).rpartition("/")[0]


@Key
def report_key(evaluation: str) -> str:
    """Figures of every held-out crop."""
    return f"{RUNS}{evaluation}/report.json"


@Key
def set_report_key(evaluation: str, set_name: str) -> str:
    """Figures of every image of an evaluation set."""
    return f"{RUNS}{evaluation}/sets/{set_name}.json"


@Key
def picture_key(evaluation: str) -> str:
    """The held-out details that bicubic loses most, enlarged by every contestant."""
    return f"{RUNS}{evaluation}/comparison.png"


@Key
def details_key(evaluation: str) -> str:
    """Crops that the report of a retraining shows."""
    return f"{RUNS}{evaluation}/details.json"


@Key
def evaluation_key(evaluation: str) -> str:
    """The result of an evaluation; written last."""
    return f"{RUNS}{evaluation}/evaluation.json"


# The life of models.


@Key
def beginning_key(flow_run: str) -> str:
    """The beginning of a retraining: dataset version, champion to beat, reason. A flow run that is
    put back goes on with it."""
    return f"retrainings/{flow_run}.json"


def promotions_prefix(model: str) -> str:
    return f"promotions/{model}/"


@Key
def promotion_key(model: str, number: int) -> str:
    """A decision with its rule, margins, figures, intervals and judges; the alias `champion`
    follows it."""
    return f"{promotions_prefix(model)}{number:06d}.json"


def studies_prefix(model: str) -> str:
    return f"mos/{model}/"


@Key
def study_key(model: str, digest: str) -> str:
    """One study of mean opinion scores."""
    return f"{studies_prefix(model)}{digest}.json"


# Perceptual networks.

WEIGHTS = "weights/"


@Key
def weights_key(sha256: str) -> str:
    """Weights of a perceptual network, as published."""
    return f"{WEIGHTS}{sha256}"


@Key
def mirrored_key(network: str) -> str:
    """Which weights were mirrored last under the name of a network."""
    return f"{WEIGHTS}{network}.json"


@Folder
def mlflow_folder() -> str:
    """MLflow's artifacts: pictures, configs, weights of model versions."""
    return "mlflow"


# Bulk runs, below their destination: a prefix of any bucket, or a folder of a disk.

OWN = "_srgan"
"""Below a folder of this name nothing is a user's, in any bucket and on any disk."""


def own_prefix(destination: str) -> str:
    return f"{prefix_of(destination)[1]}{OWN}/"


@Key
def plan_key(destination: str, bulk_run: str) -> str:
    """The plan that all batches of a bulk run share; written after them."""
    return f"{own_prefix(destination)}{bulk_run}/plan.json"


@Key
def batch_key(destination: str, bulk_run: str, batch: int) -> str:
    """The photos of a batch."""
    return f"{own_prefix(destination)}{bulk_run}/plan/{batch:06d}.json"


@Key
def records_key(destination: str, bulk_run: str, batch: int) -> str:
    """One row for each photo of a batch: done, skipped or failed."""
    return f"{own_prefix(destination)}{bulk_run}/records/{batch:06d}.parquet"


@Key
def refused_key(destination: str, bulk_run: str, number: int) -> str:
    """Photos that no batch has, because of their names."""
    return f"{own_prefix(destination)}{bulk_run}/records/refused-{number:06d}.parquet"


def batch_progress_prefix(destination: str, bulk_run: str) -> str:
    return f"{own_prefix(destination)}{bulk_run}/progress/"


@Key
def batch_progress_key(destination: str, bulk_run: str, batch: int) -> str:
    """How far a batch is."""
    return f"{batch_progress_prefix(destination, bulk_run)}{batch:06d}.json"


def samples_prefix(destination: str, bulk_run: str) -> str:
    return f"{own_prefix(destination)}{bulk_run}/samples/"


@Key
def samples_key(destination: str, bulk_run: str, batch: int) -> str:
    """Before and after of a few photos of a batch."""
    return f"{samples_prefix(destination, bulk_run)}{batch:06d}.png"


@Key
def contact_sheet_key(destination: str, bulk_run: str) -> str:
    """Before and after of a few photos of a bulk run."""
    return f"{own_prefix(destination)}{bulk_run}/contact-sheet.jpg"


@Key
def summary_key(destination: str, bulk_run: str) -> str:
    """Counts of a bulk run; written last."""
    return f"{own_prefix(destination)}{bulk_run}/summary.json"


@Folder
def objects_folder(destination: str) -> str:
    """On a disk: the metadata that a bucket keeps with its objects."""
    return f"{own_prefix(destination)}objects"


@Folder
def unfinished_folder(destination: str) -> str:
    """On a disk: files that are being written."""
    return f"{own_prefix(destination)}unfinished"


@Key
def lock_key(destination: str) -> str:
    """On a disk: held by who writes under a condition."""
    return f"{own_prefix(destination)}lock"


MAP: tuple[Key[...], ...] = tuple(each for each in vars().values() if isinstance(each, Key))
"""Every kind of object that this system writes."""

OWN_PREFIXES = tuple(
    sorted({each.template.partition("/")[0] + "/" for each in MAP if each.template[0] != "<"})
)
"""Below these, everything in the bucket of this system is its own."""


def is_ours(key: str, *, own_bucket: bool) -> bool:
    """Whether this system wrote what lies at `key`, so that it is not a user's photo."""
    return OWN in key.split("/") or (own_bucket and key.startswith(OWN_PREFIXES))


def reference_table() -> str:
    """The rows of ``docs/reference.md``."""
    return "".join(f"| `{each.template}` | {each.what} |\n" for each in MAP)

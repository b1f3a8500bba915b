"""The map of the bucket: every key of ours, spelled here and nowhere else.

An entry makes keys from the names in its template, reads the names in a key, and says what lies
there. From the entries come the prefixes that are never read as a user's photos (`is_ours`) and the
table of ``docs/reference.md``. Buckets in use hold these keys, so none may change.
"""

import re
from string import Formatter
from typing import Generic, ParamSpec

from srgan.storage import prefix_of

P = ParamSpec("P")

# A name is shown in angle brackets and matches one part of a path, or digits where its template
# formats a number, unless it is listed here.
_SHOWN = {"destination": "<destination>/", "evaluation": "<run>/evaluations/<digest>"}
_MATCHES = {
    "destination": "(?:(?P<destination>.*)/)?",  # empty for a whole bucket
    "evaluation": "(?P<evaluation>[^/]+/evaluations/[^/]+)",
    "run": r"(?P<run>[^/]+(?:/evaluations/[^/]+|/\d{6})?)",
    "sha256": "(?P<sha256>[0-9a-f]{64})",
}


class Key(Generic[P]):
    """One kind of object: makes its keys and recognises them. `P` are the types of its names."""

    shown_below, pattern_below = "", ""

    def __init__(self, template: str, what: str) -> None:
        self.what = what
        """Describes the object."""
        self.template = ""
        """The key with its names in angle brackets."""
        self._format, self._names, pattern = template, list[str](), ""
        for text, name, spec, _ in Formatter().parse(template):
            self.template += text
            pattern += re.escape(text)
            if name is not None:
                usual = r"\d+" if spec else "[^/]+"
                self._names.append(name)
                self.template += _SHOWN.get(name, f"<{name.replace('_', ' ')}>")
                pattern += _MATCHES.get(name, f"(?P<{name}>{usual})")
        self.template += self.shown_below
        self._pattern = re.compile(pattern + self.pattern_below, re.DOTALL)

    def __call__(self, *names: P.args, **_: P.kwargs) -> str:
        return self._fill(self._format, names)

    def below(self, *names: str) -> str:
        """The prefix of all keys of this kind that begin with these names."""
        return self._fill(self._format.partition("{" + self._names[len(names)])[0], names)

    def names(self, key: str) -> dict[str, str] | None:
        """The names in a key of this kind; None if the key is of another kind."""
        found = self._pattern.fullmatch(key)
        return found and {name: value or "" for name, value in found.groupdict().items()}

    def _fill(self, text: str, values: tuple[object, ...]) -> str:
        names = dict(zip(self._names, values, strict=False))
        if "destination" in names:  # the only name that is an address
            names["destination"] = prefix_of(str(names["destination"]))[1]
        return text.format_map(names)


class Folder(Key[P]):
    """The path of a folder in which somebody else names the objects: Ray, MLflow, a disk."""

    shown_below, pattern_below = "/…", "/.+"


# Datasets of HR crops.

CROPS = "crops/"

shard_key = Key[str, str](
    "crops/{dataset}/shards/{sha256}.npy",
    "HR crops, uint8 (N, P, P, 3) RGB, or pairs, (N, 3·P² + 3·p²): HR (P, P, 3), then LR (p, p, 3);"
    ' readable with `numpy.load(mmap_mode="r")`.',
)
packed_shard_key = Key[str, str](
    "crops/{dataset}/shards/{sha256}.packed",
    "HR crops, packed without loss by `data.compress`.",
)
table_key = Key[str, str](
    "crops/{dataset}/tables/{sha256}.parquet",
    "Sources (key, change token, outcome, reason, statistics) or photos (pixel digest, split, "
    "shard rows).",
)
dataset_version_key = Key[str, str](
    "crops/{dataset}/versions/{version}.json",
    "One version of a dataset: its config, tables and shards; written after them.",
)
newest_dataset_key = Key[str]("crops/{dataset}/latest.json", "The newest version of a dataset.")
begun_dataset_key = Key[str](
    "crops/{dataset}/begun.json",
    "How far an attempt at the next version has come; deleted when there is one.",
)
announced_key = Key[str](
    "crops/{dataset}/announced.json",
    "The version from which the growth that starts a retraining is counted.",
)

# Evaluation sets.

set_photo_key = Key[str, str](
    "sets/{set_name}/photos/{pixels}.png",
    "A photo of an evaluation set, without loss, named by its pixels.",
)
set_version_key = Key[str, str](
    "sets/{set_name}/versions/{version}.json",
    "One version of an evaluation set: its photos and how they are cut.",
)
newest_set_key = Key[str]("sets/{set_name}/latest.json", "The newest version of an evaluation set.")

# Runs: training stages, evaluations, bulk runs and their batches. What jobs read and leave behind.

RUNS = "runs/"
BATCH = "upscale-"
"""Prefix of the names of bulk runs and of their batches."""

spec_key = Key[str]("runs/{run}/spec.json", "The spec that the job of a run reads.")
failure_key = Key[str](
    "runs/{run}/failure.json",
    "The error of the job of a run that failed last, or of a lost batch, and whether another "
    "attempt could help.",
)
job_key = Key[str, str](
    "runs/{run}/jobs/{job}", "Empty: this job id has been used, and Ray must not see it again."
)
in_work_key = Key[str](
    "runs/{run}/in-work.json",
    "The photo that a batch has in work, where photos go one at a time because a process has ended "
    "in the middle of it.",
)
cost_key = Key[str, str](
    "runs/{run}/costs/{job}.json", "CPUs and GPUs that a job reserved, and for how long."
)
progress_key = Key[str](
    "runs/{run}/progress.json",
    "How far a stage is, in steps, a bulk run, in batches, or a preparation, in photos.",
)
prepared_key = Key[str](
    "runs/{run}/prepared.json",
    "The dataset version or evaluation set that a preparation made; written last.",
)
result_key = Key[str](
    "runs/{run}/result.json", "The checkpoint that a stage ended with; written last."
)
checkpoint_key = Key[str, int](
    "runs/{run}/checkpoints/{step:09d}.json",
    "The manifest of a checkpoint; written after its parts.",
)
part_key = Key[str, str](
    "runs/{run}/parts/{sha256}",
    "One part of checkpoints, such as the generator or the optimisers.",
)
rank_key = Key[str, int](
    "runs/{run}/ranks/{rank:d}.json", "The latest heartbeat of a rank, while the stage runs."
)
ray_folder = Folder[str]("runs/{run}/ray", "Files of Ray Train itself.")
registration_key = Key[str, str](
    "runs/{run}/registrations/{model}.json",
    "Everything that a model version is made of, before the registry is asked.",
)
report_page_key = Key[str, str]("runs/{run}/reports/{flow_run}.html", "The report of a retraining.")
report_key = Key[str]("runs/{evaluation}/report.json", "Figures of every held-out crop.")
set_report_key = Key[str, str](
    "runs/{evaluation}/sets/{set_name}.json", "Figures of every image of an evaluation set."
)
picture_key = Key[str](
    "runs/{evaluation}/comparison.png",
    "The held-out details that bicubic loses most, enlarged by every contestant.",
)
details_key = Key[str](
    "runs/{evaluation}/details.json", "Crops that the report of a retraining shows."
)
evaluation_key = Key[str](
    "runs/{evaluation}/evaluation.json", "The result of an evaluation; written last."
)


def evaluation_run(run: str, digest: str) -> str:
    """Name of the run that evaluates what another `run` has trained."""
    return f"{run}/evaluations/{digest}"


def evaluations_prefix(run: str) -> str:
    """Below it are the evaluations of what a `run` has trained."""
    return RUNS + evaluation_run(run, "")


def bulk_job_run(bulk_run: str) -> str:
    """Name of the run whose job does the batches of a bulk run."""
    return f"{BATCH}{bulk_run}"


def batch_run(bulk_run: str, batch: int) -> str:
    """Name of the run that makes one batch of a bulk run."""
    return f"{BATCH}{bulk_run}/{batch:06d}"


def batches_prefix(bulk_run: str = "") -> str:
    """Below it are the batches of a bulk run, or of all."""
    return f"{RUNS}{BATCH}{bulk_run}"


def batch_of(run: str) -> int | None:
    """Number of the batch that a run makes, by its name; None if it makes something else."""
    number = run.rpartition("/")[2]
    return int(number) if number.isdecimal() else None


def run_of(key: str) -> str:
    """The run whose job reads the spec at `key`."""
    names = spec_key.names(key)
    assert names is not None  # a job is started with the key of a spec
    return names["run"]


def evaluation_of(key: str) -> str:
    """``<run>/evaluations/<digest>``, by the key of its report."""
    return key.removeprefix(RUNS).rpartition("/")[0]


# The life of models.

doctor_key = Key[str](
    "runs/doctor/{probe}", "An object that `srgan doctor` writes, reads and deletes again."
)
beginning_key = Key[str](
    "retrainings/{flow_run}.json",
    "The beginning of a retraining: dataset version, champion to beat, reason. A flow run that is "
    "put back goes on with it.",
)
promotion_key = Key[str, int](
    "promotions/{model}/{number:06d}.json",
    "A decision with its rule, margins, figures, intervals and judges; the alias `champion` "
    "follows it.",
)
deletion_key = Key[str, int, str](
    "promotions/{model}/deleted/{version:06d}-{run}.json",
    "Who deleted a model version, and when.",
)
drift_key = Key[str, int](
    "promotions/{model}/drift/{version:06d}.json",
    "How the sources of the last bulk run with a version differ from what it was trained on.",
)
study_key = Key[str, str]("mos/{model}/{digest}.json", "One study of mean opinion scores.")

# Studies in which people judge pictures.

design_key = Key[str](
    "studies/{study}/study.json",
    "The design of a study: images, methods, crops, raters, seed; written last, never changed.",
)
study_picture_key = Key[str, str](
    "studies/{study}/shown/{sha256}.png", "What one method made of an image, as raters see it."
)
part_of_rater_key = Key[str, str](
    "studies/{study}/ratings/{rater}.json",
    "Everything that one rater has judged so far; deleted when the rater withdraws.",
)
study_figures_key = Key[str](
    "studies/{study}/figures.csv",
    "PSNR, SSIM and distances of the pictures that raters saw, by method and image.",
)
study_report_key = Key[str]("studies/{study}/report.html", "The report of a closed study.")
study_end_key = Key[str](
    "studies/{study}/closed.json", "The study is closed: nobody can rate any more."
)

# Perceptual networks.

WEIGHTS = "weights/"

weights_key = Key[str]("weights/{sha256}", "Weights of a perceptual network, as published.")
mirrored_key = Key[str](
    "weights/{network}.json", "Which weights were mirrored last under the name of a network."
)
mlflow_folder = Folder[[]](
    "mlflow", "MLflow's artifacts: pictures, configs, weights of model versions."
)

# Bulk runs, below their destination: a prefix of any bucket, or a folder of a disk.

OWN = "_srgan"
"""Nothing below a folder of this name is a user's, in any bucket and on any disk."""

plan_key = Key[str, str](
    "{destination}_srgan/{bulk_run}/plan.json",
    "The plan that all batches of a bulk run share; written after them.",
)
batch_key = Key[str, str, int](
    "{destination}_srgan/{bulk_run}/plan/{batch:06d}.json", "The photos of a batch."
)
records_key = Key[str, str, int](
    "{destination}_srgan/{bulk_run}/records/{batch:06d}.parquet",
    "One row for each source of a batch: done, skipped, failed or passed over.",
)
refused_key = Key[str, str, int](
    "{destination}_srgan/{bulk_run}/records/refused-{number:06d}.parquet",
    "Photos that no batch has, because of their names.",
)
batch_progress_key = Key[str, str, int](
    "{destination}_srgan/{bulk_run}/progress/{batch:06d}.json", "How far a batch is."
)
samples_key = Key[str, str, int](
    "{destination}_srgan/{bulk_run}/samples/{batch:06d}.png",
    "Before and after of a few photos of a batch.",
)
contact_sheet_key = Key[str, str](
    "{destination}_srgan/{bulk_run}/contact-sheet.jpg",
    "Before and after of a few photos of a bulk run.",
)
summary_key = Key[str, str](
    "{destination}_srgan/{bulk_run}/summary.json", "Counts of a bulk run; written last."
)
objects_folder = Folder[str](
    "{destination}_srgan/objects",
    "On a disk: the metadata that a bucket keeps with its objects.",
)
unfinished_folder = Folder[str](
    "{destination}_srgan/unfinished", "On a disk: files that are being written."
)
lock_key = Key[str]("{destination}_srgan/lock", "On a disk: held while writing on a condition.")


# Several teams in one bucket.

team_folder = Folder[str](
    "teams/{team}",
    "Everything of one of several teams: all of the above, as in its own bucket.",
)


def prefix_of_team(team: str) -> str:
    """Beginning of all keys of a team in its bucket; empty if there is only one team."""
    return f"{team_folder(team)}/" if team else ""


MAP: tuple[Key[...], ...] = tuple(each for each in vars().values() if isinstance(each, Key))
"""Every kind of object that this system writes."""

OWN_PREFIXES = tuple(
    sorted({each.template.partition("/")[0] + "/" for each in MAP if each.template[0] != "<"})
)
"""Everything below these prefixes of this system's bucket is its own."""


def is_ours(key: str, *, own_prefix: str | None = None) -> bool:
    """True if this system wrote the object at `key`, so that it is not a user's photo.

    `own_prefix` is the team's in its own bucket, where everything of other teams counts as ours
    too; None in any other bucket.
    """
    if OWN in key.split("/"):
        return True
    return own_prefix is not None and key.removeprefix(own_prefix).startswith(OWN_PREFIXES)


def reference_table() -> str:
    """The rows of ``docs/reference.md``."""
    return "".join(f"| `{each.template}` | {each.what} |\n" for each in MAP)

"""The map of the bucket: no key changes, no other file spells one, nothing of ours is a photo."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from srgan import keys
from srgan.keys import MAP, OWN, OWN_PREFIXES, is_ours, reference_table

ROOT = Path(__file__).parents[1]
SHA256 = "a1" * 32
UP = "s3://b/up"

# Written by hand, because buckets hold these keys.
KEYS = {
    keys.shard_key("pets", SHA256): f"crops/pets/shards/{SHA256}.npy",
    keys.packed_shard_key("pets", SHA256): f"crops/pets/shards/{SHA256}.packed",
    keys.table_key("pets", SHA256): f"crops/pets/tables/{SHA256}.parquet",
    keys.dataset_version_key("pets", "v1"): "crops/pets/versions/v1.json",
    keys.newest_dataset_key("pets"): "crops/pets/latest.json",
    keys.announced_key("pets"): "crops/pets/announced.json",
    keys.begun_dataset_key("pets"): "crops/pets/begun.json",
    keys.set_photo_key("own", "p1"): "sets/own/photos/p1.png",
    keys.set_version_key("own", "v1"): "sets/own/versions/v1.json",
    keys.newest_set_key("own"): "sets/own/latest.json",
    keys.doctor_key("1a2b"): "runs/doctor/1a2b",
    keys.failure_key("pretrain-1"): "runs/pretrain-1/failure.json",
    keys.spec_key("pretrain-1"): "runs/pretrain-1/spec.json",
    keys.spec_key(keys.evaluation_run("gan-1", "d1")): "runs/gan-1/evaluations/d1/spec.json",
    keys.spec_key(keys.batch_run("f-1", 3)): "runs/upscale-f-1/000003/spec.json",
    keys.job_key("pretrain-1", "root-pretrain-1-1"): "runs/pretrain-1/jobs/root-pretrain-1-1",
    keys.in_work_key("upscale-1/000003"): "runs/upscale-1/000003/in-work.json",
    keys.cost_key("pretrain-1", "root-1"): "runs/pretrain-1/costs/root-1.json",
    keys.progress_key("pretrain-1"): "runs/pretrain-1/progress.json",
    keys.result_key("pretrain-1"): "runs/pretrain-1/result.json",
    keys.prepared_key("prepare-1"): "runs/prepare-1/prepared.json",
    keys.checkpoint_key("pretrain-1", 40): "runs/pretrain-1/checkpoints/000000040.json",
    keys.part_key("pretrain-1", SHA256): f"runs/pretrain-1/parts/{SHA256}",
    keys.rank_key("pretrain-1", 2): "runs/pretrain-1/ranks/2.json",
    keys.ray_folder("pretrain-1") + "/job/state.json": "runs/pretrain-1/ray/job/state.json",
    keys.registration_key("gan-1", "pets-x4"): "runs/gan-1/registrations/pets-x4.json",
    keys.report_page_key("gan-1", "f1"): "runs/gan-1/reports/f1.html",
    keys.report_key("gan-1/evaluations/d1"): "runs/gan-1/evaluations/d1/report.json",
    keys.set_report_key("gan-1/evaluations/d1", "own"): "runs/gan-1/evaluations/d1/sets/own.json",
    keys.picture_key("gan-1/evaluations/d1"): "runs/gan-1/evaluations/d1/comparison.png",
    keys.details_key("gan-1/evaluations/d1"): "runs/gan-1/evaluations/d1/details.json",
    keys.evaluation_key("gan-1/evaluations/d1"): "runs/gan-1/evaluations/d1/evaluation.json",
    keys.beginning_key("f1"): "retrainings/f1.json",
    keys.promotion_key("pets-x4", 7): "promotions/pets-x4/000007.json",
    keys.deletion_key("pets-x4", 7, "import-1"): "promotions/pets-x4/deleted/000007-import-1.json",
    keys.drift_key("pets-x4", 7): "promotions/pets-x4/drift/000007.json",
    keys.study_key("pets-x4", "d1"): "mos/pets-x4/d1.json",
    keys.design_key("spring"): "studies/spring/study.json",
    keys.study_picture_key("spring", SHA256): f"studies/spring/shown/{SHA256}.png",
    keys.part_of_rater_key("spring", "r1"): "studies/spring/ratings/r1.json",
    keys.study_figures_key("spring"): "studies/spring/figures.csv",
    keys.study_report_key("spring"): "studies/spring/report.html",
    keys.study_end_key("spring"): "studies/spring/closed.json",
    keys.weights_key(SHA256): f"weights/{SHA256}",
    keys.mirrored_key("vgg19"): "weights/vgg19.json",
    keys.mlflow_folder() + "/1/r/artifacts/a.png": "mlflow/1/r/artifacts/a.png",
    keys.plan_key(UP, "f-1"): "up/_srgan/f-1/plan.json",
    keys.batch_key(UP, "f-1", 3): "up/_srgan/f-1/plan/000003.json",
    keys.records_key(UP, "f-1", 3): "up/_srgan/f-1/records/000003.parquet",
    keys.refused_key(UP, "f-1", 3): "up/_srgan/f-1/records/refused-000003.parquet",
    keys.batch_progress_key(UP, "f-1", 3): "up/_srgan/f-1/progress/000003.json",
    keys.samples_key(UP, "f-1", 3): "up/_srgan/f-1/samples/000003.png",
    keys.contact_sheet_key(UP, "f-1"): "up/_srgan/f-1/contact-sheet.jpg",
    keys.summary_key(UP, "f-1"): "up/_srgan/f-1/summary.json",
    keys.objects_folder("/mnt/up") + "/ab/abc.json": "/mnt/up/_srgan/objects/ab/abc.json",
    keys.unfinished_folder("/mnt/up") + "/abc": "/mnt/up/_srgan/unfinished/abc",
    keys.lock_key("/mnt/up"): "/mnt/up/_srgan/lock",
    keys.team_folder("anna") + "/crops/pets/latest.json": "teams/anna/crops/pets/latest.json",
}


@pytest.mark.parametrize(("made", "known"), KEYS.items())
def test_no_key_has_changed_and_one_entry_of_the_map_describes_it(made: str, known: str) -> None:
    assert made == known
    described = [each.template for each in MAP if each.names(known) is not None]
    assert len(described) == 1, described


def test_every_entry_of_the_map_is_among_the_keys_that_must_not_change() -> None:
    forgotten = [
        each.template for each in MAP if not any(each.names(key) is not None for key in KEYS)
    ]
    assert not forgotten


def test_the_names_in_a_key_are_found_again() -> None:
    key = keys.records_key("s3://b/up/here", "f-1", 3)
    names = {"destination": "up/here", "bulk_run": "f-1", "batch": "000003"}
    assert keys.records_key.names(key) == names
    assert keys.records_key.names(keys.records_key("s3://b", "f-1", 3)) == names | {
        "destination": ""
    }
    assert keys.records_key.names(keys.refused_key("s3://b/up/here", "f-1", 3)) is None
    assert keys.spec_key.names("runs/upscale-f-1/000003/spec.json") == {"run": "upscale-f-1/000003"}
    assert keys.batch_of("upscale-f-1/000003") == 3
    assert keys.batch_of("pretrain-1") is None


def test_the_keys_that_begin_with_the_same_names_have_one_prefix() -> None:
    assert keys.shard_key.below("pets") == "crops/pets/shards/"
    assert keys.checkpoint_key.below("gan-1") == "runs/gan-1/checkpoints/"
    assert keys.samples_key.below(UP, "f-1") == "up/_srgan/f-1/samples/"
    assert keys.samples_key.below("s3://b", "f-1") == "_srgan/f-1/samples/"
    assert keys.plan_key.below("/mnt/up") == "/mnt/up/_srgan/"
    assert keys.evaluation_key(keys.evaluation_run("gan-1", "d1")).startswith(
        keys.evaluations_prefix("gan-1")
    )


def test_own_prefixes_count_at_the_top_of_the_own_bucket_and_records_everywhere() -> None:
    assert set(OWN_PREFIXES) == {
        "crops/",
        "mlflow/",
        "mos/",
        "promotions/",
        "retrainings/",
        "runs/",
        "sets/",
        "studies/",
        "teams/",
        "weights/",
    }
    for key in KEYS:
        assert is_ours(key, own_prefix=""), key
    assert is_ours("photos/_srgan/f-1/samples/000000.png", own_prefix=None)
    assert not is_ours("mlflow/1/r/artifacts/comparison.png", own_prefix=None)
    for key in ("photos/mlflow/a.png", "runs.png", "raw/crops/a.png", "up/a_srgan/b.png"):
        assert not is_ours(key, own_prefix=""), key


def test_a_team_reads_photos_of_its_own_and_those_beside_all_teams() -> None:
    own = keys.prefix_of_team("anna")
    assert own == "teams/anna/"
    for key in ("teams/anna/raw/a.png", "raw/a.png"):
        assert not is_ours(key, own_prefix=own), key
    for key in ("teams/anna/sets/own/photos/p.png", "teams/ben/raw/a.png", "mlflow/1/r/a.png"):
        assert is_ours(key, own_prefix=own), key
    assert keys.prefix_of_team("") == ""


def test_the_reference_page_has_the_table_of_the_map() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()
    assert reference_table() in page, (
        "put this into docs/reference.md, section Objects in the bucket (it is printed by "
        f"`python -c 'from srgan.keys import *; print(reference_table())'`):\n{reference_table()}"
    )


def test_no_other_file_spells_a_key() -> None:
    spelled = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for folder in ("srgan", "flows")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != Path(keys.__file__)
        for line, text in _literals(ast.parse(path.read_text()))
        if _is_part_of_a_key(text)
    ]
    assert not spelled, "keys are made by srgan/keys.py alone:\n" + "\n".join(spelled)


@pytest.mark.parametrize(
    "code",
    [
        'f"runs/{run}/failure.json"',
        'prefix = "crops/"',
        'key.startswith("registrations/")',
        '"/checkpoints/" in key',
        'f"{folder}/details.json"',
        'f"{prefix}/_srgan/"',
        'name = "plan.json"',
        'where = f"{prefix}plan/{batch:06d}.json"',
    ],
)
def test_a_spelled_key_is_found(code: str) -> None:
    assert any(_is_part_of_a_key(text) for _, text in _literals(ast.parse(code)))


_PARTS = [part for each in MAP for part in each.template.split("/") if "<" not in part]
_FILES = {part for part in _PARTS if "." in part}
_FOLDERS = {part for part in _PARTS if "." not in part} - {"…", "lock"}
_NO_KEYS = {"comparison.png", "report.json", "report.html", "{}/runs/flow-run/{}"}
"""Names of artifacts in MLflow, and the address of a page of Prefect."""


def _is_part_of_a_key(text: str) -> bool:
    """True if a literal begins like a key or a part of one, or ends in the name of an object."""
    if re.search(r"\s", text) or text in _NO_KEYS:
        return False  # with spaces it is a sentence
    first, slash, _ = text.removeprefix("{}").lstrip("/").partition("/")
    parts = text.split("/")
    return OWN in parts or (slash != "" and first in _FOLDERS) or parts[-1] in _FILES


def _literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Strings that are not docstrings, by line; computed parts of f-strings are ``{}``."""
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            skipped.add(node.value)  # docstrings, also those of attributes
        elif isinstance(node, ast.JoinedStr):
            skipped.update(node.values)
            parts = [v.value if isinstance(v, ast.Constant) else "{}" for v in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node.lineno, node.value

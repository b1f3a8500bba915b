"""Which tests each process of `pytest -n 2` runs."""

from xdist.scheduler import LoadScopeScheduling

# Who shares what takes long to start, by the beginning of their path. The longest group comes
# first: what is left for the end is short. Within a group, tests that look through a whole registry
# come before those that fill it.
SHARED = {
    "the stack": ("tests/integration/",),
    # One MLflow for both: its start takes 20 s of CPU.
    "Prefect and MLflow": (
        "tests/versions/test_delete.py",
        "tests/flows/",
        "tests/services/test_deployments.py",
        "tests/services/test_prefect_alerts.py",
        "tests/services/test_prefect_runs.py",
        "tests/doctor/test_orchestrator.py",
        "tests/versions/",
        "tests/cli/test_models.py",
        "tests/cli/test_models_shown.py",
        "tests/cli/test_mos.py",
        "tests/cli/test_studies.py",
        "tests/cli/test_weights.py",
        "tests/demo/test_summary.py",
        "tests/services/test_metric_log.py",
        "tests/services/test_mlflow_models.py",
        "tests/services/test_mlflow_runs.py",
        "tests/services/test_strangers.py",
        "tests/studies/test_close.py",
        "tests/doctor/test_registry.py",
    ),
    "training": ("tests/train/",),
    "ONNX": ("tests/models/test_onnx_export.py", "tests/cli/test_export.py"),
}
_GROUPS = {path: name for name, paths in SHARED.items() for path in paths}
_RANKS = {path: number for number, path in enumerate(_GROUPS)}


def group(nodeid: str) -> str:
    """The name of what one process runs, test after test: all that share something, or one file."""
    path = _path(nodeid)
    return _GROUPS[path] if path else nodeid.partition("::")[0]


def rank(nodeid: str) -> int:
    """Place of a test in the order in which all begin."""
    path = _path(nodeid)
    return _RANKS[path] if path else len(_RANKS)


def _path(nodeid: str) -> str | None:
    return next((path for path in _GROUPS if nodeid.startswith(path)), None)


class Scheduling(LoadScopeScheduling):
    """One group after the other goes to the process that is free.

    `--dist loadgroup` would do, but pytest-xdist 3.8 passes over its marks under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)

"""Which tests each process of `pytest -n 2` runs."""

from xdist.scheduler import LoadScopeScheduling

# By the beginning of their path: what is started first, and who shares it. Tests that look through
# a whole registry come before those that fill it.
STARTS = {
    "tests/versions/test_delete.py": "an empty registry",
    "tests/integration/": "the stack",
    "tests/flows/": "a Prefect server",
    "tests/services/test_prefect_runs.py": "a Prefect server",
    "tests/train/test_ranks.py": "processes that train",
}
_FIRST = tuple(dict.fromkeys(STARTS.values()))


def group(nodeid: str) -> str:
    """The name of what one process runs, test after test: all of a service, or one file."""
    found = (service for path, service in STARTS.items() if nodeid.startswith(path))
    return next(found, nodeid.partition("::")[0])


def rank(nodeid: str) -> int:
    """The longest groups come first: what is left for the end is short."""
    name = group(nodeid)
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


class Scheduling(LoadScopeScheduling):
    """One group after the other goes to the process that is free.

    `--dist loadgroup` would do, but pytest-xdist 3.8 passes over its marks under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)

"""The tests themselves: where helpers are, and who runs together."""

import ast

from tests.support.checkout import ROOT
from tests.support.workers import SHARED, group, rank


def test_no_test_imports_from_another_test_or_from_a_conftest() -> None:
    found = {
        f"{file.relative_to(ROOT)}: {node.module}"
        for file in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").rpartition(".")[2].startswith(("test_", "conftest"))
    }
    assert not found, "move what they share to tests/support"


def test_every_program_that_a_test_waits_for_has_a_time_limit() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for room in ("flows", "srgan", "tests")
        for file in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "subprocess.run"
        and not {"timeout", None} & {each.arg for each in node.keywords}
    ]
    assert not found, "give it a timeout"


def test_the_tests_of_one_service_run_in_one_process_and_begin_first() -> None:
    for path in (path for paths in SHARED.values() for path in paths):
        assert (ROOT / path).exists(), f"{path} has moved: tests/support/workers.py says it"
    stack = ("tests/integration/test_jobs.py::test_a", "tests/integration/test_kills.py::test_b")
    assert len({group(test) for test in stack}) == 1
    registry = ("tests/versions/test_delete.py::test_a", "tests/cli/test_models.py::test_b")
    assert len({group(test) for test in registry}) == 1
    assert rank(registry[0]) < rank("tests/versions/test_trace.py::c") < rank(registry[1])
    assert group("tests/models/test_luma.py::test_b[x::y]") == "tests/models/test_luma.py"
    assert rank("tests/integration/test_jobs.py::test_a") < rank("tests/flows/test_prepare.py::c")
    assert rank("tests/flows/test_prepare.py::c") < rank("tests/services/test_s3.py::d")

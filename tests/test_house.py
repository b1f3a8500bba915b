"""The house as CONTRIBUTING.md draws it, the import contracts and the files agree."""

import ast
import re
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()

STARTED_BY_NAME = {
    "srgan": "the package itself",
    "srgan.cli": "the console script",
    "flows.support.deploying": "steps of prefect.yaml",
    "srgan.jobs.train": "python -m, on a Ray node",
    "srgan.jobs.evaluate": "python -m, on a Ray node",
    "srgan.jobs.upscale": "python -m, on a Ray node",
    "srgan.jobs.releases": "python -m, on a Ray node",
    "srgan.services.served_model": "MLflow runs the copy in a model version",
}
"""Modules that nothing imports, and what starts them."""


def layers() -> list[set[str]]:
    """Rooms by layer, the top first, as the contract has them."""
    (contract,) = (each for each in CONTRACTS if each["name"] == "Imports go one way")
    return [
        {room.strip().removeprefix("srgan.") for room in re.split(r"[|]", layer)}
        for layer in contract["layers"]
    ]


def drawing() -> list[set[str]]:
    """Rooms by line of the drawing in CONTRIBUTING.md."""
    (block,) = re.findall(r"^## The house$.*?^```\n(.*?)^```$", CONTRIBUTING, re.M | re.S)
    return [{room.strip() for room in line.split("|")} for line in block.splitlines()]


def modules() -> dict[str, Path]:
    """Every module of the product by its dotted name."""
    paths = [*ROOT.glob("srgan/**/*.py"), *ROOT.glob("flows/**/*.py")]
    names = (path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in paths)
    return {name.removesuffix(".__init__"): path for name, path in zip(names, paths, strict=True)}


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it, also for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports() -> dict[str, set[str]]:
    """Other modules of the product that each of them imports; a job may import itself."""
    found = modules()

    def module_of(name: str) -> str:
        return name if name in found else name.rpartition(".")[0]

    return {
        module: ({module_of(name) for name in imported(path)} & found.keys()) - {module}
        for module, path in found.items()
    }


def circle(edges: dict[str, set[str]]) -> list[str] | None:
    """Modules that import each other in turn, the first one also last; None without any."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def test_the_drawing_of_the_house_is_what_the_contract_enforces() -> None:
    assert drawing() == layers()


def test_every_room_of_the_package_has_a_layer_and_a_row_in_the_table() -> None:
    rooms = {name.split(".")[1] for name in modules() if name.startswith("srgan.")} | {"flows"}
    assert rooms == set().union(*layers())
    (house,) = re.findall(r"^## The house$(.*?)^## ", CONTRIBUTING, re.M | re.S)
    rows = re.findall(r"^\| (`.*?) \|", house, re.M)
    assert rooms == {room for row in rows for room in re.findall(r"`([a-z_]+)`", row)}


def test_no_contract_hides_an_edge() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    contracts = text[text.index("[tool.importlinter]") :]
    assert " : " not in contracts  # `:` lets the rooms of a layer import each other
    assert "ignore_imports" not in contracts


def test_every_file_is_imported_by_another_or_started_by_name() -> None:
    found = modules()
    used = set().union(*imports().values())
    deployed = set(re.findall(r"entrypoint: (flows/\w+)\.py", (ROOT / "prefect.yaml").read_text()))
    started = STARTED_BY_NAME.keys() | {path.replace("/", ".") for path in deployed}
    packages = {name for name, path in found.items() if path.name == "__init__.py"}
    dead = found.keys() - used - started - packages
    assert not dead, f"imported by nobody: {sorted(dead)}"


def test_what_is_started_by_name_is_there() -> None:
    assert STARTED_BY_NAME.keys() <= modules().keys()


def test_no_modules_import_each_other_in_a_circle() -> None:
    closed = circle(imports())
    assert not closed, " -> ".join(closed)


@pytest.mark.parametrize(
    "line", ["from b import x", "def f():\n    import b", "if TYPE_CHECKING:\n    import b"]
)
def test_a_circle_is_found_also_where_an_import_is_lazy_or_for_types(
    line: str, tmp_path: Path
) -> None:
    files = {"a": tmp_path / "a.py", "b": tmp_path / "b.py"}
    files["a"].write_text(line)
    files["b"].write_text("from a import y")
    edges = {name: {each.partition(".")[0] for each in imported(files[name])} for name in files}
    found = circle(edges)
    assert found is not None
    assert set(found) == {"a", "b"}


def test_no_module_gives_one_name_two_values() -> None:
    repeated = []
    for module, path in modules().items():
        assigned = [
            node.id
            for statement in ast.parse(path.read_text()).body
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            for node in ast.walk(target)
            if isinstance(node, ast.Name)
        ]
        repeated += [f"{module}: {name}" for name in set(assigned) if assigned.count(name) > 1]
    assert not repeated, f"assigned twice: {sorted(repeated)}"

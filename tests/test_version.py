"""Changes that alter the version in names of stages and evaluations, and changes that do not."""

import ast
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from srgan.version import (
    DECIDES_NOTHING,
    Code,
    QualifiedName,
    decoding_version,
    digest_of,
    is_cut_off,
    numerics_version,
    reached,
    release_version,
)
from tests.support.tracing import PACKAGE

LOSSES = '''
"""Losses."""

import logging
import warnings

from small.numbers import WEIGHT
from small import parts

logger = logging.getLogger(__name__)


class Step:
    """One step."""

    rate: float = 0.1
    """Rate of learning."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def take(self, x: float, y: float = 2.0) -> float:
        # the paper's
        logger.info("x is %s", x)
        if x < 0:
            raise ValueError(f"x is {x}")
        assert y > 0, "y is positive"
        return self.weight * x + parts.half(y) + WEIGHT


def train(step: Step) -> float:
    return step.take(1.0)
'''
RELEASED = "726314730288"
"""Numerics version of the newest entry of CHANGELOG.md."""
SMALL = {
    "losses.py": LOSSES,
    "numbers.py": "WEIGHT = 3\nOTHER = 4\n",
    "parts.py": "def half(x: float) -> float:\n    return x / 2\n\n\n"
    "def unused() -> int:\n    return 1\n",
}


def small(folder: Path, files: Mapping[str, str]) -> str:
    """Numerics version of a package of these files."""
    package = folder / "small"
    shutil.rmtree(package, ignore_errors=True)
    for name, text in files.items():
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return digest_of(reached(package, ("train",)))


SAME = {
    "a docstring": ('"""One step."""', '"""A step of the training."""'),
    "no docstring": ('    """One step."""\n', ""),
    "the docstring of a field": ('"""Rate of learning."""', '"""How fast it learns."""'),
    "a comment": ("# the paper's", "# of section 3.2"),
    "layout": ("x: float, y: float = 2.0", "x: float,\n        y: float = 2.0,\n    "),
    "a log line": ('logger.info("x is %s", x)', 'logger.warning("%s is x", x)'),
    "one more log line": ("        # the paper's\n", '        warnings.warn("slow")\n'),
    "the message of an error": ('f"x is {x}"', 'f"{x} is below zero"'),
    "the message of an assertion": ('"y is positive"', '"y is above zero"'),
    "the type of an argument": ("weight: float", "weight: int"),
    "an import that nothing uses": ("import warnings", "import warnings\nimport json"),
}


@pytest.mark.parametrize("change", SAME)
def test_a_change_that_decides_nothing_keeps_the_version(tmp_path: Path, change: str) -> None:
    old, new = SAME[change]
    assert old in LOSSES
    changed = {**SMALL, "losses.py": LOSSES.replace(old, new)}
    assert small(tmp_path, changed) == small(tmp_path, SMALL)


DIFFERENT = {
    "an operator": ("self.weight * x", "self.weight / x"),
    "a comparison": ("x < 0", "x <= 0"),
    "a constant": ("take(1.0)", "take(2.0)"),
    "the type of a constant": ("take(1.0)", "take(1)"),
    "the default of an argument": ("y: float = 2.0", "y: float = 3.0"),
    "the default of a field": ("rate: float = 0.1", "rate: float = 0.2"),
    "the type of a field": ("rate: float", "rate: int"),
    "a decorator": ("    def take(", "    @halved(2)\n    def take("),
    "what an assertion demands": ("assert y > 0", "assert y > 1"),
    "what is raised": ("raise ValueError", "raise TypeError"),
    "the code of an error": ('f"x is {x}"', '"negative", f"x is {x}"'),
    "who is called": ("parts.half(y)", "parts.unused()"),
}


@pytest.mark.parametrize("change", DIFFERENT)
def test_a_change_that_decides_numbers_changes_the_version(tmp_path: Path, change: str) -> None:
    old, new = DIFFERENT[change]
    assert old in LOSSES
    changed = {**SMALL, "losses.py": LOSSES.replace(old, new)}
    assert small(tmp_path, changed) != small(tmp_path, SMALL)


def test_a_used_definition_of_another_module_changes_the_version(tmp_path: Path) -> None:
    before = small(tmp_path, SMALL)
    for name, old, new in (
        ("parts.py", "x / 2", "x / 3"),
        ("numbers.py", "WEIGHT = 3", "WEIGHT = 5"),
    ):
        assert small(tmp_path, {**SMALL, name: SMALL[name].replace(old, new)}) != before
    unused = {
        "parts.py": SMALL["parts.py"].replace("return 1", "return 2"),
        "numbers.py": "WEIGHT = 3\nOTHER = 9\n",
        "new.py": "def more() -> int:\n    return 7\n",
    }
    assert small(tmp_path, SMALL | unused) == before


def test_a_file_or_a_definition_that_moves_leaves_the_version_alone(tmp_path: Path) -> None:
    before = small(tmp_path, SMALL)
    moved = LOSSES.replace("small.numbers", "small.config.weights").replace(
        "from small import parts", "from small.deep import parts"
    )
    assert before == small(
        tmp_path,
        {
            "train/step.py": moved,
            "config/weights.py": SMALL["numbers.py"],
            "deep/parts.py": SMALL["parts.py"],
        },
    )
    merged = LOSSES.replace("from small.numbers import WEIGHT\n", "").replace(
        "class Step", "WEIGHT = 3\n\n\nclass Step"
    )
    assert before == small(tmp_path, {**SMALL, "losses.py": merged})
    direct = LOSSES.replace("from small import parts", "from small.parts import half")
    direct = direct.replace("parts.half(y)", "half(y)")
    assert before == small(tmp_path, {**SMALL, "losses.py": direct})
    local = LOSSES.replace("from small import parts\n", "").replace(
        "        # the paper's\n", "        from small import parts\n\n"
    )
    assert before == small(tmp_path, {**SMALL, "losses.py": local})


def test_two_constants_of_one_name_cannot_swap_their_values(tmp_path: Path) -> None:
    def files(one: int, other: int) -> dict[str, str]:
        return {
            "a.py": f"_SIZE = {one}\n\n\ndef a() -> int:\n    return _SIZE\n",
            "b.py": f"_SIZE = {other}\n\n\ndef b() -> int:\n    return _SIZE * 2\n",
            "c.py": "from small.a import a\nfrom small.b import b\n\n\n"
            "def train() -> int:\n    return a() + b()\n",
        }

    assert small(tmp_path, files(1, 2)) != small(tmp_path, files(2, 1))


def test_an_entry_point_that_is_not_there_or_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"train of srgan/version\.py is defined in: no module"):
        small(tmp_path, {"a.py": ""})
    with pytest.raises(LookupError, match=r"train of .*small\.a.*small\.b"):
        small(tmp_path, dict.fromkeys(("a.py", "b.py"), "def train() -> None: ...\n"))


def test_the_package_without_docstrings_comments_and_layout_has_the_same_version(
    tmp_path: Path,
) -> None:
    copy = tmp_path / "srgan"
    for file in PACKAGE.rglob("*.py"):
        target = copy / file.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(ast.unparse(_Bare().visit(ast.parse(file.read_text()))))
    assert digest_of(reached(copy)) == numerics_version()
    assert digest_of(reached(copy, ("decode_in_8_bits",))) == decoding_version()
    file = copy / "images" / "codecs" / "icc.py"
    text = file.read_text()
    file.write_text(text.replace("paper[:, 3:] + most", "paper[:, 3:] - most"))
    assert file.read_text() != text
    assert digest_of(reached(copy, ("decode_in_8_bits",))) != decoding_version()


class _Bare(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        return ast.Pass() if isinstance(node.value, ast.Constant) else node


@pytest.fixture(scope="module")
def found() -> set[QualifiedName]:
    return set(reached(PACKAGE))


# One place of each kind; the sweep below looks at all of them.
@pytest.mark.parametrize(
    "definition",
    [
        "cubic",  # the kernel of resize
        "_BETAS",
        "LearningRate",
        "_StageConfig",
        "_BLUR_REACH",
        "FEATURE_LAYERS",
        "MIN_CONTRAST",
        "_YCBCR",
        "_SIGMA",
        "_QUINTIC",
        "_TILE",
        "_starts",
        "Patches",
        "training_crops",
        "Jpeg",
        "RealDegradation",
        "kernel_weights",
        "adversarial_loss",
        "SRResNet",
        "RRDBNet",
        "Discriminator",
        "Ema",
        "axis_tiles",
        "Engine",
    ],
)
def test_what_decides_numbers_is_part_of_the_version(
    found: set[QualifiedName], definition: str
) -> None:
    assert definition in {name for _, name in found}


def test_every_number_and_operator_of_every_definition_is_part_of_the_version(
    found: set[QualifiedName],
) -> None:
    """Each gets its own mark, and the mark must come out."""
    code = Code(PACKAGE)
    missing, count = [], 0
    for key in sorted(found):
        if key[1] == "*":
            continue
        statements = code.statements(key)
        marks = [
            (node.lineno, _mark(node, number)) for number, node in enumerate(_counting(statements))
        ]
        count += len(marks)
        words = set(re.findall(r"\w+", code.read(key)[0].text))
        missing += [(*key, line, mark) for line, mark in marks if mark not in words]
    assert count > 2000
    assert missing == []


def _counting(nodes: list[ast.stmt]) -> Iterator[ast.expr]:
    """Numbers and operations outside messages, log lines and types."""
    waiting: list[ast.AST] = [*nodes]
    in_class = {
        id(each)
        for n in nodes
        for c in ast.walk(n)
        if isinstance(c, ast.ClassDef)
        for each in c.body
    }
    while waiting:
        node = waiting.pop()
        skipped: list[ast.AST | None] = []
        match node:
            case ast.Raise():
                continue
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(value=ast.Name("log" | "logger" | "warnings")))
            ):
                continue
            case ast.Assert():
                skipped = [node.msg]
            case ast.arg():
                skipped = [node.annotation]
            case ast.FunctionDef():
                skipped = [node.returns]
            case ast.AnnAssign() if id(node) not in in_class:
                skipped = [node.annotation]
            case ast.Constant() if type(node.value) in (int, float):
                yield node
            case ast.BinOp() | ast.UnaryOp() | ast.BoolOp() | ast.Compare():
                yield node
        waiting += [each for each in ast.iter_child_nodes(node) if each not in skipped]


def _mark(node: ast.expr, number: int) -> str:
    if isinstance(node, ast.Constant):
        node.value = 10**12 + number
        return str(node.value)
    mark = f"Mark{number}"
    sign = type(mark, (ast.operator,), {"_fields": ()})()
    if isinstance(node, ast.Compare):
        node.ops[0] = sign
    else:
        node.op = sign  # type: ignore[attr-defined]  # an operation has one
    return mark


def test_everything_cut_off_exists_once_and_is_reached(found: set[QualifiedName]) -> None:
    code = Code(PACKAGE)
    used = {
        target
        for key in found
        if key[1] != "*"
        for target in code.read(key)[1]
        if is_cut_off(target)
    }
    for name in DECIDES_NOTHING:
        file, _, bare = name.rpartition(":")
        met = {
            key for key in used if bare in ("*", key[1]) and file in ("", key[0].rpartition(".")[2])
        }
        assert len({module for module, _ in met}) == 1, f"{name} is {sorted(met) or 'not reached'}"


def test_everything_that_reads_a_photo_and_nothing_else_is_part_of_the_decoding() -> None:
    modules = {module for module, _ in reached(PACKAGE, ("decode_in_8_bits",))}
    codecs = {f"srgan.images.codecs.{name}" for name in ("heif", "icc", "jxl", "raw")}
    assert codecs | {"srgan.images.metadata.webp"} <= modules
    assert all(module.startswith("srgan.images.") for module in modules)


def test_the_versions_are_read_in_their_forms() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", numerics_version())
    assert re.fullmatch(r"[0-9a-f]{12}", decoding_version())
    assert re.fullmatch(r"\d+\.\d+\.\d+\+[0-9a-f]{12}", release_version())


def test_trainings_of_the_last_release_keep_their_names() -> None:
    assert numerics_version() == RELEASED, (
        "numbers may come out otherwise, so every model of users is trained again: if that is "
        "meant, say so in CHANGELOG.md and write the new version here"
    )

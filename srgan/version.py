"""Versions of the code: what decides numbers, what reads photos, and which release this is.

`numerics_version` names stages and evaluations, so it has to change with every number that could
come out otherwise, and with nothing else. It is a digest of the syntax trees of all definitions
that the entry points reach, wherever they lie, without docstrings, comments, layout, types of
arguments, log lines and messages of errors. `decoding_version` is the same of what reads a photo,
`pairing_version` of what reads and compares pairs: when it changes, datasets read their photos
again, and those with the same pixels keep their crops. `release_version` is a digest of all Python
files of the package, without the flows and the weights that come with it: flow and Ray nodes must
run the same.
"""

import ast
import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

_DIGITS = 12

ENTRY_POINTS = (
    "run_stage",  # training: networks, losses, data windows, steps
    "run_evaluation",  # figures, distances, artifacts, tiled inference
    "faults",  # which artifacts are too much
    "Layout",  # which crops are cut; the dataset version holds the rest of preparing
)
"""Functions and classes whose names are defined once in the package, in whatever file."""

_STORED = "brings bytes back as they were written, verified by their digest"
_TOLD = "tells people and services what was computed"
DECIDES_NOTHING = {
    "errors:*": "an error ends the work",
    "keys:*": "places of objects",
    "refs:*": "values that pass between stages, and digests that name them",
    "settings:*": "addresses and limits of a machine",
    "storage:*": _STORED,
    "S3Store": _STORED,
    "Registry": _STORED,
    "find_mirrored": _STORED,
    "read_weights": _STORED,
    "FetchedShards": _STORED,
    "Shard": _STORED,
    "ShardCache": _STORED,
    "ShardWriter": _STORED,
    "read_shard": _STORED,
    "Previous": _STORED,
    "manifest:read_manifest": _STORED,
    "manifest:read_photos": _STORED,
    "EvaluationSet": _STORED,
    "read_set": _STORED,
    "CheckpointManifest": _STORED,
    "checkpoint:read_manifest": _STORED,
    "checkpoint_keys": _STORED,
    "newest_checkpoint": _STORED,
    "read_parts": _STORED,
    "read_generator": _STORED,
    "CheckpointWriter": _STORED,
    "_manifest": "describes a checkpoint",
    "EvaluateSpec": "names an evaluation by the digests of what goes in",
    "start": "reads the spec of a job",
    "look_of": "finds photos that are alike, which training does not use",
    "stall:Watch": "reports a training that stands still",
    "Meter": _TOLD,
    "Reporter": _TOLD,
    "warning_of_scale": _TOLD,
    "evaluation:Report": _TOLD,
    "_log": _TOLD,
    "readable:*": _TOLD,
    "strip": _TOLD,
    "degraded_samples": _TOLD,
    "comparison_picture": _TOLD,
    "most_different": _TOLD,
}
"""Definitions that are reached but not followed, and why: names that are defined once, else
``file:name``, or ``file:*``.

When in doubt leave it out of this list: to train again without need costs hours, to take an old
model for a new one costs trust.
"""

QualifiedName = tuple[str, str]
"""Module and name of a definition; the name is ``*`` for a whole module and empty for the
statements that a module runs when it is imported."""

_WHOLE, _EFFECTS = "*", ""
_LOGS = frozenset({"log", "logger", "logging", "warnings"})
_UNREAD = frozenset({"ctx", "kind", "returns", "type_comment", "type_params"})


@cache
def release_version() -> str:
    """``<release>+<12 hex digits>`` of all Python files of the package: paths and bytes."""
    package = Path(__file__).parent
    sources = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        sources.update(path.relative_to(package).as_posix().encode() + b"\0")
        sources.update(path.read_bytes() + b"\0")
    return f"{version('srgan')}+{sources.hexdigest()[:_DIGITS]}"


@cache
def numerics_version() -> str:
    """12 hex digits that two copies of the code share where they compute the same."""
    return digest_of(reached(Path(__file__).parent))


@cache
def decoding_version() -> str:
    """12 hex digits that two copies of the code share where they read the same from files."""
    return digest_of(reached(Path(__file__).parent, ("decode_in_8_bits",)))


@cache
def pairing_version() -> str:
    """12 hex digits that two copies of the code share where they read and compare pairs alike."""
    entries = ("decode_in_8_bits", "check_alignment")
    return digest_of(reached(Path(__file__).parent, entries))


@dataclass(frozen=True)
class Definition:
    """Top-level statements of one name."""

    text: str
    """Their syntax trees, without what decides nothing."""
    uses: frozenset[tuple[str, QualifiedName]]
    """Names in the text, and the definitions of ours that they mean."""


def digest_of(found: dict[QualifiedName, Definition]) -> str:
    """Digest of definitions and of who uses which; neither modules nor files are part of it."""
    texts = {key: hashlib.sha256(each.text.encode()).hexdigest() for key, each in found.items()}
    described = {
        # Not by name alone: two modules may have a constant of one name and swap their values.
        " ".join([texts[key], *sorted(f"{n}={texts[k]}" for n, k in each.uses if k in texts)])
        for key, each in found.items()
    }
    return hashlib.sha256("\n".join(sorted(described)).encode()).hexdigest()[:_DIGITS]


def reached(
    package: Path, entry_points: tuple[str, ...] = ENTRY_POINTS
) -> dict[QualifiedName, Definition]:
    """All definitions that the entry points of a package reach, through names and through types."""
    code = Code(package)
    found: dict[QualifiedName, Definition] = {}
    waiting = [code.find(name) for name in entry_points]
    while waiting:
        key = waiting.pop()
        if key in found or is_cut_off(key):
            continue
        found[key], more = code.read(key)
        waiting += [*more, (key[0], _EFFECTS)]
    return found


def is_cut_off(key: QualifiedName) -> bool:
    """Whether a definition is on the list of what decides nothing."""
    file, name = key[0].rpartition(".")[2], key[1]
    return not DECIDES_NOTHING.keys().isdisjoint((name, f"{file}:{name}", f"{file}:*"))


@dataclass
class _Module:
    definitions: dict[str, list[ast.stmt]] = field(default_factory=lambda: {_EFFECTS: []})
    imports: dict[str, QualifiedName] = field(default_factory=dict)


class Code:
    """The modules of a package, parsed when they are needed and never imported."""

    def __init__(self, package: Path) -> None:
        self._sources = {
            _dotted(path.relative_to(package.parent)): path.read_text("utf-8")
            for path in package.rglob("*.py")
        }
        self._modules: dict[str, _Module] = {}

    def find(self, name: str) -> QualifiedName:
        """The function or class of that name; `LookupError` unless there is exactly one."""
        pattern = re.compile(rf"^(?:def|class) {name}\b", re.MULTILINE)
        found = [module for module, text in self._sources.items() if pattern.search(text)]
        if len(found) != 1:
            raise LookupError(f"{name} of srgan/version.py is defined in: {found or 'no module'}")
        return found[0], name

    def read(self, key: QualifiedName) -> tuple[Definition, list[QualifiedName]]:
        """A definition, and everything that it mentions, also as the type of an argument."""
        module, name = key
        if name == _WHOLE:
            every = [(module, each) for each in self._module(module).definitions if each]
            return Definition("", frozenset()), every
        reader = _Reader(self, module)
        text = reader.text(self.statements(key))
        return Definition(text, frozenset(reader.uses)), reader.mentions

    def statements(self, key: QualifiedName) -> list[ast.stmt]:
        """The trees of a definition."""
        return self._module(key[0]).definitions[key[1]]

    def resolve(self, module: str, name: str) -> QualifiedName | None:
        """Resolve a name at the top of a module; None if it is not ours."""
        if module in self._sources:
            here = self._module(module)
            if name in here.definitions:
                return module, name
            if name in here.imports:
                return self.follow(here.imports[name])
        return (f"{module}.{name}", _WHOLE) if f"{module}.{name}" in self._sources else None

    def follow(self, imported: QualifiedName) -> QualifiedName | None:
        """Resolve an import."""
        module, name = imported
        if name == _WHOLE:
            return imported if module in self._sources else None
        return self.resolve(module, name)

    def _module(self, name: str) -> _Module:
        if name not in self._modules:
            module = self._modules[name] = _Module()
            tree = ast.parse(self._sources[name])
            for statement in tree.body:
                _register(statement, module)
        return self._modules[name]


def _dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _register(statement: ast.stmt, module: _Module) -> None:
    match statement:
        case ast.Import() | ast.ImportFrom():
            module.imports |= _imported(statement)
            return
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            for each in statement.body:
                _register(each, module)
            return
        case ast.If(test=ast.Compare(left=ast.Name("__name__"))):
            return  # of a program, not of a module
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            names = [statement.name]
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [n.id for each in targets for n in ast.walk(each) if isinstance(n, ast.Name)]
        case _:
            names = [_EFFECTS]
    for name in names:
        module.definitions.setdefault(name, []).append(statement)


def _imported(statement: ast.Import | ast.ImportFrom) -> dict[str, QualifiedName]:
    if isinstance(statement, ast.ImportFrom):
        source = statement.module or ""
        return {each.asname or each.name: (source, each.name) for each in statement.names}
    return {
        each.asname or each.name.partition(".")[0]: (
            each.name if each.asname else each.name.partition(".")[0],
            _WHOLE,
        )
        for each in statement.names
    }


class _Reader:
    """Writes syntax trees down and notes what of ours they name."""

    def __init__(self, code: Code, module: str) -> None:
        self._code = code
        self._module = module
        self._imports: dict[str, QualifiedName] = {}
        """Those within functions."""
        self._in_class = False
        self.uses: set[tuple[str, QualifiedName]] = set()
        self.mentions: list[QualifiedName] = []

    def text(self, node: object) -> str:
        """A node, or a list of them; empty for a statement that decides nothing."""
        match node:
            case list():
                return f"[{' '.join(filter(None, map(self.text, node)))}]"
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                return ""
            case ast.Expr(value=ast.Call(func=func)) if _is_log(func):
                return ""
            case ast.Import() | ast.ImportFrom():
                self._imports |= _imported(node)
                return ""
            case ast.Name():
                return self._named(node.id, self._resolve(node))
            case ast.Attribute():
                meant = self._resolve(node)
                if meant is not None:
                    return self._named(node.attr, meant)
            case ast.Raise():
                return f"Raise({_class_and_code(node.exc)})"
            case ast.Assert():
                return f"Assert({self.text(node.test)})"
            case ast.arg():
                self._mention(node.annotation)
                return node.arg
            case ast.AnnAssign() if not self._in_class:
                self._mention(node.annotation)
                if node.value is None:
                    return ""
                return f"Assign([{self.text(node.target)}] {self.text(node.value)})"
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._mention(node.returns)
                return self._scope(node, in_class=False)
            case ast.ClassDef():
                return self._scope(node, in_class=True)
        return self._fields(node)

    def _fields(self, node: object) -> str:
        if not isinstance(node, ast.AST):
            return repr(node)
        read = [getattr(node, name, None) for name in node._fields if name not in _UNREAD]
        return f"{type(node).__name__}({' '.join(map(self.text, read))})"

    def _scope(self, node: ast.AST, *, in_class: bool) -> str:
        outside, self._in_class = self._in_class, in_class
        text = self._fields(node)
        self._in_class = outside
        return text

    def _named(self, name: str, meant: QualifiedName | None) -> str:
        if meant is not None:
            self.uses.add((name, meant))
            self.mentions.append(meant)
        return name

    def _mention(self, annotation: ast.expr | None) -> None:
        """Follow a type: its methods are called by no name that could be followed."""
        for node in ast.walk(annotation) if annotation else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._mention(ast.parse(node.value, mode="eval").body)  # a quoted type
            elif (meant := self._resolve(node)) is not None:
                self.mentions.append(meant)

    def _resolve(self, node: ast.AST) -> QualifiedName | None:
        """Resolve a name, or an attribute of a module; None if it is not ours."""
        match node:
            case ast.Name():
                if node.id in self._imports:
                    return self._code.follow(self._imports[node.id])
                return self._code.resolve(self._module, node.id)
            case ast.Attribute():
                base = self._resolve(node.value)
                if base is not None and base[1] == _WHOLE:
                    return self._code.resolve(base[0], node.attr)
        return None


def _is_log(func: ast.expr) -> bool:
    match func:
        case ast.Name("print"):
            return True
        case ast.Attribute(value=ast.Name(name)):
            return name in _LOGS
    return False


def _class_and_code(error: ast.expr | None) -> str:
    """The raised error without its message. One word such as ``not_finite`` is not a message."""
    if not isinstance(error, ast.Call):
        return ast.unparse(error) if error else ""
    words = [
        argument.value
        for argument in error.args
        if isinstance(argument, ast.Constant)
        and isinstance(argument.value, str)
        and argument.value.isidentifier()
    ]
    return " ".join([ast.unparse(error.func), *words])

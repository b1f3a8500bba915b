"""Plan a clean-up: model versions that nothing needs, and the data that only they needed.

The plan is made from one look at the registry and the bucket. Anything else is kept: photos,
perceptual weights, evaluation sets, the promotion log, records of bulk runs. If a record that may
name runs and dataset versions cannot be read, all runs and dataset versions are kept.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from srgan.data.changes import announced_version
from srgan.data.manifest import DatasetManifest, read_latest, read_manifest
from srgan.errors import SrganError
from srgan.keys import (
    BATCH,
    CROPS,
    RUNS,
    announced_key,
    checkpoint_key,
    dataset_version_key,
    evaluation_key,
    newest_dataset_key,
    registration_key,
    result_key,
    shard_key,
    table_key,
)
from srgan.promotion.lineage import read_registration
from srgan.promotion.log import PromotionLog, champions
from srgan.promotion.record import References, VersionRecord
from srgan.storage import ObjectInfo, ObjectStore
from srgan.train.checkpoint import newest_manifest


@dataclass(frozen=True)
class Version:
    """One version of a registered model, with the size of its files."""

    record: VersionRecord
    """The record with aliases."""
    size_bytes: int = 0
    """Size of its files in MLflow."""

    @property
    def name(self) -> str:
        return self.record.uri


@dataclass(frozen=True)
class Rules:
    """Versions and data to keep besides those with an alias."""

    keep: int
    """How many of the newest versions of each model to keep."""
    before: float
    """Time in seconds since the epoch; anything written then or later stays."""
    in_use: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """Users of versions, such as ``a bulk run``, by model and number."""


@dataclass(frozen=True)
class Waste:
    """Something in the bucket that can be deleted."""

    kind: str
    """``model version``, ``dataset version``, ``shards and tables`` or ``run``."""
    name: str
    why: str
    keys: tuple[str, ...] = ()
    """In the order of deletion: first the keys that mark the rest as finished."""
    size_bytes: int = 0


@dataclass(frozen=True)
class Plan:
    """Versions and data to delete, and why the other versions stay."""

    versions: Sequence[Version]
    """Versions to delete in the registry."""
    waste: Sequence[Waste]
    """Parts of the bucket, in the order of deletion."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """Reason to keep, by name of the version."""
    unread: Sequence[str] = ()
    """Errors of records that cannot be read; with any, all runs and dataset versions stay."""


def plan_cleanup(store: ObjectStore, versions: Sequence[Version], rules: Rules) -> Plan:
    """Find what can go: not needed by an alias or a kept version, not the newest, not recent."""
    numbers = defaultdict[str, list[int]](list)
    for version in versions:
        numbers[version.record.name].append(version.record.version)
    leading = {model: last_champions(store, model) for model in numbers}
    kept, waste, needs = dict[str, str](), list[Version](), _Needs()
    for version in versions:
        record = version.record
        newest = sorted(numbers[record.name], reverse=True)[: rules.keep]
        why = needed(record.aliases, record.version, leading[record.name])
        why = why or _spared(version, newest, rules)
        references = needs.read(lambda record: record.references, record)
        if why or references is None:
            kept[version.name] = why or "what it was made of cannot be read"
            needs.add(references)
        else:
            waste.append(version)
    _add_waiting(store, needs, {version.record.run for version in versions})
    _add_origins(store, needs)
    _add_announced(store, needs)
    datasets, manifests = _datasets(store, needs, rules)
    parts, runs = _shards(store, manifests, rules), _runs(store, needs, rules)
    return Plan(versions=waste, waste=[*datasets, *parts, *runs], kept=kept, unread=needs.unread)


class _Needs:
    """Collects the runs and dataset versions that must stay."""

    def __init__(self) -> None:
        self.found = References()
        self.unread: list[str] = []

    def read(self, read: Callable[..., References], *arguments: object) -> References | None:
        """Call `read`; None if that fails, and from then on everything is needed."""
        try:
            return read(*arguments)
        except SrganError as error:
            self.unread.append(str(error))
            return None

    def add(self, references: References | None) -> None:
        if references:
            self.found |= references

    def run(self, name: str) -> bool:
        """True if a run is needed."""
        return bool(self.unread) or name in self.found.runs

    def dataset(self, version: str) -> bool:
        """True if a dataset version is needed."""
        return bool(self.unread) or version in self.found.datasets


def last_champions(store: ObjectStore, model: str) -> list[int]:
    """Return the champion by the promotion log, and the former one that a rollback goes to."""
    return champions(PromotionLog(store, model).entries())[:-3:-1]


def needed(aliases: Collection[str] | None, number: int, leading: Sequence[int]) -> str | None:
    """Return why a version must stay, whatever the rules are; None if nothing needs it."""
    assert aliases is not None, "a version needs its aliases here, or a needed one may go"
    if aliases:
        return ", ".join(aliases)
    if number in leading[:1]:
        return "champion by the promotion log"
    return "former champion, which a rollback goes to" if number in leading[1:] else None


def _spared(version: Version, newest: Collection[int], rules: Rules) -> str | None:
    record = version.record
    if user := rules.in_use.get((record.name, record.version)):
        return f"{user} uses it"
    if record.is_imported:
        return "imported: it cannot be made again here"
    if record.version in newest:
        return f"among the newest {rules.keep}"
    return "recent" if record.created.timestamp() >= rules.before else None


def _add_waiting(store: ObjectStore, needs: _Needs, known: Collection[str]) -> None:
    """Add trainings that still wait for the registry, and what they are made of."""
    for run, info in list(_below(store, RUNS)):
        names = registration_key.names(info.key)
        if names and run not in known:
            needs.add(References(frozenset({run})))
            needs.add(needs.read(_registered, store, run, names["model"]))


def _registered(store: ObjectStore, run: str, model: str) -> References:
    return read_registration(store, run, model)[1].references


def _add_origins(store: ObjectStore, needs: _Needs) -> None:
    """Add runs that needed ones started from, all the way back: they tell what weights learned."""
    unread, read = list(needs.found.runs), set[str]()
    while unread:
        run = unread.pop()
        read.add(run)
        needs.add(needs.read(_origin, store, run))
        unread += needs.found.runs - read - set(unread)


def _origin(store: ObjectStore, run: str) -> References:
    newest = newest_manifest(store, run)
    origin = newest.init_run if newest else None
    return References(frozenset({origin} if origin else ()))


def _add_announced(store: ObjectStore, needs: _Needs) -> None:
    """Add the dataset versions that growth is counted from: without one, every photo is new."""
    for dataset, info in list(_below(store, CROPS)):
        if announced_key.names(info.key):
            needs.add(needs.read(_announced, store, dataset))


def _announced(store: ObjectStore, dataset: str) -> References:
    version = announced_version(store, dataset)
    return References(datasets=frozenset({version} if version else ()))


def _datasets(
    store: ObjectStore, needs: _Needs, rules: Rules
) -> tuple[list[Waste], dict[str, list[DatasetManifest]]]:
    """Find dataset versions that can go, and by dataset the manifests of those that stay."""
    waste, kept = list[Waste](), defaultdict[str, list[DatasetManifest]](list)
    newest: dict[str, str | None] = {}
    for dataset, info in _below(store, CROPS):
        kept[dataset]  # without any version a dataset may still have shards
        if not (names := dataset_version_key.names(info.key)):
            continue
        if dataset not in newest:
            found, _ = read_latest(store, dataset)
            newest[dataset] = found.version if found else None
        version = names["version"]
        stays = newest[dataset] == version or needs.dataset(version)
        if stays or info.written_at >= rules.before:
            kept[dataset].append(read_manifest(store, info.key))
        else:
            waste.append(
                Waste(
                    "dataset version",
                    f"{dataset} {version[:12]}",
                    "not the newest, and no kept model was trained on it",
                    (info.key,),
                    info.size_bytes,
                )
            )
    return waste, dict(kept)


def _shards(
    store: ObjectStore, manifests: Mapping[str, Sequence[DatasetManifest]], rules: Rules
) -> list[Waste]:
    """Find content-addressed parts of datasets that no remaining version names."""
    waste = []
    for dataset, remaining in manifests.items():
        named = {newest_dataset_key(dataset)} | {manifest.key for manifest in remaining}
        digests = {shard.sha256 for manifest in remaining for shard in manifest.shards}
        digests |= {each for m in remaining for each in (m.sources_table, m.photos_table)}
        loose = [
            info
            for prefix in (shard_key.below(dataset), table_key.below(dataset))
            for info in store.list(prefix)
            if _stem(info.key) not in digests
            and info.key not in named
            and info.written_at < rules.before
        ]
        if loose:
            why = "no remaining version of the dataset names them"
            waste.append(_waste("shards and tables", dataset, why, loose))
    return waste


def _runs(store: ObjectStore, needs: _Needs, rules: Rules) -> list[Waste]:
    """Find training stages (checkpoints, evaluations, reports) that no version names."""
    runs = defaultdict[str, list[ObjectInfo]](list)
    for run, info in _below(store, RUNS):
        runs[run].append(info)
    return [
        _waste("run", run, "no kept model came from it", objects)
        for run, objects in runs.items()
        if not run.startswith(BATCH)
        and not needs.run(run)
        and all(info.written_at < rules.before for info in objects)
    ]


def _below(store: ObjectStore, prefix: str) -> Iterator[tuple[str, ObjectInfo]]:
    """List objects below `prefix` by key, with the next part of each key.

    The object that stands for the folder itself is left out; Ray and S3 consoles make such objects.
    """
    for info in sorted(store.list(prefix), key=lambda info: info.key):
        name = info.key.removeprefix(prefix).partition("/")[0]
        if name:
            yield name, info


def _waste(kind: str, name: str, why: str, objects: Collection[ObjectInfo]) -> Waste:
    ordered = sorted((info.key for info in objects), key=_order)
    return Waste(kind, name, why, tuple(ordered), sum(info.size_bytes for info in objects))


def _order(key: str) -> tuple[int, str]:
    """Results, then manifests, then parts: an interrupted deletion leaves an unfinished run."""
    if result_key.names(key) or evaluation_key.names(key):
        return 0, key
    return (1 if checkpoint_key.names(key) else 2), key


def _stem(key: str) -> str:
    return key.rpartition("/")[2].partition(".")[0]

"""Drift: sources of a bulk run that differ from what their model was trained on.

A network learns from LR images that bicubic makes of photos (or from the LR photos of pairs), so
sources are compared with those and not with the photos. The distance is the two-sample
Kolmogorov–Smirnov statistic: the largest difference between the shares of both that lie below some
value. It is 0 for the same distribution and 1 if all values of one lie below all of the other.
"""

from collections.abc import Collection, Sequence

import numpy as np

from srgan.bulk.records import statistics
from srgan.bulk.run import BulkRun
from srgan.data.manifest import read_manifest, read_sources
from srgan.images.statistics import Statistics
from srgan.keys import drift_key, records_key
from srgan.promotion.record import VersionRecord
from srgan.refs import DatasetRef, ModelRef, Ref
from srgan.storage import ObjectStore, find_document, write_document
from srgan.train.checkpoint import newest_manifest

BOUND = 0.5
"""Distance from which the page of a bulk run speaks of drift."""
_CHANCE = 0.01
"""Probability, over all statistics, of a distance that two halves of one collection may have."""
_LEAST_SOURCES = 50
"""A run of fewer sources tells too little about all of them to be a reason to train."""
_FEW = 100
_MOST_PARTS = 20
"""Parts of a run's records that are read: 100,000 rows at most."""
_UNSEEN_FROM = 90.0
"""JPEG quality from which on compression hardly shows; LR images of photos are uncompressed."""
_DAMAGE = frozenset({"blur", "noise", "jpeg_quality"})
_WORDS = {
    "blur": "blur",
    "noise": "noise",
    "jpeg_quality": "JPEG quality",
    "source_side": "size",
    "brightness": "brightness",
    "contrast": "contrast",
    "colourfulness": "colourfulness",
}
"""Statistics in the order of tables."""


class Difference(Ref):
    """One statistic of sources and training inputs."""

    statistic: str
    """Name in words."""
    sources: float
    """Median of the sources."""
    inputs: float
    """Median of the training inputs."""
    distance: float
    """Kolmogorov–Smirnov statistic, 0–1."""
    chance: float
    """Probability of at least this distance between samples of the same distribution."""
    left_out: str = ""
    """Why it does not count as drift; empty if it counts."""


class Drift(Ref):
    """The sources of a bulk run against the training inputs of its model."""

    run: str
    """Name of the bulk run."""
    source: str
    num_sources: int
    num_inputs: int = 0
    differences: tuple[Difference, ...] = ()
    weights_digest: str = ""
    """Weights of the version, for retrainings; empty in documents of earlier releases."""
    unknown: str = ""
    """Why the two could not be compared; empty if they were."""

    def beyond(self, bound: float) -> tuple[Difference, ...]:
        """Statistics whose distance is above `bound` and not explained by chance."""
        counted = [each for each in self.differences if not each.left_out]
        return tuple(
            each
            for each in counted
            if each.distance > bound and each.chance * len(counted) < _CHANCE
        )

    def sentence(self, bound: float) -> str:
        """Say which statistics drift: ``sources of s3://b/p differ …: noise 0.81, blur 0.62``."""
        found = sorted(self.beyond(bound), key=lambda each: -each.distance)
        if not found:
            return f"sources of {self.source} are like what it was trained on"
        named = ", ".join(f"{each.statistic} {each.distance:.2f}" for each in found)
        return f"sources of {self.source} differ from what it was trained on: {named}"


def measure_drift(store: ObjectStore, run: BulkRun, version: VersionRecord) -> Drift:
    """Compare what a bulk run has decoded with the training inputs of its model version."""
    sources = _sources(run)
    drift = Drift(run=run.name, source=run.source.address, num_sources=len(sources))
    if not sources:
        return drift.model_copy(update={"unknown": "the run decoded no source"})
    if version.dataset is None:
        what = "imported" if version.is_imported else "made without a dataset"
        return drift.model_copy(update={"unknown": f"{version.uri} was {what}"})
    inputs: list[Statistics] = []
    for dataset in filter(None, (version.dataset, version.pairs)):
        pictures = _pictures(store, dataset)
        measured = [each for each in pictures if each is not None]
        if 2 * len(measured) < len(pictures):
            why = f"dataset {dataset.dataset} was prepared by an earlier release"
            return drift.model_copy(update={"unknown": f"{why}, which measured no statistics"})
        inputs += measured
    found = compare(sources, inputs, is_damaged=_draws_damage(store, version.run))
    return drift.model_copy(update={"num_inputs": len(inputs), "differences": found})


def compare(
    sources: Sequence[Statistics], inputs: Sequence[Statistics], *, is_damaged: bool = False
) -> tuple[Difference, ...]:
    """Measure the distance of each statistic; neither side may be empty.

    `is_damaged`: the recipe draws blur, noise or compression for each patch. The network has then
    seen a wide range on purpose, and sources within it differ from the whole of it.
    """
    from scipy.stats import ks_2samp  # a second, and most flows compare nothing

    found = []
    for name, words in _WORDS.items():
        values = [
            np.array([_compared(name, getattr(each, name)) for each in side])
            for side in (sources, inputs)
        ]
        # The exact probability takes seconds for thousands of images.
        test = ks_2samp(*values, method="exact" if max(map(len, values)) <= _FEW else "asymp")
        medians = [float(np.median(each)) for each in values]
        left_out = ""
        if name == "source_side":
            left_out = "a network sees patches"
        elif is_damaged and name in _DAMAGE:
            left_out = "the recipe draws damage of many kinds"
        found.append(
            Difference(
                statistic=words,
                sources=medians[0],
                inputs=medians[1],
                distance=float(test.statistic),
                chance=float(test.pvalue),
                left_out=left_out,
            )
        )
    return tuple(found)


def keep_drift(store: ObjectStore, version: ModelRef, drift: Drift) -> bool:
    """Write the newest drift of a version for retrainings; False if it tells too little."""
    if drift.unknown or drift.num_sources < _LEAST_SOURCES:
        return False
    kept = drift.model_copy(update={"weights_digest": version.weights_digest})
    write_document(store, drift_key(version.name, version.version), kept)
    return True


def find_drift(store: ObjectStore, version: ModelRef) -> Drift | None:
    """Read the newest drift of a version; None if no bulk run has measured it.

    That of other weights, which had its number before, is not returned.
    """
    key = drift_key(version.name, version.version)
    found = find_document(store, key, Drift, mend="upscale with it again")
    of_others = found and found.weights_digest not in ("", version.weights_digest)
    return None if of_others else found


def _compared(name: str, value: float) -> float:
    return min(value, _UNSEEN_FROM) if name == "jpeg_quality" else value


def _sources(run: BulkRun) -> list[Statistics]:
    """Statistics of a run's sources, from parts of its records all over the run."""
    store = run.destination.store
    prefix = records_key.below(run.destination.address, run.name)
    keys = sorted(info.key for info in store.list(prefix) if records_key.names(info.key))
    step = max(1, -(-len(keys) // _MOST_PARTS))
    return [each for key in keys[::step] for each in statistics(store.get(key), store.uri(key))]


def _pictures(store: ObjectStore, dataset: DatasetRef) -> Collection[Statistics | None]:
    """Statistics of the LR images of a dataset version, each picture once; None if not measured."""
    sources = read_sources(store, read_manifest(store, dataset.key))
    return {each.pixels: each.statistics for each in sources if each.pixels}.values()


def _draws_damage(store: ObjectStore, run: str) -> bool:
    """Tell whether a training stage draws damage besides bicubic for its LR images."""
    newest = newest_manifest(store, run)
    degradation = newest.config.get("degradation") if newest else None
    return isinstance(degradation, dict) and any(degradation.values())

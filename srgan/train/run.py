"""One training stage from its inputs to its final checkpoint, as every rank runs it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch

from srgan.config import AdversarialConfig, PretrainConfig, deciding
from srgan.data.dataset import (
    Crops,
    Patches,
    fetch_crops,
    gated_pictures,
    hold_out,
    split_pairs,
)
from srgan.data.shards import ShardCache
from srgan.errors import CheckpointError
from srgan.keys import checkpoint_key
from srgan.refs import CheckpointRef, DatasetRef
from srgan.storage import ObjectStore
from srgan.train import ranks
from srgan.train.adversarial import Adversarial
from srgan.train.batches import Batches
from srgan.train.checkpoint import (
    CheckpointManifest,
    CheckpointWriter,
    newest_checkpoint,
    read_generator,
    read_manifest,
    read_parts,
)
from srgan.train.content import read_perceptual, warning_of_scale
from srgan.train.course import Course
from srgan.train.loop import run_steps
from srgan.train.pretrain import Pretrain
from srgan.train.progress import Reporter
from srgan.train.samples import degraded_samples
from srgan.train.stall import Watch
from srgan.train.step import Stage, dump_stage, load_stage
from srgan.train.validation import Validated, Validation, build_judge, fair_judge, teachers_of

logger = logging.getLogger(__name__)

_ADVICE = (
    ", or set (or lower) shuffle_buffer_bytes of the stage, so that patches are drawn from a part "
    "of the dataset that moves on"
)


@dataclass(frozen=True, slots=True)
class StageInputs:
    """Inputs of a stage, and the name that they give it."""

    run: str
    config: PretrainConfig | AdversarialConfig
    dataset: DatasetRef
    init_from: CheckpointRef | None
    numerics_version: str
    release_version: str
    pairs: DatasetRef | None = None
    """Dataset of pairs, if the config has a `pair_share`."""


def run_stage(
    store: ObjectStore,
    inputs: StageInputs,
    cache: ShardCache,
    *,
    device: torch.device,
    reporter: Reporter | None,
    stall_s: float,
) -> CheckpointManifest:
    """Train to the end, from the newest intact checkpoint if there is one.

    Every rank calls it and gets the manifest of the checkpoint to hand on: the final one, or the
    best of an adversarial stage (`train.course`). Only rank 0 uses `reporter`. A stage whose final
    checkpoint exists trains nothing. One that makes no step for `stall_s` seconds is reported in
    the log. `TrainingError` on all ranks if there is nothing to hand on.
    """
    with Watch(store, inputs.run, limit_s=stall_s) as watch:
        return _run_stage(store, inputs, cache, device=device, reporter=reporter, watch=watch)


def _run_stage(
    store: ObjectStore,
    inputs: StageInputs,
    cache: ShardCache,
    *,
    device: torch.device,
    reporter: Reporter | None,
    watch: Watch,
) -> CheckpointManifest:
    config = inputs.config
    initial = read_generator(store, inputs.init_from) if inputs.init_from else None
    perceptual = read_perceptual(store, config)
    stage = build_stage(config, device=device, initial=initial, perceptual=perceptual)
    found = _resume(store, inputs, stage)
    if found and found.final:
        return _result(store, found.run, found.step, found.course)
    watch.step(found.step if found else 0)
    with _open_data(store, inputs, stage.window, cache) as data:
        last, course = _train(
            store, inputs, stage, data, found, device=device, reporter=reporter, watch=watch
        )
    # Rank 0 answers after its last write, so the others do not look too early.
    result = _result(store, inputs.run, ranks.from_rank_zero(last), course)
    if reporter and course:
        reporter.note(last, f"handed on: {course.chosen}")
    return result


def _train(
    store: ObjectStore,
    inputs: StageInputs,
    stage: Stage,
    data: "_Data",
    found: CheckpointManifest | None,
    *,
    device: torch.device,
    reporter: Reporter | None,
    watch: Watch,
) -> tuple[int, Course | None]:
    """Train to the end from the checkpoint `found`; return the last step and the course."""
    config = inputs.config
    start, validated, course = 0, Validated(0, {}), None
    if found:
        start, course = found.step, found.course
        validated = Validated(found.validated_at, found.metrics)
    teachers = teachers_of(store, config, inputs.init_from)
    judge = build_judge(store, config, teachers, course, crop_size=data.crop_size, device=device)
    validation = Validation(
        data.held_out,
        config.generator.scale,
        device,
        judge,
        degradation=config.degradation,
        pairs=data.held_out_pairs,
        pair_share=config.pair_share,
    )
    if reporter and (warning := warning_of_scale(store, config)):
        reporter.note(start, warning)
    if reporter and start == 0 and (picture := degraded_samples(stage, data.held_out)):
        reporter.picture("degraded", picture, 0)
    with (
        Batches(data.patches, device, data.pairs) as batches,
        CheckpointWriter(store, keep_last=config.keep_last, keep_every=config.keep_every) as writer,
    ):
        keeper = _Keeper(store, inputs, writer)
        if isinstance(config, AdversarialConfig) and course is None:
            measured = validation.measure(stage.result)
            validated = Validated(0, measured.metrics)
            fair, alone = fair_judge(judge, teachers), config.discriminator_warmup
            course = Course.begin(
                fair,
                measured.metrics,
                measured.faults,
                first=alone,
                judge_sha256=judge.weights_sha256 if judge and fair else None,
            )
            keeper.save(stage, 0, validated, course, final=False)
        return run_steps(
            stage,
            batches,
            validation,
            start=start,
            validated=validated,
            course=course,
            reporter=reporter if ranks.rank() == 0 else None,
            keeper=keeper,
            watch=watch,
        )


class _Data(NamedTuple):
    """Patches to train on, and the crops that validations measure."""

    patches: Patches
    pairs: Patches | None
    held_out: Crops
    held_out_pairs: Crops | None

    @property
    def crop_size(self) -> int:
        """Side of the smallest crops that are measured."""
        crops = (self.held_out, self.held_out_pairs)
        return min(each.size for each in crops if each is not None)


@contextmanager
def _open_data(
    store: ObjectStore, inputs: StageInputs, window: int, cache: ShardCache
) -> Iterator[_Data]:
    """The data of a stage, whose shards are fetched while it trains.

    `ConfigError` if the shards that are needed at a time do not fit into the cache.
    """
    with ExitStack() as opened:

        def crops_of(dataset: DatasetRef) -> Crops:
            crops = fetch_crops(store, dataset, "train", cache)
            if crops.fetched is not None:
                opened.enter_context(crops.fetched)
            return crops

        data = _divide(store, inputs, window, crops_of)
        patches = [each for each in (data.patches, data.pairs) if each is not None]
        cache.check_room(sum(each.needed_bytes for each in patches), _ADVICE)
        for each in patches:
            if each.buffer is not None and ranks.rank() == 0:
                logger.info("patches are drawn from a shuffle buffer: %s", each.buffer)
        yield data


def _divide(
    store: ObjectStore,
    inputs: StageInputs,
    window: int,
    crops_of: Callable[[DatasetRef], Crops],
) -> _Data:
    config = inputs.config

    def patches_of(crops: Crops, batch_size: int, side: int) -> Patches:
        return Patches(
            crops,
            batch_size=batch_size,
            window=side,
            seed=config.seed,
            augment=config.augment,
            shuffle_colours=config.shuffle_colours,
            buffer_bytes=config.shuffle_buffer_bytes,
        )

    trained, held_out = hold_out(crops_of(inputs.dataset))
    if inputs.pairs is None:
        return _Data(patches_of(trained, config.batch_size, window), None, held_out, None)
    pairs, held_out_pairs, trained = split_pairs(
        crops_of(inputs.pairs),
        trained,
        held_out,
        gated_pictures(store, inputs.dataset),
    )
    return _Data(
        patches_of(trained, config.batch_size - config.num_pairs, window),
        patches_of(pairs, config.num_pairs, config.patch_size),
        held_out,
        held_out_pairs,
    )


class _Keeper:
    """Checkpoints of one stage: rank 0 writes them, every rank can load one again."""

    def __init__(self, store: ObjectStore, inputs: StageInputs, writer: CheckpointWriter) -> None:
        self._store = store
        self._inputs = inputs
        self._writer = writer

    def save(
        self,
        stage: Stage,
        step: int,
        validated: Validated,
        course: Course | None,
        *,
        final: bool,
    ) -> None:
        if ranks.rank() == 0:
            manifest = _manifest(self._inputs, step, validated, course, final=final)
            self._writer.save(manifest, dump_stage(stage))

    def go_back(self, stage: Stage, course: Course) -> Validated:
        key = self._writer.go_back(course, self._inputs.run) if ranks.rank() == 0 else ""
        manifest = read_manifest(self._store, ranks.from_rank_zero(key))
        load_stage(stage, read_parts(self._store, manifest))
        stage.rate = course.rate
        return Validated(manifest.validated_at, manifest.metrics)


def _result(store: ObjectStore, run: str, last: int, course: Course | None) -> CheckpointManifest:
    """The manifest of the checkpoint to hand on, with the whole course."""
    if course is None:
        return read_manifest(store, checkpoint_key(run, last))
    course.refuse_without_result()
    found = read_manifest(store, checkpoint_key(run, course.result_step))
    return found.model_copy(update={"course": course})


def build_stage(
    config: PretrainConfig | AdversarialConfig,
    *,
    device: torch.device,
    initial: bytes | None,
    perceptual: bytes | None = None,
) -> Stage:
    """The stage before its first step; `initial` is a generator file to start from.

    `perceptual` is the weights file of the network in its content loss, if it has one.
    """
    stage: Stage
    if isinstance(config, AdversarialConfig):
        stage = Adversarial(config, device=device, initial=initial, perceptual=perceptual)
    else:
        stage = Pretrain(config, device=device, initial=initial, perceptual=perceptual)
    stage.settle_buckets()
    return stage


def _manifest(
    inputs: StageInputs, step: int, validated: Validated, course: Course | None, *, final: bool
) -> CheckpointManifest:
    config = inputs.config
    return CheckpointManifest(
        run=inputs.run,
        stage=config.stage,
        step=step,
        final=final,
        generator=config.generator,
        config=config.model_dump(mode="json"),
        dataset_version=inputs.dataset.version,
        pairs_version=inputs.pairs.version if inputs.pairs else None,
        init_from=inputs.init_from.digest if inputs.init_from else None,
        init_run=inputs.init_from.run if inputs.init_from else None,
        numerics_version=inputs.numerics_version,
        release_version=inputs.release_version,
        num_ranks=ranks.num_ranks(),
        metrics=validated.metrics,
        validated_at=validated.step,
        parts={},
        course=course,
    )


def _resume(store: ObjectStore, inputs: StageInputs, stage: Stage) -> CheckpointManifest | None:
    """Load the newest checkpoint, if any; all ranks load the one of rank 0."""
    key: str | None = None
    if ranks.rank() == 0:
        found = newest_checkpoint(store, inputs.run)
        key = found[0].key if found else None
    key = ranks.from_rank_zero(key)
    if key is None:
        return None
    manifest = read_manifest(store, key)
    if deciding(manifest.config) != deciding(inputs.config.model_dump(mode="json")):
        raise CheckpointError(
            f"{store.uri(key)} belongs to another stage config than {inputs.run} has now; "
            "a changed config needs its own run name"
        )
    load_stage(stage, read_parts(store, manifest))
    if manifest.course:
        stage.rate = manifest.course.rate
    if ranks.rank() == 0:
        logger.info(
            "resuming %s at step %d from %s",
            *(inputs.run, manifest.step, key),
            extra={"step": manifest.step, "key": key},
        )
    return manifest

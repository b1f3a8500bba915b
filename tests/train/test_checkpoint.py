"""Checkpoints in a real object store: complete or invisible, verified, bounded in number."""

import json
import logging

import pytest

from srgan.errors import CheckpointError, NewerFormatError, StorageError
from srgan.keys import part_key
from srgan.refs import to_json
from srgan.services.s3 import S3Store
from srgan.train.checkpoint import (
    CheckpointManifest,
    CheckpointWriter,
    checkpoint_keys,
    newest_checkpoint,
    newest_manifest,
    read_generator,
    read_manifest,
    read_parts,
)
from srgan.train.course import Course
from tests.support.checkpoints import RUN, manifest, parts
from tests.support.stages import adversarial
from tests.support.stores import Failing

GAN = adversarial()


def save(store: S3Store, *steps: int, final: bool = False) -> None:
    with CheckpointWriter(store) as writer:
        for step in steps:
            writer.save(manifest(step, final=final), parts(step))


def test_the_newest_checkpoint_comes_back_with_its_parts(object_store: S3Store) -> None:
    save(object_store, 2, 4)
    found = newest_checkpoint(object_store, RUN)
    assert found is not None
    assert (found[0].step, found[1]) == (4, parts(4))


def test_the_newest_manifest_is_read_without_its_parts_and_is_none_before_the_first(
    object_store: S3Store,
) -> None:
    assert newest_manifest(object_store, RUN) is None
    save(object_store, 2, 4)
    for part in manifest(4).parts.values():
        object_store.delete(part_key(RUN, part.digest))
    found = newest_manifest(object_store, RUN)
    assert found is not None
    assert found.step == 4


def test_a_manifest_of_an_earlier_release_is_read(object_store: S3Store) -> None:
    written = manifest(8).model_dump(mode="json", exclude={"numerics_version", "release_version"})
    key = manifest(8).key
    object_store.put(key, json.dumps(written | {"code_version": "0.1.0+abc"}).encode())
    found = read_manifest(object_store, key)
    assert (found.numerics_version, found.release_version) == ("", "0.1.0+abc")
    object_store.put(key, to_json(found))
    assert read_manifest(object_store, key) == found


def test_a_run_without_checkpoints_has_no_newest_one(object_store: S3Store) -> None:
    assert newest_checkpoint(object_store, RUN) is None


@pytest.mark.parametrize("damage", ["altered", "missing", "cut manifest"])
def test_a_damaged_checkpoint_is_passed_over_with_its_reason(
    object_store: S3Store, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    save(object_store, 2, 4)
    newest = read_manifest(object_store, manifest(4).key)
    victim = part_key(RUN, newest.parts["optimisers"].digest)
    if damage == "altered":
        object_store.put(victim, b"moments 5")
    elif damage == "missing":
        object_store.delete(victim)
    else:
        object_store.put(newest.key, object_store.get(newest.key)[:-20])
    with caplog.at_level(logging.WARNING):
        found = newest_checkpoint(object_store, RUN)
    assert found is not None
    assert found[0].step == 2
    assert newest.key in caplog.text


def test_a_checkpoint_of_a_newer_release_is_not_passed_over(object_store: S3Store) -> None:
    save(object_store, 2, 4)
    newer = {**json.loads(to_json(manifest(4))), "format": "srgan-checkpoint-2"}
    object_store.put(manifest(4).key, json.dumps(newer).encode())
    with pytest.raises(
        NewerFormatError, match=r"000000004\.json has the format srgan-checkpoint-2"
    ):
        newest_checkpoint(object_store, RUN)


def test_saving_again_heals_a_damaged_part(object_store: S3Store) -> None:
    save(object_store, 2)
    damaged = read_manifest(object_store, manifest(2).key).parts["generator"]
    object_store.put(part_key(RUN, damaged.digest), b"rubbish")
    assert newest_checkpoint(object_store, RUN) is None
    save(object_store, 2)
    assert newest_checkpoint(object_store, RUN) is not None


def test_a_checkpoint_whose_parts_cannot_be_written_is_invisible(object_store: S3Store) -> None:
    save(object_store, 2)
    failing = Failing(object_store, part_key(RUN, ""))
    with CheckpointWriter(failing, patience_s=0) as writer:
        writer.save(manifest(4), parts(4))
    found = newest_checkpoint(object_store, RUN)
    assert found is not None
    assert found[0].step == 2


def test_a_store_that_is_away_for_a_moment_does_not_cost_a_checkpoint(
    object_store: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    away = Failing(object_store, "parts/", times=1)
    with CheckpointWriter(away) as writer, caplog.at_level(logging.WARNING):
        writer.save(manifest(8, final=True), parts(8))
    assert "asking again" in caplog.text
    found = newest_checkpoint(object_store, RUN)
    assert found is not None
    assert found[1] == parts(8)


def test_one_missed_checkpoint_is_logged_and_the_second_in_a_row_ends_the_training(
    object_store: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing(object_store, "checkpoints/")
    with CheckpointWriter(failing, patience_s=0) as writer, caplog.at_level(logging.WARNING):
        writer.save(manifest(2), parts(2))
        writer.save(manifest(4), parts(4))
        assert "training goes on" in caplog.text
        with pytest.raises(StorageError, match="000000004"):
            writer.save(manifest(6), parts(6))


@pytest.mark.parametrize(("best", "good"), [(2, 2), (0, 2)])
def test_a_missed_checkpoint_that_its_course_names_ends_the_training_at_the_next(
    object_store: S3Store, best: int, good: int
) -> None:
    named = Course(judge="judge", start=2.0, best=1.5, best_step=best, good_step=good)
    failing = Failing(object_store, "000000002.json")
    with CheckpointWriter(failing, patience_s=0) as writer:
        writer.save(manifest(2).model_copy(update={"course": named}), parts(2))
        with pytest.raises(StorageError, match="000000002"):
            writer.save(manifest(4).model_copy(update={"course": named}), parts(4))
    assert newest_checkpoint(object_store, RUN) is None, "a later one would name a missing one"


def test_a_missed_checkpoint_between_those_that_its_course_names_costs_only_steps(
    object_store: S3Store,
) -> None:
    named = Course(judge="judge", start=2.0, best=1.5, best_step=2, good_step=4)
    failing = Failing(object_store, "000000006.json")
    with CheckpointWriter(failing, patience_s=0) as writer:
        for step in (6, 8):
            writer.save(manifest(step).model_copy(update={"course": named}), parts(step))
    assert kept_steps(object_store) == [8]


def test_a_final_checkpoint_that_cannot_be_written_ends_the_training(
    object_store: S3Store,
) -> None:
    failing = Failing(object_store, "checkpoints/")
    with (
        CheckpointWriter(failing, patience_s=0) as writer,
        pytest.raises(StorageError, match="no space"),
    ):
        writer.save(manifest(8, final=True), parts(8))


def kept_steps(store: S3Store) -> list[int]:
    return [read_manifest(store, key).step for key in checkpoint_keys(store, RUN)]


def save_measured(store: S3Store, *manifests: CheckpointManifest, **options: int) -> list[int]:
    """Steps of the checkpoints that are left after saving these."""
    with CheckpointWriter(store, keep_last=1, **options) as writer:
        for each in manifests:
            writer.save(each, parts(each.step))
    return kept_steps(store)


def test_the_last_three_checkpoints_and_their_parts_are_kept(object_store: S3Store) -> None:
    with CheckpointWriter(object_store) as writer:
        for step in (2, 4, 6, 8):
            writer.save(manifest(step, validated_at=0), parts(step))
    assert kept_steps(object_store) == [4, 6, 8]
    kept = [manifest(step).key for step in (4, 6, 8)]
    expected = {
        part_key(RUN, part.digest)
        for key in kept
        for part in read_manifest(object_store, key).parts.values()
    }
    assert {info.key for info in object_store.list(part_key.below(RUN))} == expected


def test_the_best_pretrained_checkpoint_is_kept_with_the_newest(object_store: S3Store) -> None:
    measured = [(2, 28.0), (4, 31.0), (6, 30.0), (8, 29.0)]
    manifests = [manifest(step, metrics={"psnr": psnr}) for step, psnr in measured]
    assert save_measured(object_store, *manifests) == [4, 8]
    newest = newest_checkpoint(object_store, RUN)
    assert newest is not None
    assert newest[0].step == 8, "a run goes on from its newest checkpoint, not from its best"


def test_the_best_checkpoint_of_a_gan_stage_is_the_perceptually_nearest(
    object_store: S3Store,
) -> None:
    measured = [(2, 31.0, 1.4), (4, 30.0, 1.1), (6, 29.0, 1.2), (8, 28.0, 1.3)]
    manifests = [
        manifest(step, stage=GAN, metrics={"psnr": psnr, "squeezenet_distance": distance})
        for step, psnr, distance in measured
    ]
    assert save_measured(object_store, *manifests) == [4, 8]


def test_psnr_never_says_which_checkpoint_of_a_gan_stage_is_best(object_store: S3Store) -> None:
    manifests = [manifest(step, stage=GAN, metrics={"psnr": 40.0 - step}) for step in (2, 4, 6, 8)]
    assert save_measured(object_store, *manifests) == [8]


def test_figures_of_an_earlier_validation_do_not_make_a_checkpoint_the_best(
    object_store: S3Store,
) -> None:
    manifests = [
        manifest(2, metrics={"psnr": 30.0}),
        manifest(4, metrics={"psnr": 31.0}, validated_at=3),
        manifest(6, metrics={"psnr": 29.0}),
    ]
    assert save_measured(object_store, *manifests) == [2, 6]


def test_checkpoints_at_multiples_of_keep_every_stay(object_store: S3Store) -> None:
    manifests = [manifest(step, validated_at=0) for step in (2, 4, 6, 8, 10)]
    assert save_measured(object_store, *manifests, keep_every=4) == [4, 8, 10]


def test_a_new_writer_keeps_what_the_one_before_it_kept(object_store: S3Store) -> None:
    save_measured(object_store, manifest(2, metrics={"psnr": 31.0}), manifest(4))
    assert save_measured(object_store, manifest(6), manifest(8, final=True)) == [2, 8]
    assert newest_checkpoint(object_store, RUN) is not None
    best = read_manifest(object_store, manifest(2).key)
    assert read_parts(object_store, best) == parts(2), "the final sweep must leave its parts"


def test_the_final_checkpoint_sweeps_up_what_killed_writers_left(object_store: S3Store) -> None:
    orphan = part_key(RUN, "0" * 64)
    object_store.put(orphan, b"left behind")
    save(object_store, 2)
    assert object_store.head(orphan) is not None, "it could belong to a writer at work"
    save(object_store, 4, final=True)
    assert object_store.head(orphan) is None


def test_the_generator_of_a_ref_is_the_average_where_there_is_one(object_store: S3Store) -> None:
    with CheckpointWriter(object_store) as writer:
        writer.save(manifest(8, final=True), {**parts(8), "ema": b"average"})
    ref = read_manifest(object_store, manifest(8).key).ref(None)
    assert read_generator(object_store, ref) == b"average"
    save(object_store, 2)
    plain = read_manifest(object_store, manifest(2).key).ref(None)
    assert read_generator(object_store, plain) == b"generator 2"


def test_a_generator_that_is_not_the_one_of_its_ref_is_refused(object_store: S3Store) -> None:
    save(object_store, 2)
    ref = read_manifest(object_store, manifest(2).key).ref(None)
    with pytest.raises(CheckpointError, match="expected " + "0" * 64):
        read_generator(object_store, ref.model_copy(update={"digest": "0" * 64}))
    object_store.put(part_key(RUN, ref.digest), b"rubbish")
    with pytest.raises(CheckpointError, match="holds 7 bytes"):
        read_generator(object_store, ref)

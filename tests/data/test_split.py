"""Who is held out."""

import hashlib

from srgan.data.crops import assign, side


def _digests(count: int) -> list[str]:
    return [hashlib.sha256(bytes([index])).hexdigest() for index in range(count)]


def test_the_share_held_out_is_about_the_one_asked_for() -> None:
    digests = [hashlib.sha256(str(index).encode()).hexdigest() for index in range(2000)]
    assert 150 < sum(side(each, 0.1) == "eval" for each in digests) < 250


def test_photos_keep_their_side_when_the_share_changes() -> None:
    old, new = _digests(40)[:20], _digests(40)[20:]
    before = assign(old, {}, 0.5)
    after = assign(old + new, before, 0.01)
    assert {each: after[each] for each in old} == before
    assert {after[each] for each in new} == {"train"}


def test_an_empty_eval_side_takes_the_photo_with_the_lowest_digest() -> None:
    digests = _digests(6)
    splits = assign(digests, {}, 1e-9)
    assert [each for each, split in splits.items() if split == "eval"] == [min(digests)]


def test_an_empty_train_side_takes_the_photo_with_the_highest_digest() -> None:
    digests = _digests(6)
    splits = assign(digests, {}, 1 - 1e-9)
    assert [each for each, split in splits.items() if split == "train"] == [max(digests)]


def test_an_empty_eval_side_takes_a_new_photo_before_one_that_was_trained_on() -> None:
    old, new = sorted(_digests(6))[:4], sorted(_digests(6))[4:]
    splits = assign(old + new, dict.fromkeys(old, "train"), 1e-9)
    assert [each for each, split in splits.items() if split == "eval"] == [new[0]]

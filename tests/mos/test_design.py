"""The order in which a rater sees images."""

from collections import Counter
from itertools import pairwise

import pytest

from srgan.errors import ConfigError
from srgan.mos.design import Showing, session, williams

METHODS = ["nearest", "bicubic", "1", "2", "original"]
IMAGES = [f"image {n}" for n in range(12)]


@pytest.mark.parametrize("num", [2, 3, 4, 5, 8, 9])
def test_every_method_precedes_every_other_one_equally_often(num: int) -> None:
    rows = williams(num)
    follows = Counter(pair for row in rows for pair in pairwise(row))
    assert len(follows) == num * (num - 1)
    assert set(follows.values()) == {len(rows) // num}
    places = Counter((place, each) for row in rows for place, each in enumerate(row))
    assert set(places.values()) == {len(rows) // num}


@pytest.mark.parametrize("num_images", [1, 3, 12])
def test_every_method_is_seen_on_each_image_once(num_images: int) -> None:
    seen = session(METHODS, IMAGES, 0, seed=1, num_images=num_images)
    assert len(seen) == len(set(seen)) == num_images * len(METHODS)
    assert len({each.image for each in seen}) == num_images


def test_no_photo_comes_twice_in_a_row() -> None:
    for rater in range(30):
        seen = session(METHODS, IMAGES, rater, seed=2)
        assert all(one.image != other.image for one, other in pairwise(seen))


def test_raters_have_orders_of_their_own_that_come_back_after_a_restart() -> None:
    orders = [session(METHODS, IMAGES, rater, seed=3) for rater in range(20)]
    assert len(set(map(tuple, orders))) == 20
    assert orders == [session(METHODS, IMAGES, rater, seed=3) for rater in range(20)]
    assert orders != [session(METHODS, IMAGES, rater, seed=4) for rater in range(20)]


def test_raters_who_see_a_part_share_the_images_evenly() -> None:
    seen = Counter(
        each.image
        for rater in range(6)
        for each in session(METHODS, IMAGES, rater, seed=5, num_images=4)
    )
    assert set(seen.values()) == {2 * len(METHODS)}


def test_over_raters_every_method_follows_every_other_about_equally_often() -> None:
    follows = Counter(
        (one.method, other.method)
        for rater in range(20)
        for one, other in pairwise(session(METHODS, IMAGES, rater, seed=6))
        if one.method != other.method
    )
    assert len(follows) == 20
    assert max(follows.values()) < 1.4 * min(follows.values())


def test_a_share_is_shown_again_and_not_at_once() -> None:
    seen = session(METHODS, IMAGES, 0, seed=7, repeats=0.2)
    again = [n for n, each in enumerate(seen) if each.repeat]
    assert len(again) == 12
    for n in again:
        first = seen.index(seen[n]._replace(repeat=False))
        assert n - first >= 10
    assert seen[:3] == session(METHODS, IMAGES, 0, seed=7)[:3]


def test_a_tiny_study_repeats_what_it_can() -> None:
    seen = session(["1", "2"], ["a"], 0, seed=8, repeats=1.0)
    assert seen.count(Showing("a", seen[0].method, True)) == 1


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="num_images is 13; the study has 12"):
        session(METHODS, IMAGES, 0, seed=9, num_images=13)
    with pytest.raises(ConfigError, match="repeats is 2; it is a share"):
        session(METHODS, IMAGES, 0, seed=9, repeats=2)

"""Byte order out of either order that stores list in."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srgan.adapters import s3_order
from srgan.adapters.s3_order import in_key_order
from srgan.storage import ObjectInfo

_KEYS = st.sets(st.text("a!.0/", min_size=1, max_size=6), max_size=40)


def _listing(keys: list[str]) -> Iterator[ObjectInfo]:
    return (ObjectInfo(key, "token", 1) for key in keys)


@pytest.mark.parametrize("held", [1, 1000])
@given(keys=_KEYS)
def test_any_listing_comes_out_in_byte_order(held: int, keys: set[str]) -> None:
    def has_lower_sibling(path: str) -> bool:
        return any(k.startswith(path) and "" < k[len(path) :][:1] < "/" for k in keys)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3_order, "_HELD", held)
        by_component = sorted(keys, key=lambda key: key.split("/"))
        for order in (by_component, sorted(keys)):
            result = in_key_order(_listing(order), "", has_lower_sibling)
            assert [entry.key for entry in result] == sorted(keys)


def test_a_large_directory_is_not_kept_in_memory_when_nothing_sorts_before_it() -> None:
    taken = 0

    def count() -> Iterator[ObjectInfo]:
        nonlocal taken
        for entry in _listing([f"dir/{index:05d}" for index in range(5000)]):
            taken += 1
            yield entry

    assert next(in_key_order(count(), "", lambda path: False)).key == "dir/00000"
    assert taken < 1100


@pytest.mark.parametrize("by_component", [True, False])
def test_a_key_as_deep_as_keys_can_be_is_listed_in_order(by_component: bool) -> None:
    deep = ["photos/" + "a/" * 500 + name for name in ("b/x", "b.x", "c")]
    keys = ["photos/a!", *deep, "photos/b"]
    order = sorted(keys, key=(lambda key: key.split("/")) if by_component else None)
    result = in_key_order(_listing(order), "photos/", lambda path: True)
    assert [entry.key for entry in result] == sorted(keys)

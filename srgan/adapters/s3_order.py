"""Listings in the order of keys, also from stores that list directory by directory.

S3 promises the order of UTF-8 bytes. Stores that keep directories (SeaweedFS) compare name by
name instead, so that ``a/1`` comes before ``a.jpg`` although ``.`` sorts below ``/``. What a plan
joins with earlier records must have one order everywhere.
"""

from collections.abc import Callable, Iterator
from itertools import chain, islice

from srgan.storage import ObjectInfo

_HELD = 1000
"""Entries of a directory kept back before the store is asked whether that is needed at all."""
_DEEPEST = 100
"""Path components that are sorted one in the other; what lies below is sorted in memory at once,
since Python calls functions to a depth of a thousand only, and S3 takes 512 components."""


class _Entries:
    """A listing with a look at its next entry."""

    def __init__(self, entries: Iterator[ObjectInfo]) -> None:
        self._entries = entries
        self.next = next(entries, None)

    def take(self) -> ObjectInfo:
        entry = self.next
        assert entry is not None
        self.next = next(self._entries, None)
        return entry

    def is_below(self, base: str) -> bool:
        return self.next is not None and self.next.key.startswith(base)


def in_key_order(
    entries: Iterator[ObjectInfo], prefix: str, has_lower_sibling: Callable[[str], bool]
) -> Iterator[ObjectInfo]:
    """The entries below `prefix` sorted by key, given in order of bytes or of path components.

    `has_lower_sibling(path)` says whether the store holds keys that start with `path` and go on
    with a character below ``/``. Only a directory that has such siblings is kept in memory.
    """
    return _below(_Entries(entries), prefix, has_lower_sibling)


def _below(
    entries: _Entries, base: str, has_lower_sibling: Callable[[str], bool]
) -> Iterator[ObjectInfo]:
    while entries.is_below(base):
        yield from _name(entries, base, has_lower_sibling)


def _name(
    entries: _Entries, base: str, has_lower_sibling: Callable[[str], bool]
) -> Iterator[ObjectInfo]:
    """The next file or directory directly below `base`, after the siblings that sort before."""
    assert entries.next is not None
    name, slash, _ = entries.next.key[len(base) :].partition("/")
    if not slash:
        yield entries.take()
        return
    path = base + name
    inside = (
        _below(entries, path + "/", has_lower_sibling)
        if path.count("/") < _DEEPEST
        else _sorted(entries, path + "/")
    )
    held = list(islice(inside, _HELD))
    if entries.is_below(path + "/") and not has_lower_sibling(path):
        yield from chain(held, inside)
        return
    held.extend(inside)
    while entries.next is not None and _is_lower(entries.next.key, path):
        yield from _name(entries, base, has_lower_sibling)
    yield from held


def _sorted(entries: _Entries, base: str) -> Iterator[ObjectInfo]:
    found = []
    while entries.is_below(base):
        found.append(entries.take())
    yield from sorted(found, key=lambda entry: entry.key)


def _is_lower(key: str, path: str) -> bool:
    return key.startswith(path) and "" < key[len(path) : len(path) + 1] < "/"

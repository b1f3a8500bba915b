"""The two tables of a dataset version: outcome of each source, place of each photo's crops."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from srgan.images.statistics import Statistics

Split = Literal["train", "eval"]


class CropSpan(NamedTuple):
    """Consecutive crops of one photo in one shard."""

    shard: str
    """SHA-256 of the shard."""
    row: int
    num_crops: int


@dataclass(frozen=True, slots=True)
class SourceObject:
    """One source object: either its photo or the reason why it was rejected."""

    key: str
    token: str
    pixels: str | None = None
    """Digest of the decoded pixels; the photo's row carries the same."""
    reason: str | None = None
    detail: str | None = None
    statistics: Statistics | None = None
    """Those of its LR image: of what bicubic makes of the photo, or of the LR photo of a pair. None
    in tables of older releases, and of photos that are too small."""


@dataclass(frozen=True, slots=True)
class CutPhoto:
    """One photo; several sources may hold it."""

    pixels: str
    name: str
    """Key of its first source."""
    split: Split
    height: int
    width: int
    spans: tuple[CropSpan, ...]
    """Its crops in the order of `crops.windows`."""
    look: str | None = None
    """`images.likeness.look_of` the photo; None in tables of older releases."""
    hr_pixels: str | None = None
    """Digest of HR alone if this is a pair; `pixels` is then the digest of HR and LR."""

    @property
    def picture(self) -> str:
        """Digest of the pixels that are learned: those of HR."""
        return self.hr_pixels or self.pixels


_TEXT, _NUMBER = pa.string(), pa.int32()
_STATISTICS = pa.struct(dict.fromkeys((f.name for f in fields(Statistics)), pa.float64()))
_SOURCES = pa.schema(
    {
        **dict.fromkeys(("key", "token", "pixels", "reason", "detail"), _TEXT),
        "statistics": _STATISTICS,
    }
)
_SPAN = pa.struct({"shard": _TEXT, "row": _NUMBER, "num_crops": _NUMBER})
_PHOTOS = pa.schema(
    {
        "pixels": _TEXT,
        "name": _TEXT,
        "split": _TEXT,
        "height": _NUMBER,
        "width": _NUMBER,
        "spans": pa.list_(_SPAN),
        "look": _TEXT,
        "hr_pixels": _TEXT,
    }
)


def dump_sources(sources: Iterable[SourceObject]) -> bytes:
    """Parquet, one row per source object."""
    return _dump((asdict(source) for source in sources), _SOURCES)


def load_sources(data: bytes) -> list[SourceObject]:
    return [
        SourceObject(**{**row, "statistics": Statistics(**each) if each else None})
        for row in _rows(data)
        for each in [row.get("statistics")]
    ]


def dump_photos(photos: Iterable[CutPhoto]) -> bytes:
    """Parquet, one row per photo."""
    return _dump(({**asdict(p), "spans": [s._asdict() for s in p.spans]} for p in photos), _PHOTOS)


def load_photos(data: bytes) -> list[CutPhoto]:
    return [
        CutPhoto(**{**row, "spans": tuple(CropSpan(**span) for span in row["spans"])})
        for row in _rows(data)
    ]


def _dump(rows: Iterable[dict[str, Any]], schema: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), buffer, compression="zstd")
    return buffer.getvalue()


def _rows(data: bytes) -> Iterator[dict[str, Any]]:
    # In batches: a whole table of Python dictionaries would take the most memory.
    for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches(batch_size=10_000):
        yield from batch.to_pylist()

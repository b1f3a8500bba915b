"""Records of every source key: rows in immutable Parquet parts below the destination.

``<destination>/_srgan/<run>/records/<batch>.parquet`` holds one row for each key that the run had
to touch. A key that an earlier run's row still covers does not get a new row: the parts of all runs
together hold at least one row for every key, and a run over a million unchanged keys writes none.
`in_flight.py` makes the rows, `plan.py` those of names that cannot be read.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from itertools import islice
from typing import Any, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from srgan.bulk.forecast import Throughput
from srgan.bulk.join import FAILED, FAILED_ONCE, PASSED_OVER
from srgan.bulk.run import Stamp
from srgan.errors import DataError
from srgan.images.statistics import Statistics
from srgan.refs import Sums

RecordOutcome = Literal["done", "skipped", "failed", "passed_over"]

LOST_SEP = "; "
NOT_A_PHOTO = "not_a_photo"
"""Reason of what is passed over."""

MAX_NAMED = 20
"""Keys that a tally names: failed ones, and as many that are not photos."""
_MAX_DETAIL_CHARS = 500
_MAY_PASS = {"missing", "no_space", "storage"}
"""Reasons of failures that lie outside the photo."""
_MAY_BE_BUSY = {"timed_out", "crashed", "out_of_memory", "gpu", "system"}
"""Reasons for which a photo or a busy node may be at fault; several runs tell which."""


@dataclass(frozen=True, slots=True)
class Record:
    """One source key in one run."""

    source_key: str
    source_token: str
    """Change token of the source when the run was planned."""
    source_bytes: int
    model: str
    """`Stamp.model`: name, version and weights."""
    config_digest: str
    outcome: RecordOutcome
    """``skipped``: the output was already there, whole, from the same source, model and config.

    ``passed_over``: it is not a photo by its name or its first bytes.
    """
    destination_key: str = ""
    destination_token: str = ""
    destination_bytes: int = 0
    error: str = ""
    """Error class of a failed key."""
    reason: str = ""
    """Short stable name of the failure, such as ``truncated``."""
    detail: str = ""
    limits: str = ""
    """`BulkRun.limits` of a failed key: with others it may not fail. Empty for the defaults."""
    lost: str = ""
    """Names of what the source has and the output does not, separated by ``; ``."""
    blur: float = 0.0
    """`images.statistics.Statistics` of the source, also the next six; all 0 if not measured."""
    noise: float = 0.0
    jpeg_quality: float = 0.0
    source_side: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    colourfulness: float = 0.0
    width: int = 0
    """Width and height of the output in pixels; 0 unless done."""
    height: int = 0
    read_s: float = 0.0
    decode_s: float = 0.0
    upscale_s: float = 0.0
    encode_s: float = 0.0
    write_s: float = 0.0


_TYPES: dict[Any, Any] = {str: pa.string(), int: pa.int64(), float: pa.float64()}
_STATISTICS = [f.name for f in fields(Statistics)]
_LATER = {"limits": "", "lost": "", **dict.fromkeys(_STATISTICS, 0.0)}
"""Columns that parts of earlier releases do not have, and what stands for them."""
_SCHEMA = pa.schema(
    [pa.field(f.name, _TYPES.get(f.type, pa.string()), nullable=False) for f in fields(Record)]
)


def to_parquet(records: Iterable[Record]) -> bytes:
    """Write rows as one Parquet file."""
    rows = [asdict(record) for record in records]
    for row in rows:
        row["detail"] = _valid(row["detail"][:_MAX_DETAIL_CHARS])
        row["lost"] = row["lost"][:_MAX_DETAIL_CHARS]
    buffer = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), buffer, compression="zstd")
    return buffer.getvalue()


def _valid(text: str) -> str:
    """Text of an error as UTF-8: it may name a file whose name is not."""
    return text.encode("utf-8", "backslashreplace").decode()


def from_parquet(data: bytes, key: str) -> list[Record]:
    """Read all rows of a part; `DataError` naming its `key` if it is damaged."""
    return [Record(**row) for row in _read(data, key, _SCHEMA.names).to_pylist()]


def covering(
    data: bytes, key: str, stamp: Stamp, *, failed_within: str | None = None
) -> Iterator[tuple[str, str, str]]:
    """(source key, source token, destination token) of outputs that carry this `stamp`.

    What was passed over has no output; its destination token is `PASSED_OVER`. `failed_within`
    (`BulkRun.limits`) adds what failed within these limits because of the photo itself, with the
    token `FAILED`, and what a busy node may have caused, with `FAILED_ONCE` and the `key` of this
    part.
    """
    names = ["source_key", "source_token", "destination_token"]
    table = _read(data, key, [*names, "outcome", "reason", "limits", "model", "config_digest"])
    for row in table.to_pylist():
        if (row["model"], row["config_digest"]) != (stamp.model, stamp.config_digest):
            continue
        may_differ = row["limits"] != failed_within or row["reason"] in _MAY_PASS
        if row["outcome"] == "failed" and may_differ:
            continue
        token = row["destination_token"]
        if row["outcome"] == "passed_over":
            token = PASSED_OVER
        elif row["outcome"] == "failed":
            token = FAILED_ONCE + key if row["reason"] in _MAY_BE_BUSY else FAILED
        yield row["source_key"], row["source_token"], token


def throughput(data: bytes, key: str, stamp: Stamp | None = None) -> Throughput:
    """Measure the outputs of one part; only those with `stamp`, if one is given."""
    columns = ["source_bytes", "destination_bytes", "width", "height", "upscale_s"]
    table = _read(data, key, [*columns, "outcome", "model", "config_digest"])
    chosen = pc.field("outcome") == "done"
    if stamp is not None:
        chosen &= pc.field("model") == stamp.model
        chosen &= pc.field("config_digest") == stamp.config_digest
    source_bytes, output_bytes, width, height, seconds = (
        table.filter(chosen).column(name).to_numpy() for name in columns
    )
    return Throughput(
        source_bytes=int(source_bytes.sum()),
        output_bytes=int(output_bytes.sum()),
        megapixels=float((width * height).sum()) / 1e6,
        upscale_s=float(seconds.sum()),
    )


def statistics(data: bytes, key: str) -> list[Statistics]:
    """Read the statistics of a part's sources, as far as they were measured."""
    rows = _read(data, key, _STATISTICS).to_pylist()
    return [Statistics(**row) for row in rows if row["source_side"]]


def _read(data: bytes, key: str, names: list[str]) -> pa.Table:
    try:
        file = pq.ParquetFile(BytesIO(data))
        there = set(file.schema_arrow.names)
        table = file.read(columns=[name for name in names if name in there])
        for name in names:
            if name in _LATER and name not in there:
                table = table.append_column(name, pa.array([_LATER[name]] * table.num_rows))
        return table.select(names)
    except (pa.ArrowException, KeyError) as error:
        raise DataError(
            f"{key} is not a readable part of upscaling records ({error}); "
            "delete it: its outputs are recognised by their own metadata"
        ) from error


class Tally(Sums):
    """Counts over rows."""

    num_done: int = 0
    num_skipped: int = 0
    num_failed: int = 0
    num_lossy: int = 0
    """Outputs that do not have everything that their sources have."""
    num_passed_over: int = 0
    """Keys that are not photos; they count neither as done nor as failed."""
    input_bytes: int = 0
    output_bytes: int = 0
    output_megapixels: float = 0.0
    seconds: dict[str, float] = Field(default_factory=dict)
    """Summed over images by stage of the work; stages overlap, so this exceeds the wall time."""
    reasons: dict[str, int] = Field(default_factory=dict)
    losses: dict[str, int] = Field(default_factory=dict)
    """How many outputs lost what, by name."""
    failures: dict[str, str] = Field(default_factory=dict)
    """The first failed keys with error class, reason and detail."""
    passed_over: tuple[str, ...] = ()
    """The first keys that are not photos."""

    def __add__(self, other: Self) -> Self:
        added = super().__add__(other)
        first = dict(islice(added.failures.items(), MAX_NAMED))
        others = added.passed_over[:MAX_NAMED]
        return added.model_copy(update={"failures": first, "passed_over": others})


def tally(records: Iterable[Record]) -> Tally:
    """Count the rows of one part."""
    rows = list(records)
    done = [row for row in rows if row.outcome == "done"]
    failed = [row for row in rows if row.outcome == "failed"]
    others = [row.source_key for row in rows if row.outcome == "passed_over"]
    return Tally(
        num_done=len(done),
        num_skipped=sum(row.outcome == "skipped" for row in rows),
        num_failed=len(failed),
        num_lossy=sum(bool(row.lost) for row in done),
        num_passed_over=len(others),
        passed_over=tuple(others[:MAX_NAMED]),
        input_bytes=sum(row.source_bytes for row in done),
        output_bytes=sum(row.destination_bytes for row in done),
        output_megapixels=sum(row.width * row.height for row in done) / 1e6,
        seconds={
            stage: sum(getattr(row, f"{stage}_s") for row in rows)
            for stage in ("read", "decode", "upscale", "encode", "write")
        },
        reasons=dict(Counter(row.reason for row in failed)),
        losses=dict(Counter(name for row in done if row.lost for name in row.lost.split(LOST_SEP))),
        failures={
            row.source_key: f"{row.error} {row.reason}: {row.detail}" for row in failed[:MAX_NAMED]
        },
    )

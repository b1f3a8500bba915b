"""Files of a study's judgements for other programs: CSV, Parquet and SUREAL's JSON."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from srgan.errors import ConfigError
from srgan.mos.ratings import REFERENCE, Preference, Rating
from srgan.studies.design import StudyDesign

FORMATS = (".csv", ".parquet", ".json")


def exported(design: StudyDesign, judgements: Sequence[Rating | Preference], name: str) -> bytes:
    """Content of a file for `name`, whose suffix says the format.

    CSV and Parquet have a row for each judgement and are what `srgan mos` reads. JSON is a data set
    of Netflix's SUREAL; `ConfigError` for pair comparisons, which it cannot hold.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(f"{name}: expected a file with one of the suffixes {', '.join(FORMATS)}")
    if suffix == ".json":
        return _sureal(design, judgements)
    kind = Rating if design.judging == "ratings" else Preference
    rows = [each.model_dump() for each in judgements]
    columns = list(kind.model_fields)
    return _csv(columns, rows) if suffix == ".csv" else _parquet(columns, rows)


def _csv(columns: list[str], rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(columns: list[str], rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: [row[name] for row in rows] for name in columns})
    target = io.BytesIO()
    pq.write_table(table, target)
    return target.getvalue()


def _sureal(design: StudyDesign, judgements: Sequence[Rating | Preference]) -> bytes:
    """One content for each image, one asset for each picture that was rated.

    Repeats are left out: SUREAL takes one score of a rater for an asset.
    """
    if design.judging != "ratings":
        raise ConfigError("SUREAL's JSON holds ratings only; export pair comparisons as .csv")
    scores: dict[tuple[str, str], dict[str, int]] = {}
    for each in judgements:
        if isinstance(each, Rating) and not each.repeat:
            scores.setdefault((each.image, each.method), {})[each.rater] = each.score
    references: list[dict[str, Any]] = []
    distorted: list[dict[str, Any]] = []
    for content, image in enumerate(design.images):
        path = image.pictures[REFERENCE]
        references.append({"content_id": content, "content_name": image.name, "path": path})
        for method in design.method_names:
            if (image.name, method) not in scores:
                continue
            distorted.append(
                {
                    "content_id": content,
                    "asset_id": len(distorted),
                    "method": method,
                    "os": scores[image.name, method],
                    "path": image.pictures[method],
                }
            )
    data = {
        "dataset_name": design.name,
        "ref_score": 5,
        "ref_videos": references,
        "dis_videos": distorted,
    }
    return json.dumps(data, indent=1, ensure_ascii=False).encode()

"""Bulk runs on running services: a model of random weights, photos, and what a run leaves."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from srgan.services.s3 import S3Store
from tests.support.running_stack import Shell

_REGISTER = """
import hashlib
import torch
from srgan.versions.register import Registrar
from srgan.config import GeneratorConfig
from srgan.promotion.lineage import ImportLineage
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.settings import Settings

torch.manual_seed(0)
config = GeneratorConfig(kind="msrresnet", scale=4, num_blocks=16, num_channels={num_channels})
weights = dump_generator(build_generator(config))
lineage = ImportLineage(
    source_file="drawn.pth",
    source_sha256="ab" * 32,
    source_format="drawn",
    weights_digest=hashlib.sha256(weights).hexdigest(),
)
print("RESULT", Registrar(Settings()).register_import("bulk-x4", weights, lineage).uri)
"""


def register_model(shell: Shell, num_channels: int) -> str:
    """Address of a new version of random weights, whose channels decide how long a photo takes."""
    printed = shell.python(_REGISTER.replace("{num_channels}", str(num_channels)))
    return next(line for line in printed.splitlines() if line.startswith("RESULT ")).split()[1]


def outputs(store: S3Store, destination: str) -> dict[str, tuple[str, str]]:
    """Change token, which here is a digest of the bytes, and time of writing, by relative path."""
    pages = store._client.get_paginator("list_objects_v2").paginate(
        Bucket=store.bucket, Prefix=f"{destination}/"
    )
    return {
        entry["Key"].removeprefix(f"{destination}/"): (
            entry["ETag"].strip('"'),
            entry["LastModified"].isoformat(),
        )
        for page in pages
        for entry in page.get("Contents", [])
        if "/_srgan/" not in entry["Key"]
    }


def records(store: S3Store, destination: str, run: str = "") -> list[dict[str, Any]]:
    """The rows of all parts of the runs whose names begin so."""
    parts = [
        info.key for info in store.list(f"{destination}/_srgan/{run}") if "/records/" in info.key
    ]
    tables = [pq.read_table(pa.BufferReader(store.get(key))) for key in parts]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    return rows


def expect_whole(
    store: S3Store,
    destination: str,
    before: dict[str, tuple[str, str]],
    expected: dict[str, str],
    run: str = "",
) -> None:
    """All outputs, with the right bytes; none that was there before is newer now."""
    after = outputs(store, destination)
    assert {name: token for name, (token, _) in after.items()} == expected
    assert {name: after[name] for name in before} == before
    rows = records(store, destination, run)
    done = [row["source_key"] for row in rows if row["outcome"] == "done"]
    assert len(done) == len(set(done)), "an image was done twice"
    assert {row["destination_key"].removeprefix(f"{destination}/") for row in rows} == set(expected)

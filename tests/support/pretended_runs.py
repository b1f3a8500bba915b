"""Bulk runs whose pool sees a pretended Ray: their nodes, their store, their spec."""

from collections.abc import Callable

from srgan.config import UpscaleConfig
from srgan.errors import StorageError
from srgan.jobs.upscale import UpscaleWorker
from srgan.jobs.upscale_pool import Pool
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.refs import ModelRef
from tests.support.pretended_ray import Node

GIB = 2**30
LIMIT_S = 300.0
"""Pretended seconds that a run waits for a larger cluster."""


class Store:
    """Keeps what is put, and is away for some keys."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.is_away: Callable[[str], bool] = lambda key: False

    def put(self, key: str, body: bytes, **_: object) -> str:
        if self.is_away(key):
            raise StorageError(f"{key}: the store is away")
        self.objects[key] = body
        return "token"

    def find(self, key: str) -> bytes | None:
        return self.objects.get(key)


def run(store: Store, batches: int = 6, **config: object) -> None:
    """Have at most four workers do so many batches."""
    spec = UpscaleSpec(
        run="b",
        source="/photos",
        destination="/large",
        model=ModelRef(name="m", version=1, run="r", weights_digest="ab" * 32),
        config=UpscaleConfig.model_validate({"max_workers": 4, "gpu": "never", **config}),
        batches=tuple(range(batches)),
        num_batches=batches,
        release_version="1",
    )
    Pool(spec, UpscaleWorker, store, "job", LIMIT_S).run()  # type: ignore[arg-type]  # a part of it


def node(name: str, cpus: float = 1, joins_at: float = 0.0) -> Node:
    """A node with memory for its CPUs."""
    return Node(name, {"CPU": cpus, "memory": 16.0 * GIB}, joins_at)

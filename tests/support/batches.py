"""Batches of a bulk run on a real object store."""

from collections.abc import Callable, Sequence

from srgan.bulk.attempt import BatchAttempt
from srgan.bulk.batch import BatchPipeline
from srgan.bulk.join import Item
from srgan.bulk.records import Record
from srgan.config.upscale import WAITING_BYTES_PER_CPU
from srgan.images import Photo, decode
from srgan.inference.engine import Engine
from srgan.services.s3 import S3Store
from tests.support.bulk_runs import bulk_run
from tests.support.image_files import file

png = file
ROWS = "up/_srgan/run/records/000000.parquet"


class CountingEngine:
    """The real engine, which also remembers the sizes it was given."""

    def __init__(self, engine: Engine) -> None:
        self.scale = engine.scale
        self.seen: list[tuple[int, ...]] = []
        self._engine = engine

    def upscale_photo(self, photo: Photo) -> Photo:
        self.seen.append(photo.pixels.shape)
        return self._engine.upscale_photo(photo)

    def together(self, photos: Sequence[Photo]) -> list[int]:
        return self._engine.together(photos)

    def upscale_photos(self, photos: Sequence[Photo]) -> list[Photo]:
        return self._engine.upscale_photos(photos)

    def held_bytes(self, photo: Photo) -> int:
        return self._engine.held_bytes(photo)

    def is_spooled(self, photo: Photo) -> bool:
        return self._engine.is_spooled(photo)


def put(store: S3Store, name: str, data: bytes) -> Item:
    token = store.put(f"photos/{name}", data)
    return Item(key=f"photos/{name}", token=token, size_bytes=len(data), output=f"up/{name}")


def upscale(
    store: S3Store,
    engine: object,
    items: list[Item],
    run: str = "run",
    *,
    num_cpus: int = 1,
    attempt: BatchAttempt = BatchAttempt(),  # noqa: B008  # frozen
    in_work: Callable[[str], None] | None = None,
    **config: object,
) -> list[Record]:
    batch = BatchPipeline(
        bulk_run(store, run, **config),
        engine,  # type: ignore[arg-type]  # tests pass their own engines
        decode,
        num_cpus=num_cpus,
        waiting_bytes=num_cpus * WAITING_BYTES_PER_CPU,
        attempt=attempt,
        in_work=in_work,
    )
    return batch.run(0, items)

"""What a bulk run reads before it begins: its manifest, and a few of its images."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from srgan.adapters.registry import Registry
from srgan.adapters.s3 import open_store
from srgan.config import UpscaleConfig
from srgan.errors import DataError
from srgan.refs import ModelRef
from srgan.settings import Settings
from srgan.storage import ObjectStore, is_folder, split_uri
from srgan.upscale.decoders import Decoders
from srgan.upscale.forecast import measure_some
from srgan.upscale.join import Item
from srgan.upscale.manifest import Manifest, check_kind
from srgan.upscale.records import Past


@contextmanager
def find_manifest(settings: Settings, address: str | None) -> Iterator[Manifest | None]:
    """The manifest as a file of this disk for as long as it is needed; None without one."""
    if address is None:
        yield None
        return
    check_kind(address)
    if is_folder(address):
        if not Path(address).is_file():
            raise DataError(f"the manifest {address} does not exist on the flow's machine")
        yield Manifest(Path(address), address)
        return
    bucket, key = split_uri(address)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "manifest"
        open_store(settings, bucket).download(key, path)
        yield Manifest(path, address)


def sampling(
    settings: Settings, store: ObjectStore, model: ModelRef, config: UpscaleConfig
) -> Callable[[Iterator[Item]], Past]:
    """How outputs are judged before the first run; loads the model, for its scale, when used."""

    def sample(items: Iterator[Item]) -> Past:
        # torch costs seconds, which runs that have earlier ones do not pay.
        from srgan.models.interchange import load_generator

        scale = load_generator(Registry(settings).load_generator_bytes(model)).scale
        with Decoders(1) as decoders:
            return measure_some(items, store, decoders.decode, config, scale)

    return sample

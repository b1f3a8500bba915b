"""A photo of this disk → its result, by the steps of a bulk run."""

from dataclasses import dataclass
from pathlib import Path

from srgan.images.files import file_format, read_photo_as_it_is, write_photo
from srgan.upscale.engine import Engine
from srgan.upscale.names import Oversize, reroute_suffix
from srgan.upscale.sizing import Sizing
from srgan.upscale.target import target_format


@dataclass(frozen=True, slots=True)
class FileUpscaler:
    """Upscales one file after the other with the same engine and options."""

    engine: Engine
    sizing: Sizing
    oversize: Oversize
    jpeg_quality: int
    jpeg_subsampling: str

    def __call__(self, source: Path, target: Path) -> Path:
        """Where the result is: `target`, or beside it if that format has no room for it.

        `ImageError` before the network runs for a photo that cannot be read or not be written.
        """
        photo = read_photo_as_it_is(source)
        wanted = file_format(target)
        if target_format(photo, wanted, self.oversize, self.sizing) != wanted:
            target = target.with_name(target.name + reroute_suffix(self.oversize))
        write_photo(
            target,
            self.sizing.fitted(self.engine.upscale_photo(photo), photo),
            jpeg_quality=self.jpeg_quality,
            jpeg_subsampling=self.jpeg_subsampling,
        )
        return target

"""A photo of this disk → its result, by the steps of a bulk run."""

from dataclasses import dataclass
from pathlib import Path

from srgan.errors import ImageError
from srgan.images.files import MAX_PIXELS, file_format, write_photo
from srgan.images.photo import Photo
from srgan.upscale.decoders import Decode
from srgan.upscale.engine import Engine
from srgan.upscale.file_size import check_file_size
from srgan.upscale.names import Oversize, reroute_suffix
from srgan.upscale.sizing import Sizing
from srgan.upscale.target import target_format


@dataclass(frozen=True, slots=True)
class FileUpscaler:
    """Upscales one file after the other with the same engine and options."""

    engine: Engine
    decode: Decode
    sizing: Sizing
    oversize: Oversize
    jpeg_quality: int
    jpeg_subsampling: str

    def __call__(self, source: Path, target: Path) -> Path:
        """Where the result is: `target`, or beside it if that format has no room for it.

        `ImageError` before the network runs for a photo that cannot be read or not be written.
        """
        photo = self.read(source)
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

    def read(self, source: Path) -> Photo:
        """The photo in its own depth and with all its pages; `ImageError` why not."""
        try:
            check_file_size(source.stat().st_size, MAX_PIXELS)
            data = source.read_bytes()
        except OSError as error:
            raise ImageError("unreadable", str(error)) from error
        return self.decode(data, max_pixels=MAX_PIXELS)

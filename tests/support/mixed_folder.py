"""A folder with one of everything that people have, and what the docs say becomes of each entry."""

import io
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import tifffile
from PIL import Image

from srgan.bulk.records import from_parquet
from srgan.images import decode
from srgan.storage import ObjectStore
from tests.support.image_files import dng, file, laden, picture

SCALE = 2
_DEEP = picture().astype(np.uint16) * 257
_WITH_ALPHA = np.dstack([picture(), picture()[:, :, 0]])
_MOVING: dict[str, Any] = {
    "save_all": True,
    "append_images": [Image.fromarray(picture()[::-1])],
    "duration": 50,
}


class Fate(NamedTuple):
    """Outcome of one entry."""

    outcome: str
    reason: str = ""
    """Reason of a failure."""
    result: str = ""
    """Name and format of the result; empty if there is none."""
    lost: str = ""


class Entry(NamedTuple):
    """Bytes of one object, and its fate; None if its name alone says that it is not a photo."""

    data: bytes
    fate: Fate | None = None


def mixed_folder() -> dict[str, Entry]:
    """All entries by their names; those of an extra only where it is installed."""
    return {**_stills(), **_tiffs(), **_animations(), **_of_extras(), **_failed(), **_others()}


def expected(folder: dict[str, Entry]) -> dict[str, Fate]:
    """Fates of the entries that have a row of the records, by their names."""
    return {name: entry.fate for name, entry in folder.items() if entry.fate}


def found(store: ObjectStore, source: str, destination: str, run: str) -> dict[str, Fate]:
    """Fates by the records of a run and by the results that they name."""
    own = f"{destination}/_srgan/{run}"
    keys = [info.key for info in store.list(own) if "/records/" in info.key]
    rows = [row for key in keys for row in from_parquet(store.get(key), key)]
    fates = {}
    for row in rows:
        result = ""
        if row.outcome == "done":
            shown = _shown(store.get(row.destination_key))
            result = f"{row.destination_key.removeprefix(f'{destination}/')} ({shown})"
        reason = row.reason if row.outcome == "failed" else ""
        name = row.source_key.removeprefix(f"{source}/")
        fates[name] = Fate(row.outcome, reason, result, row.lost)
    assert len(fates) == len(rows), "a row for each key"
    return dict(sorted(fates.items()))


def results(store: ObjectStore, destination: str) -> set[str]:
    """Names of everything below a destination that is not a record."""
    names = {info.key.removeprefix(f"{destination}/") for info in store.list(f"{destination}/")}
    return {name for name in names if not name.startswith("_srgan/")}


def _shown(data: bytes) -> str:
    """Tell what a result is by its content; its size is that of the drawn pictures, enlarged."""
    photo = decode(data, max_pixels=1_000_000)
    height, width = picture().shape[:2]
    assert photo.pixels.shape[:2] == (SCALE * height, SCALE * width)
    if photo.duration_ms is not None:
        return f"animated {photo.format}"
    pages = f", {1 + len(photo.pages)} pages" if photo.pages else ""
    bits = f", {photo.bit_depth} bits" if photo.is_deep else ""
    return f"{photo.format}{pages}{bits}"


def _done(data: bytes, result: str, lost: str = "") -> Entry:
    return Entry(data, Fate("done", result=result, lost=lost))


def _stills() -> dict[str, Entry]:
    jpeg = file(picture(), "jpeg")
    palette = Image.fromarray(picture()).quantize(16)
    return {
        "album/photo.jpg": _done(laden("jpeg"), "album/photo.jpg (jpeg)"),
        "cmyk.jpg": _done(
            file(Image.fromarray(picture()).convert("CMYK"), "jpeg"), "cmyk.jpg (jpeg)"
        ),
        "stereo.jpg": _done(jpeg + jpeg, "stereo.jpg (jpeg)", "further images"),
        "png.jpg": _done(file(picture(), "png"), "png.jpg (png)"),
        "deep.png": _done(laden("png"), "deep.png (png, 16 bits)"),
        "palette.png": _done(file(palette, "png"), "palette.png (png)"),
        "cut-out.png": _done(file(_WITH_ALPHA, "png"), "cut-out.png (png)"),
        "lossless.webp": _done(file(picture(), "webp", lossless=True), "lossless.webp (webp)"),
        "scan.bmp": _done(file(picture(), "bmp"), "scan.bmp (bmp)"),
        "phone.heic": _done(laden("heic"), "phone.heic (heic)"),
        "web.avif": _done(laden("avif"), "web.avif (avif)"),
        "twitter.jpg_large": _done(jpeg, "twitter.jpg_large (jpeg)"),
    }


def _tiffs() -> dict[str, Entry]:
    page = Image.fromarray(picture())
    planes = np.moveaxis(_DEEP, 2, 0)
    return {
        "laden.tif": _done(laden("tiff"), "laden.tif (tiff)"),
        "tiles.tif": _done(_tiff(picture(), tile=(16, 16), compression="lzw"), "tiles.tif (tiff)"),
        "planes.tif": _done(
            _tiff(planes, photometric="rgb", planarconfig="separate"),
            "planes.tif (tiff, 16 bits)",
        ),
        "big.tiff": _done(_tiff(_DEEP, bigtiff=True), "big.tiff (tiff, 16 bits)"),
        "fax.tif": _done(file(page.convert("1"), "tiff", compression="group4"), "fax.tif (tiff)"),
        "pages.tif": _done(
            file(page, "tiff", save_all=True, append_images=[page]), "pages.tif (tiff, 2 pages)"
        ),
        "spot colour.tif": _done(
            _tiff(_WITH_ALPHA, photometric="rgb", extrasamples=["unspecified"]),
            "spot colour.tif (tiff)",
            "further channels",
        ),
    }


def _tiff(values: "np.ndarray[Any, Any]", **options: Any) -> bytes:
    target = io.BytesIO()
    tifffile.imwrite(target, values, metadata=None, **options)
    return target.getvalue()


def _animations() -> dict[str, Entry]:
    return {
        "moving.gif": _done(file(picture(), "gif", **_MOVING), "moving.gif.webp (animated webp)"),
        "still.gif": _done(file(picture(), "gif"), "still.gif.png (png)"),
        "moving.png": _done(file(picture(), "png", **_MOVING), "moving.png.webp (animated webp)"),
        "moving.webp": _done(file(picture(), "webp", **_MOVING), "moving.webp (animated webp)"),
    }


def _of_extras() -> dict[str, Entry]:
    made = {}
    if find_spec("pillow_jxl") and find_spec("imagecodecs"):
        import_module("pillow_jxl")  # Pillow writes JPEG XL from then on
        made["new.jxl"] = _done(file(picture(), "jxl"), "new.jxl.png (png)")
    if find_spec("rawpy"):
        made["camera.dng"] = _done(dng(_DEEP), "camera.dng.png (png, 16 bits)")
    return made


def _failed() -> dict[str, Entry]:
    jpeg = file(picture(), "jpeg")
    floats = _tiff(picture().astype(np.float32), photometric="rgb")
    reasons = {
        "endless.jpg": (jpeg[:-2], "truncated"),
        "cut.jpg": (jpeg[:-200], "truncated"),
        "cut.webp": (file(picture(), "webp")[:-20], "truncated"),
        "page.jpg": (b"<html>not found</html>", "not_an_image"),
        "empty.jpg": (b"", "empty"),
        "damaged.png": (file(picture(), "png").replace(b"IDAT", b"IDAX"), "corrupt"),
        "floats.tif": (floats, "unsupported"),
        "drawing.psd": (b"8BPS" + bytes(60), "unsupported"),
    }
    return {name: Entry(data, Fate("failed", why)) for name, (data, why) in reasons.items()}


def _others() -> dict[str, Entry]:
    unknown = {"README": b"how to print these", "empty": b"", "video.bin": bytes(64)}
    named = {
        "album/": b"",  # the marker of a folder of S3
        ".DS_Store": b"\0\0\0\1Bud1",
        "._photo.jpg": b"\0\5\x16\7",
        "Thumbs.db": b"\xd0\xcf\x11\xe0",
        "album/photo.xmp": b"<x:xmpmeta/>",
        "album/photo.jpg.json": b"{}",
        "clip.mov": b"\0\0\0\x14ftypqt  ",
    }
    return {
        **{name: Entry(data, Fate("passed_over")) for name, data in unknown.items()},
        **{name: Entry(data) for name, data in named.items()},
    }

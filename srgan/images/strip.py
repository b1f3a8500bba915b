"""Put captioned pictures side by side, so that people can compare results."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_GAP = 8
_CAPTION = 32
_FONT_SIZE = 18
_PAPER, _INK = "white", "black"


def strip(images: list[tuple[str, NDArray[np.uint8]]]) -> bytes:
    """Make a PNG of a row of uint8 images (H, W, 3) or (H, W) of one height, captions above."""
    heights = {image.shape[0] for _, image in images}
    if len(heights) != 1:
        raise ValueError(f"expected images of one height, got heights {sorted(heights)}")
    font = ImageFont.load_default(_FONT_SIZE)
    columns = [max(image.shape[1], round(font.getlength(text))) for text, image in images]
    width = sum(columns) + _GAP * (len(columns) - 1)
    sheet = Image.new("RGB", (width, _CAPTION + heights.pop()), _PAPER)
    pen = ImageDraw.Draw(sheet)
    left = 0
    for (text, image), column in zip(images, columns, strict=True):
        centre = left + column // 2
        pen.text((centre, _CAPTION // 2), text, _INK, font, anchor="mm")
        sheet.paste(Image.fromarray(image), (centre - image.shape[1] // 2, _CAPTION))
        left += column + _GAP
    target = io.BytesIO()
    sheet.save(target, "png")
    return target.getvalue()


def stack(pictures: list[bytes], *, kind: str = "png") -> bytes:
    """Put encoded pictures below each other in one PNG or JPEG."""
    rows = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    height = sum(row.height for row in rows) + _GAP * (len(rows) - 1)
    sheet = Image.new("RGB", (max(row.width for row in rows), height), _PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + _GAP
    target = io.BytesIO()
    sheet.save(target, kind)
    return target.getvalue()

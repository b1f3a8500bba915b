"""XMP packets are changed in place, whatever prefixes they use."""

import re

import pytest

from srgan.images.metadata import xmp

TIFF, EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"


def packet(tiff: str, exif: str, declared: str) -> bytes:
    """A packet with attributes and elements under these prefixes, colon included."""
    return (
        f"<?xpacket begin='' id='x'?>\n<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
        f"<rdf:Description {declared} {tiff}Orientation = '6' {exif}PixelXDimension=\"56\">"
        f"<{exif}PixelYDimension>40</{exif}PixelYDimension>"
        f"<{tiff}XResolution unit='x'>720000/10000</{tiff}XResolution>"
        f"</rdf:Description></x:xmpmeta>   <?xpacket end='w'?>"
    ).encode()


@pytest.mark.parametrize(
    ("tiff", "exif", "declared"),
    [
        ("tiff:", "exif:", f'xmlns:tiff="{TIFF}" xmlns:exif="{EXIF}"'),
        ("tiff:", "exif:", ""),
        ("ns1:", "a.b-c:", f"xmlns:ns1='{TIFF}'\n xmlns:a.b-c = \"{EXIF}\""),
        ("exif:", "tiff:", f"xmlns:exif='{TIFF}' xmlns:tiff='{EXIF}'"),
    ],
    ids=["usual", "not declared", "odd", "swapped"],
)
def test_values_are_set_under_any_prefix_and_every_other_byte_stays(
    tiff: str, exif: str, declared: str
) -> None:
    before = packet(tiff, exif, declared)
    after = xmp.with_resolution(xmp.with_size(xmp.upright(before), 80, 112), (144, 144))
    expected = before
    for old, new in ((b"'6'", b"'1'"), (b'"56"', b'"112"'), (b">40<", b">80<")):
        expected = expected.replace(old, new)
    assert after == expected.replace(b"720000/", b"1440000/")


def test_a_prefix_of_another_namespace_is_left_alone() -> None:
    before = packet("tiff:", "exif:", "xmlns:tiff='urn:mine' xmlns:exif='urn:mine'")
    assert xmp.upright(xmp.with_size(before, 80, 112)) == before


def test_a_default_namespace_and_odd_prefixes_are_dropped_too() -> None:
    before = (
        b"<x><Thumbnails xmlns='http://ns.adobe.com/xap/1.0/'><a>1</a></Thumbnails>"
        b"<q:Thumbnails xmlns:q='http://ns.adobe.com/xap/1.0/'/><kept/></x>"
    )
    assert xmp.without_thumbnails(before) == b"<x><kept/></x>"
    video = (
        b"<d xmlns:c='http://ns.google.com/photos/1.0/camera/' c:MotionPhoto=\"1\" c:Other='2'/>"
    )
    assert xmp.of_one_image(video) == video.replace(b' c:MotionPhoto="1"', b"")


def test_a_packet_of_any_bytes_is_bounded_work() -> None:
    odd = b" xmlns:a='http://ns.adobe.com/tiff/1.0/' a:Orientation='" * 2000
    assert re.sub(rb"\d", b"", xmp.upright(odd)) == re.sub(rb"\d", b"", odd)

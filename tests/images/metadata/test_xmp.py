"""XMP packets are changed in place, whatever prefixes they use."""

import re
import time

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


TURNED = b"<x tiff:Orientation='6'/>"
NOTE = "http://ns.adobe.com/xmp/note/"


def test_the_pointer_to_a_second_packet_is_dropped_however_it_is_written() -> None:
    head = f"<x xmlns:n='{NOTE}'".encode()
    for attribute in (b" xmpNote:HasExtendedXMP='ABC'", b' n:HasExtendedXMP = "ABC"'):
        assert xmp.without_extension(head + attribute + b"/>") == head + b"/>"
    for element in (
        b"<xmpNote:HasExtendedXMP>ABC</xmpNote:HasExtendedXMP>",
        b"<n:HasExtendedXMP a='b'>\nABC</n:HasExtendedXMP\n>",
        b"<xmpNote:HasExtendedXMP/>",
        b"<xmpNote:HasExtendedXMP>A</xmpNote:HasExtendedXMP><n:HasExtendedXMP>B</n:HasExtendedXMP>",
    ):
        packet = head + b">%b<kept/></x>"
        assert xmp.without_extension(packet % element) == packet % b""


def test_elements_that_are_not_closed_take_no_longer_than_others() -> None:
    opened = b"<xmpNote:HasExtendedXMP>"
    closed = opened + b"one</xmpNote:HasExtendedXMP>"
    began = time.process_time()
    assert xmp.without_extension(closed + opened * 20_000) == opened * 20_000
    assert xmp.without_extension(closed * 20_000) == b""
    previews = b"<xmp:Thumbnails>" * 20_000
    assert xmp.without_thumbnails(previews) == previews
    videos = b"<GCamera:MotionPhoto>" * 20_000
    assert xmp.of_one_image(videos) == videos
    assert time.process_time() - began < 4


def test_packets_that_would_take_long_to_change_are_not_usable() -> None:
    declared = "".join(f" xmlns:p{n}='{NOTE}'" for n in range(1000))
    others = "".join(f" xmlns:p{n}='urn:{n}'" for n in range(1000))
    assert not xmp.is_usable(f"<x{declared}/>".encode())
    assert not xmp.is_usable(b"<x/>" + b" " * 2**20)
    for packet in (f"<x{declared} p1:HasExtendedXMP='1'/>".encode(), TURNED + b" " * 2**20):
        assert xmp.upright(xmp.without_extension(packet)) == packet, "it stays as it is"
    assert xmp.upright(TURNED) != TURNED
    assert xmp.is_usable(f"<x{others} xmlns:a='{NOTE}' xmlns:b='{NOTE}'/>".encode())
    assert xmp.is_usable(f"<x xmlns:a='{NOTE}'/>".encode() * 1000), "declared again and again"

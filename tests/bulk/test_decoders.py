"""A decoder that crashes, hangs or asks for too much costs one image; the next one is decoded."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srgan.bulk import decoder_process
from srgan.bulk import decoders as module
from srgan.bulk.decoder_process import (
    NonsenseError,
    read_answer,
    read_pixels,
    write_error,
    write_photo,
)
from srgan.bulk.decoders import Decoders
from srgan.errors import ClusterError, ImageError
from srgan.images import Photo, decode, decode_in_8_bits, encode
from tests.support.image_files import png, png_chunk
from tests.support.photos import DrawPhoto
from tests.support.waiting import wait_until

EncodePhoto = Callable[..., bytes]
PLENTY = 10**8


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    with Decoders(1, limit_s=30) as pool:
        yield pool


@pytest.fixture
def small(draw_photo: DrawPhoto, encode_photo: EncodePhoto) -> bytes:
    return encode_photo(draw_photo(1, 20, 30))


@pytest.fixture(scope="module")
def slow() -> bytes:
    """60 kB that take a large part of a second to decode."""
    buffer = BytesIO()
    Image.new("RGBA", (3900, 3900)).save(buffer, "PNG")
    return buffer.getvalue()


def in_background(run: Callable[[], Photo]) -> "Future[Photo]":
    pool = ThreadPoolExecutor(1)
    future = pool.submit(run)
    pool.shutdown(wait=False)
    return future


def ticks(pid: int) -> int:
    """Hundredths of seconds of CPU that a process has used."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def started(decoders: Decoders, image: bytes) -> int:
    """Id of the one process, which has decoded once."""
    decoders.decode(image, max_pixels=PLENTY)
    (pid,) = decoders.pids()
    return pid


def test_a_photo_from_a_process_is_the_one_that_decode_makes(
    decoders: Decoders, draw_photo: DrawPhoto, encode_photo: EncodePhoto
) -> None:
    rgba = np.dstack([draw_photo(1, 40, 50), draw_photo(2, 40, 50)[..., 0]])
    exif = Image.Exif()
    exif[0x0112] = 6
    for data in (
        encode_photo(rgba, dpi=(300, 300)),
        encode_photo(rgba[..., 0], "JPEG", exif=exif, icc_profile=b"a profile"),
    ):
        here, there = decode(data, max_pixels=PLENTY), decoders.decode(data, max_pixels=PLENTY)
        np.testing.assert_array_equal(here.pixels, there.pixels)
        assert (here.alpha is None) == (there.alpha is None)
        if here.alpha is not None:
            np.testing.assert_array_equal(here.alpha, there.alpha)
        assert (here.format, here.icc_profile, here.exif, here.dpi) == (
            there.format,
            there.icc_profile,
            there.exif,
            there.dpi,
        )
        there.pixels[0] = 0  # as writable as any


@pytest.mark.parametrize("kind", ["tiff", "webp"])
def test_depth_pages_and_timing_come_through_the_pipe(decoders: Decoders, kind: str) -> None:
    values = np.random.default_rng(0).integers(0, 40_000, (9, 7, 3), np.uint16)
    frames = [
        Photo(values + 9000 * n, values[..., 0], format=kind, duration_ms=10 * n + 10, dpi=(72, 72))
        for n in range(3)
    ]
    photo = replace(frames[0], pages=tuple(frames[1:]), num_loops=4)
    data = encode(photo, format=kind, jpeg_quality=90)
    here, there = decode(data, max_pixels=PLENTY), decoders.decode(data, max_pixels=PLENTY)
    assert len(there.pages) == 2
    assert (there.num_loops, there.is_deep) == ((0, True) if kind == "tiff" else (4, False))
    for one, other in zip((here, *here.pages), (there, *there.pages), strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels, strict=True)
        np.testing.assert_array_equal(one.alpha, other.alpha, strict=True)
        assert (one.duration_ms, one.dpi) == (other.duration_ms, other.dpi)


def test_for_training_a_process_answers_in_8_bits_and_counts_pixels_first(
    decoders: Decoders, draw_photo: DrawPhoto, encode_photo: EncodePhoto
) -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (9, 7, 3), np.uint16)
    for data in (
        encode(Photo(values), format="png", jpeg_quality=90),
        encode_photo(draw_photo(1, 40, 50)[..., 0], "JPEG"),
    ):
        here = decode_in_8_bits(data, max_pixels=PLENTY)
        there = decoders.decode_in_8_bits(data, max_pixels=PLENTY)
        np.testing.assert_array_equal(here.pixels, there.pixels, strict=True)
        counted = decoders.declared_pixels(data, max_pixels=PLENTY)
        assert counted == here.num_pixels
    pages = Photo(values, format="tiff", pages=(Photo(values, format="tiff"),))
    several = encode(pages, format="tiff", jpeg_quality=90)
    with pytest.raises(ImageError, match="several images") as caught:
        decoders.decode_in_8_bits(several, max_pixels=PLENTY)
    assert caught.value.reason == "unsupported"
    with pytest.raises(ImageError, match="the first bytes are"):
        decoders.declared_pixels(b"some text", max_pixels=PLENTY)


def test_what_decode_refuses_is_refused_with_the_same_reason(
    decoders: Decoders, small: bytes
) -> None:
    for data, reason in ((small[:-30], "truncated"), (b"", "empty"), (b"text", "not_an_image")):
        with pytest.raises(ImageError) as caught:
            decoders.decode(data, max_pixels=PLENTY)
        assert caught.value.reason == reason
    with pytest.raises(ImageError, match=r"20 pixels, more than the limit of 599"):
        decoders.decode(small, max_pixels=599)


def test_a_decoder_that_dies_while_it_decodes_costs_one_image(
    decoders: Decoders, small: bytes, slow: bytes
) -> None:
    pid = started(decoders, small)
    before = ticks(pid)
    work = in_background(lambda: decoders.decode(slow, max_pixels=PLENTY))
    wait_until(lambda: ticks(pid) >= before + 3, "it decodes")
    os.kill(pid, signal.SIGSEGV)
    with pytest.raises(ImageError, match="SIGSEGV") as caught:
        work.result(30)
    assert caught.value.reason == "crashed"
    assert decoders.decode(small, max_pixels=PLENTY).pixels.shape == (20, 30, 3)
    assert decoders.pids() != [pid]


@pytest.mark.parametrize("ask", [Decoders.decode, Decoders.decode_in_8_bits])
def test_a_decoder_whose_answer_makes_no_sense_costs_one_image(
    ask: Callable[..., Photo], monkeypatch: pytest.MonkeyPatch, decoders: Decoders, small: bytes
) -> None:
    nonsense = (
        "import sys\n"
        "sys.stdout.buffer.write(b'+' + bytes([0, 0, 0, 3]) + b'huh')\n"
        "sys.stdout.flush()\n"
        "sys.stdin.read()\n"
    )
    with monkeypatch.context() as patched:
        patched.setattr(module, "_CODE", nonsense)
        with pytest.raises(ImageError, match="not JSON") as caught:
            ask(decoders, small, max_pixels=PLENTY)
    assert caught.value.reason == "crashed"
    wait_until(lambda: not decoders.pids(), "it was ended")
    assert ask(decoders, small, max_pixels=PLENTY).pixels.shape == (20, 30, 3)


def test_texts_of_a_photo_for_training_stay_in_the_process(decoders: Decoders) -> None:
    texts = png_chunk(b"tEXt", b"a\0text") * 3
    data = png(1, 1, 8, 2, b"\0\1\2\3", texts)
    assert len(decoders.decode(data, max_pixels=PLENTY).chunks) == 3
    photo = decoders.decode_in_8_bits(data, max_pixels=PLENTY)
    assert (photo.pixels.tolist(), photo.format, photo.chunks) == ([[[1, 2, 3]]], "png", ())


def test_a_decoder_that_hangs_is_killed_at_the_limit(small: bytes) -> None:
    with Decoders(1, limit_s=3) as decoders:
        pid = started(decoders, small)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ImageError, match="not decoded within 3 s") as caught:
            decoders.decode(small, max_pixels=PLENTY)
        assert caught.value.reason == "timed_out"
        assert not Path(f"/proc/{pid}").exists()
        assert decoders.decode(small, max_pixels=PLENTY).pixels.shape == (20, 30, 3)


def test_a_decoder_that_does_not_start_ends_the_batch(
    monkeypatch: pytest.MonkeyPatch, decoders: Decoders, small: bytes
) -> None:
    monkeypatch.setattr(module, "_CODE", "raise SystemExit(3)")
    with pytest.raises(ClusterError, match="ended while it started, with status 3"):
        decoders.decode(small, max_pixels=PLENTY)


def test_an_image_that_no_thread_could_watch_does_not_answer_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
    decoders: Decoders,
    small: bytes,
    draw_photo: DrawPhoto,
    encode_photo: EncodePhoto,
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(module.threading.Timer, "start", refuse)
        with pytest.raises(OSError, match="new thread"):
            decoders.decode(small, max_pixels=PLENTY)
    other = encode_photo(draw_photo(1, 10, 12))
    assert decoders.decode(other, max_pixels=PLENTY).pixels.shape == (10, 12, 3)


def test_a_decoder_that_died_between_two_images_costs_none(
    decoders: Decoders, small: bytes
) -> None:
    os.kill(started(decoders, small), signal.SIGKILL)
    wait_until(lambda: not decoders.pids(), "it is dead")
    assert decoders.decode(small, max_pixels=PLENTY).pixels.shape == (20, 30, 3)


def test_a_decoder_that_asks_for_too_much_memory_is_refused_it(
    monkeypatch: pytest.MonkeyPatch, decoders: Decoders, small: bytes, slow: bytes
) -> None:
    monkeypatch.setattr(module, "_BYTES_PER_PIXEL", 2)
    monkeypatch.setattr(module, "_SPARE_BYTES", 2**20)
    pid = started(decoders, small)
    with pytest.raises(ImageError) as caught:
        decoders.decode(slow, max_pixels=PLENTY)
    assert caught.value.reason == "too_large"
    assert started(decoders, small) == pid, "it lives on"


def test_a_large_image_is_decoded_alone_and_a_small_one_beside_it(
    monkeypatch: pytest.MonkeyPatch, draw_photo: DrawPhoto, encode_photo: EncodePhoto
) -> None:
    monkeypatch.setattr(module, "_SMALL_PIXELS", 1000)
    small, large = encode_photo(draw_photo(1, 20, 30)), encode_photo(draw_photo(1, 40, 30))
    with Decoders(2) as decoders:
        with decoders._alone:
            waiting = in_background(lambda: decoders.decode(large, max_pixels=PLENTY))
            assert decoders.decode(small, max_pixels=PLENTY).pixels.shape == (20, 30, 3)
            assert not waiting.done()
        assert waiting.result(30).pixels.shape == (40, 30, 3)


def test_many_threads_share_few_decoders(small: bytes) -> None:
    with Decoders(2) as decoders, ThreadPoolExecutor(8) as pool:
        photos = list(pool.map(lambda _: decoders.decode(small, max_pixels=PLENTY), range(40)))
        assert len(decoders.pids()) == 2
    assert {photo.pixels.tobytes() for photo in photos} == {photos[0].pixels.tobytes()}


def test_no_decoder_outlives_its_pool(small: bytes) -> None:
    with Decoders(1) as decoders:
        pid = started(decoders, small)
    assert not Path(f"/proc/{pid}").exists()


def test_no_decoder_outlives_a_parent_that_was_killed() -> None:
    code = (
        "import time\n"
        "from srgan.bulk.decoders import Decoders\n"
        "from srgan.errors import ImageError\n"
        "decoders = Decoders(1)\n"
        "try:\n"
        "    decoders.decode(b'', max_pixels=1)\n"
        "except ImageError:\n"
        "    print(decoders.pids()[0], flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    wait_until(lambda: not alive(pid), "the decoder ends by itself", 20)


def alive(pid: int) -> bool:
    """Return whether a process runs; one that ended may be a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_decoder_knows_no_key_of_any_service(
    monkeypatch: pytest.MonkeyPatch, decoders: Decoders, small: bytes
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    environment = Path(f"/proc/{started(decoders, small)}/environ").read_bytes()
    assert b"AWS_" not in environment


@pytest.mark.parametrize(
    "header",
    [
        b'{"photo": {"array": "|O8", "shape": [1]}}',
        b'{"photo": {"array": "|u1", "shape": [99999999999]}}',
        b'{"photo": {"array": "|u1", "shape": [-1]}}',
        b'{"photo": {"photo": {"pixels": null}}}',
        b'{"photo": {"bytes": 1e30}}',
        b'{"photo": {"array": "|u1", "shape": [0, 1e99]}}',
        b'{"photo": {"array": "|u1", "shape": [0, %d]}}' % 2**80,
        b'{"photo": ' + b'{"tuple": [' * 5000 + b"]}" * 5000 + b"}",
        b'{"photo": [1]}',
        b"[" * 100_000,
        b"\xff",
        b"{}",
    ],
)
def test_an_answer_that_makes_no_sense_is_no_photo(header: bytes) -> None:
    pipe = BytesIO(len(header).to_bytes(4, "big") + header + bytes(100))
    with pytest.raises(NonsenseError):
        read_answer(pipe, 1000)


@pytest.mark.parametrize("header", [b'{"pixels": -1}', b'{"pixels": "9"}', b"{}"])
def test_an_answer_that_makes_no_sense_is_no_number_of_pixels(header: bytes) -> None:
    with pytest.raises(NonsenseError):
        read_pixels(BytesIO(len(header).to_bytes(4, "big") + header))


def test_answers_follow_each_other_in_the_pipe(draw_photo: DrawPhoto) -> None:
    pipe = BytesIO()
    photo = Photo(draw_photo(1), exif=b"some", dpi=(72.0, 96.5))
    write_photo(pipe, photo)
    write_error(pipe, ImageError("corrupt", "why"))
    write_photo(pipe, photo)
    pipe.seek(0)
    assert read_answer(pipe, PLENTY).dpi == (72.0, 96.5)
    with pytest.raises(ImageError, match="corrupt: why"):
        read_answer(pipe, PLENTY)
    np.testing.assert_array_equal(read_answer(pipe, PLENTY).pixels, photo.pixels)
    with pytest.raises(EOFError):
        read_answer(pipe, PLENTY)


def test_metadata_of_more_parts_than_are_read_is_refused_before_it_is_sent(
    draw_photo: DrawPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = BytesIO()
    photo = Photo(draw_photo(1), comments=(b"one",) * 1000)
    for most_bytes in (10_000, 100_000):
        monkeypatch.setattr(decoder_process, "_MAX_HEADER_BYTES", most_bytes)
        write_photo(pipe, photo)
    pipe.seek(0)
    with pytest.raises(ImageError, match="its metadata has 1,000 parts") as caught:
        read_answer(pipe, PLENTY)
    assert caught.value.reason == "too_large"
    assert read_answer(pipe, PLENTY).comments == photo.comments, "the next answer follows"


def test_one_process_can_be_started_before_the_first_image() -> None:
    with Decoders(3) as decoders:
        assert not decoders.pids()
        decoders.start_one()
        (pid,) = decoders.pids()
        decoders.start_one()
        assert decoders.pids() == [pid]


def test_a_node_that_cannot_start_a_decoder_says_so_before_the_first_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_CODE", "raise SystemExit(3)")
    with Decoders(3) as decoders, pytest.raises(ClusterError, match="with status 3"):
        decoders.start_one()

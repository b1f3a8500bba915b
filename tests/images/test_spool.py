import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srgan.errors import ImageError
from srgan.images import Photo
from srgan.images.spool import Plane, SpooledPhoto, check_room


@settings(max_examples=40)
@given(st.data(), st.sampled_from([(), (1,), (3,)]), st.sampled_from([np.uint8, np.uint16]))
def test_what_is_written_in_pieces_is_read_as_one(
    data: st.DataObject, channels: tuple[int, ...], dtype: type
) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    row, column = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    expected = np.random.default_rng(0).integers(0, 255, (height, width, *channels), dtype)
    plane = Plane(None, expected.shape, dtype)
    for rows in (slice(0, row), slice(row, height)):
        for columns in (slice(0, column), slice(column, width)):
            plane.write(rows, columns, expected[rows, columns])
    np.testing.assert_array_equal(plane.values, expected)
    np.testing.assert_array_equal(plane.read(slice(row - 1, height)), expected[row - 1 :])


def num_open_files_in(folder: Path) -> int:
    links = Path("/proc/self/fd").iterdir()
    return sum(str(link.readlink()).startswith(str(folder)) for link in links if link.is_symlink())


def test_the_file_has_no_name_and_is_gone_with_the_photo(tmp_path: Path) -> None:
    photo = Photo(np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8))
    spooled = SpooledPhoto.of(
        photo, Plane(tmp_path, (4, 5), np.uint8), Plane(tmp_path, (4, 5), np.uint8)
    )
    assert list(tmp_path.iterdir()) == []
    if Path("/proc/self/fd").is_dir():
        assert num_open_files_in(tmp_path) > 0
        del spooled
        gc.collect()
        assert num_open_files_in(tmp_path) == 0


def test_a_process_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, numpy as np\n"
        "from srgan.images.spool import Plane\n"
        f"plane = Plane(pathlib.Path({str(tmp_path)!r}), (100, 100), np.uint8)\n"
        "plane.write(slice(0, 100), slice(0, 100), np.ones((100, 100), np.uint8))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_spooled_photo_keeps_the_metadata_except_for_changes(tmp_path: Path) -> None:
    photo = Photo(np.zeros((4, 5, 3), np.uint8), format="jpeg", exif=b"e", dpi=(72, 72))
    plane = Plane(tmp_path, (8, 10, 3), np.uint8)
    spooled = SpooledPhoto.of(photo, plane, None, dpi=(144, 144))
    assert (spooled.format, spooled.exif, spooled.dpi) == ("jpeg", b"e", (144, 144))
    assert spooled.pixels.shape == (8, 10, 3)


def test_a_disk_without_room_is_refused_with_the_size_that_is_needed(tmp_path: Path) -> None:
    check_room(tmp_path, 1)
    with pytest.raises(ImageError, match=rf"no_space: .* MiB in {tmp_path}, .*--spool.*--memory"):
        check_room(tmp_path, 2**60)


def test_a_disk_that_fills_up_while_writing_is_an_error_and_not_a_signal() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    plane = Plane(None, (4, 4), np.uint8)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        os.dup2(full, plane._file)
    finally:
        os.close(full)
    with pytest.raises(ImageError, match=r"no_space: .*No space left on device"):
        plane.write(slice(0, 4), slice(0, 4), np.zeros((4, 4), np.uint8))

"""Read files of tensors, safetensors or `torch.save`, and say what any other file is.

Nothing in a file is run, and what it declares is checked before it takes memory: a file never takes
more than a few times its own bytes. Messages are our own, because torch's recommend to load with
``weights_only=False``, which runs what is in the file.
"""

import pickletools
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from srgan.errors import CheckpointError

_SAFE = "save only its state_dict(), as safetensors or with torch.save, where it was made"
_AGAIN = "download the file itself"

_BEGINNINGS: tuple[tuple[str, str], ...] = (
    (
        r"\s*<(!doctype html|html|head|!--)",
        f"this is a web page (HTML), not weights: the download gave a page, perhaps one that asks "
        f"to log in; {_AGAIN}",
    ),
    (
        r"\s*<(\?xml|error)",
        f"this is an XML document, not weights, perhaps a store's error message; {_AGAIN}",
    ),
    (
        r"version https://git-lfs\.github\.com/spec/",
        "this is a Git LFS pointer, which stands for the weights in a repository; fetch them with "
        "`git lfs pull`, or download the file itself",
    ),
    (r"\s*[{\[]\s*[\"\]}]", f"this is JSON, not weights; {_AGAIN}"),
    (
        r"7767517\s",
        "this is the graph of an ncnn network; give its path, with the .bin file of the same name "
        "beside it",
    ),
    (
        r"Gk0\x01",
        "these are weights of an ncnn network; its graph, the .param file of the same name, has to "
        "lie beside it",
    ),
    (r"gguf", f"this is a GGUF file, which is not read; {_SAFE}"),
    (r"\x89hdf", f"this is an HDF5 file (Keras), which is not read; {_SAFE}"),
    (r"\x1f\x8b", "this is a gzip archive; unpack it first"),
    (r"7z\xbc\xaf|rar!|\xfd7zxz", "this is an archive; unpack it first"),
    (r"\x08[\x01-\x20]\x12", f"this looks like ONNX, which is not read; {_SAFE}"),
    (r"\x89png|\xff\xd8\xff|gif8|riff", "this is a picture, not weights"),
)
"""How files begin (in any case, as Latin-1), and what is said of them."""
_PROGRAM = r"(.*/)?(constants\.pkl|code/.*|.*\.pt2|archive_format|serialized_exported_program.*)"
"""Members of a zip archive by which torch keeps a network as a program."""
_PICKLE = r"(.*/)?data\.pkl"
_NUM_PICKLES = 5
"""Pickles at the begin of a file of torch before 1.6: a mark, versions, tensors, storages."""

_MAKING = re.compile(r"bytearray|encode|_rebuild_device_tensor_from_\w+")
"""Functions that torch would call while it loads, with any size: a line makes gigabytes."""
_DTYPES = frozenset(
    [
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.complex64, torch.complex128, torch.bool),
        *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
        *(torch.int8, torch.int16, torch.int32, torch.int64),
    ]
)
"""Numbers that everything here computes with; torch keeps smaller ones, but hardly computes."""
_LONGEST_PATH = 200
_MOST_SHARED = 4
"""Times that a file's bytes may be seen through different names, such as tied weights."""
_SAVE_AGAIN = "load it where it was made, and save plain tensors with torch.save or safetensors"


def read_tensors_file(data: bytes) -> object:
    """Read what a safetensors or `torch.save` file holds: tensors and plain values.

    `CheckpointError` says what the file is if it is anything else, or would run code.
    """
    if is_safetensors(data):
        return read_safetensors(data)
    _refuse_others(data)
    try:
        return _load(data)
    except CheckpointError:
        raise
    # The exceptions that torch raises on other files have no common base: UnpicklingError,
    # RuntimeError, EOFError, KeyError, AttributeError and more.
    except Exception as error:
        message, kind = str(error), type(error).__name__
    # Outside `except`, because a traceback would show torch's advice to load without checks.
    if code := re.search(r"GLOBAL ([\w.]+)", message):
        raise CheckpointError(
            f"loading this file would run {code[1]}, and files that run code are not loaded; "
            "ask its author to save only the state_dict()"
        )
    raise CheckpointError(
        "this is neither a safetensors file nor a complete one of torch.save with tensors and "
        f"plain values: it begins with {data[:16]!r} ({kind})"
    )


def read_safetensors(data: bytes) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file; `CheckpointError` if it is damaged or is none."""
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise CheckpointError(f"this is not a complete safetensors file: {error}") from error
    # By numbers that torch lacks, and by sizes that only fit because another side is 0.
    except (KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"this safetensors file holds tensors that torch cannot ({error}); {_SAVE_AGAIN}"
        ) from error
    _check_tensors(tensors, len(data))
    return tensors


def is_safetensors(data: bytes) -> bool:
    """Return whether a file begins as safetensors: a length of 8 bytes, then JSON."""
    return data[8:9] == b"{"


def _refuse_others(data: bytes) -> None:
    """Raise a `CheckpointError` for what is known not to be a file of tensors."""
    if not data:
        raise CheckpointError(
            "this is neither a safetensors file nor a complete one of torch.save: it is empty"
        )
    start = data[:256].decode("latin-1").removeprefix("\xef\xbb\xbf")
    for pattern, text in _BEGINNINGS:
        if re.match(pattern, start, re.IGNORECASE):
            raise CheckpointError(text)
    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            found = archive.infolist()
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"this file of {len(data):,} bytes begins as torch.save writes it, but its end is "
            "missing or damaged; download it again"
        ) from error
    members = [each.filename for each in found]
    if any(re.fullmatch(_PROGRAM, name) for name in members):
        raise CheckpointError(
            "this is a TorchScript or torch.export archive: it holds a network as a program, and "
            f"programs are not run; {_SAFE}"
        )
    if not any(re.fullmatch(_PICKLE, name) for name in members):
        shown = ", ".join(members[:3]) or "nothing"
        raise CheckpointError(
            f"this is a zip archive of {shown}, not a file of torch.save; unpack it first"
        )
    if packed := [each.filename for each in found if each.compress_type != zipfile.ZIP_STORED]:
        raise CheckpointError(
            f"its member {packed[0]} is compressed, which torch.save never does, so its size is "
            f"unknown; {_SAVE_AGAIN}"
        )
    declared = sum(each.file_size for each in found)
    if declared > len(data):
        raise CheckpointError(
            f"its members declare {declared:,} bytes, but the file has {len(data):,}: it is "
            "damaged or was altered; download it again"
        )


def _load(data: bytes) -> object:
    """Let torch load a file, after a look at what it declares; torch's errors are of many kinds."""
    for pickle in _pickles(data):
        _refuse_making(pickle)
    if data.startswith(b"PK"):
        _refuse_swapped(data)
        # Storages are set aside but not filled, so whatever a file declares takes no memory.
        with torch.serialization.skip_data():
            _check_tensors(_unpickled(data), len(data))
    loaded = _unpickled(data)
    _check_tensors(loaded, len(data))
    return loaded


def _unpickled(data: bytes) -> object:
    return torch.load(BytesIO(data), map_location="cpu", weights_only=True)


def _pickles(data: bytes) -> Iterator[BytesIO]:
    """The pickles of a file, each at its begin; the file of an old torch has several in a row."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(BytesIO(data)) as archive:
            for each in archive.infolist():  # two may have the same name
                if re.fullmatch(_PICKLE, each.filename):
                    yield BytesIO(archive.read(each))
    else:
        file = BytesIO(data)
        for _ in range(_NUM_PICKLES):
            yield file


def _refuse_making(pickle: BytesIO) -> None:
    """Raise a `CheckpointError` for calls that make more than what is stored; reads one pickle."""
    for operation, argument, _ in pickletools.genops(pickle):
        name = str(argument).rpartition(" ")[2]
        if operation.name == "GLOBAL" and _MAKING.fullmatch(name):
            raise CheckpointError(
                f"loading this file would call {name}, which makes values of any size; "
                f"{_SAVE_AGAIN}"
            )


def _refuse_swapped(data: bytes) -> None:
    """Raise a `CheckpointError` for numbers in another byte order: swapping fills storages."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        for each in archive.infolist():
            is_order = each.filename.lower().endswith("byteorder")  # torch finds it in any case
            if is_order and archive.read(each) != sys.byteorder.encode():
                raise CheckpointError(
                    f"its numbers are in the byte order of other processors; {_SAVE_AGAIN}"
                )


def _check_tensors(loaded: object, size_bytes: int) -> None:
    """Raise a `CheckpointError` with the key of a tensor that is not dense numbers in the file.

    Together they may not be more than the file of `size_bytes`, nor, with shared ones counted
    again, more than `_MOST_SHARED` times as much.
    """
    seen: set[int] = set()
    stored_bytes = named_bytes = 0
    for key, tensor in _tensors_in(loaded):
        if problem := _problem(tensor, size_bytes):
            raise CheckpointError(f"{key} {problem}; {_SAVE_AGAIN}")
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            stored_bytes += storage.nbytes()
        named_bytes += tensor.numel() * tensor.element_size()
        if max(stored_bytes, named_bytes / _MOST_SHARED) > size_bytes:
            raise CheckpointError(
                f"its tensors up to {key} claim {max(stored_bytes, named_bytes):,} bytes, but the "
                f"file has {size_bytes:,}: it is damaged or was altered; {_SAVE_AGAIN}"
            )


def _tensors_in(loaded: object) -> Iterator[tuple[str, Tensor]]:
    """All tensors with the end of their path, such as ``params.body.0.weight``.

    Containers may lie in each other at any depth, and in themselves.
    """
    waiting: list[tuple[str, object]] = [("", loaded)]
    seen: set[int] = set()
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Tensor):
            yield path, value
        elif isinstance(value, Mapping | list | tuple | set) and id(value) not in seen:
            seen.add(id(value))
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            found = [(f"{path}.{key}".lstrip(".")[-_LONGEST_PATH:], each) for key, each in items]
            waiting += reversed(found)


def _problem(tensor: Tensor, file_bytes: int) -> str | None:
    """Say why a tensor cannot be computed with as it is, or cannot be in such a file."""
    if tensor.device.type != "cpu":
        return f"has no values: it is a tensor on the device {tensor.device}"
    if tensor.layout is not torch.strided or tensor.is_nested:
        return f"is sparse or nested ({tensor.layout}), not dense"
    if tensor.is_quantized or tensor.dtype not in _DTYPES:
        return f"holds {tensor.dtype}, expected floats of 16, 32 or 64 bits"
    size_bytes, stored = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    if size_bytes > stored:
        return f"{tuple(tensor.shape)} claims {size_bytes:,} bytes, of which {stored:,} are stored"
    # Sizes of networks are read from the sides of tensors, also of those without values.
    if max(tensor.shape, default=0) > file_bytes:
        return f"is {tuple(tensor.shape)}, but the file has only {file_bytes:,} bytes"
    return None

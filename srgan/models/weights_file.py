"""Read files of tensors, safetensors or `torch.save`, and say what any other file is.

Nothing in a file is run. Messages are our own, because torch's recommend to load with
``weights_only=False``, which runs what is in the file.
"""

import re
import zipfile
from io import BytesIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load

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


def read_tensors_file(data: bytes) -> object:
    """Read what a safetensors or `torch.save` file holds: tensors and plain values.

    `CheckpointError` says what the file is if it is anything else, or would run code.
    """
    if is_safetensors(data):
        try:
            return load(data)
        except SafetensorError as error:
            raise CheckpointError(f"this is not a complete safetensors file: {error}") from error
    _refuse_others(data)
    try:
        return torch.load(BytesIO(data), map_location="cpu", weights_only=True)
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
            members = archive.namelist()
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"this file of {len(data):,} bytes begins as torch.save writes it, but its end is "
            "missing or damaged; download it again"
        ) from error
    if any(re.fullmatch(_PROGRAM, name) for name in members):
        raise CheckpointError(
            "this is a TorchScript or torch.export archive: it holds a network as a program, and "
            f"programs are not run; {_SAFE}"
        )
    if not any(re.fullmatch(r"(.*/)?data\.pkl", name) for name in members):
        shown = ", ".join(members[:3]) or "nothing"
        raise CheckpointError(
            f"this is a zip archive of {shown}, not a file of torch.save; unpack it first"
        )

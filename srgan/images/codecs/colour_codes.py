"""ICC profiles for colours that a file names by the numbers of ITU-T H.273 (CICP, nclx)."""

import struct

import numpy as np
from numpy.typing import NDArray

from srgan.errors import ImageError

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
_PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    4: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), _C),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
"""x and y of red, green, blue and white."""
_SRGB_PRIMARIES = 1
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_HDR = {16: "PQ", 18: "HLG"}
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_HEADER_BYTES = 128

Matrix = NDArray[np.float64]


def profile_of(primaries: int, transfer: int) -> bytes | None:
    """Make the profile of RGB with these codes.

    None if that is sRGB, which a file without a profile means anyway.

    The transfer functions of television count as that of sRGB, as in browsers; so do unknown codes.
    `ImageError` (``unsupported``) for HDR, whose brightness no profile tells.
    """
    if transfer in _HDR:
        raise ImageError(
            "unsupported", f"HDR ({_HDR[transfer]}); convert it to an ordinary colour space"
        )
    known = primaries if primaries in _PRIMARIES else _SRGB_PRIMARIES
    if known == _SRGB_PRIMARIES and transfer not in _GAMMAS:
        return None
    gamma = _GAMMAS.get(transfer)
    curve = _curve(0, (gamma,)) if gamma else _curve(3, _SRGB_CURVE)
    tags = {
        b"desc": _text(f"H.273 primaries {known}, transfer {transfer}"),
        b"cprt": _text("No copyright"),
        b"wtpt": _xyz(_D50),
        **{name: _xyz(column) for name, column in zip(_COLUMNS, _to_d50(known).T, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    return _profile(tags)


_COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")


def _to_d50(primaries: int) -> Matrix:
    """Matrix from linear RGB to XYZ, adapted to D50 by Bradford as profiles want it."""
    columns = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in _PRIMARIES[primaries]]).T
    white = columns[:, 3]
    matrix = columns[:, :3] * np.linalg.solve(columns[:, :3], white)
    cones = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    result: Matrix = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ matrix
    return result


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65_536) for value in values))


def _xyz(values: Matrix) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _curve(kind: int, parameters: tuple[float, ...]) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _fixed(*parameters)


def _text(text: str) -> bytes:
    letters = text.encode("utf-16-be")
    return (
        b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(letters), 28) + letters
    )


def _profile(tags: dict[bytes, bytes]) -> bytes:
    at = _HEADER_BYTES + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"", 0x04200000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp"  # a fixed date: equal bytes
    head = head.ljust(68, b"\0") + _fixed(*_D50)
    return head.ljust(_HEADER_BYTES, b"\0") + table + body

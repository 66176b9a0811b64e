"""Reads tensors out of a safetensors file: eight bytes of length, a JSON header, the numbers. No code in it.

The file is mapped, not read: processes on one machine share its pages, and what is never used never loads.
"""

from __future__ import annotations

import json
import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_HEADER_BYTES = 16 * 2**20
_TYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "I64": np.dtype("<i8")}


class TensorFileError(Exception):
    """The file is no safetensors file, or is cut off; the message says where."""


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor of the file by name, read-only, backed by the file itself.

    Raises:
        TensorFileError: it is not one, or not whole.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        if path.stat().st_size < 8:
            raise TensorFileError(f"{path}: shorter than a header")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    (length,) = struct.unpack("<Q", mapped[:8])
    if length > min(_MAX_HEADER_BYTES, len(mapped) - 8):
        raise TensorFileError(f"{path}: a header of {length} bytes cannot be")
    try:
        header: dict[str, Any] = json.loads(mapped[8 : 8 + length])
        header.pop("__metadata__", None)
        return {name: _tensor(mapped, 8 + length, facts) for name, facts in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TensorFileError(f"{path}: the header does not fit the file ({error})") from error


def _tensor(mapped: mmap.mmap, base: int, facts: dict[str, Any]) -> NDArray[Any]:
    kind, shape = _TYPES[facts["dtype"]], tuple(facts["shape"])
    start, end = facts["data_offsets"]
    count = int(np.prod(shape, dtype=np.int64))
    if end - start != count * kind.itemsize:
        raise ValueError(f"{shape} numbers do not fill {end - start} bytes")
    return np.frombuffer(mapped, dtype=kind, count=count, offset=base + start).reshape(shape)

"""`.safetensors`: a header in JSON, then the arrays one after another; here named "layer/variable", with the architecture.

The format is eight bytes of length, a header and plain bytes. It is implemented here with every number checked, because the
library does not bound the sizes in a header.

References:
    Hugging Face, safetensors, https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lamella.core import serialization
from lamella.errors import FormatError
from lamella.files import text
from lamella.files.hdf5.values import MAX_SIZE
from lamella.saving import arrays, assembly, checking, progress

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "V2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
_MOST_DIMENSIONS = 32


def file_of(model: Any) -> bytes:
    """The bytes of a model's file: every weight once, and in the metadata the architecture and lamella's progress."""
    what = f"model {model.name!r}"
    about = {
        "format": "lamella",
        "config": text.written(serialization.serialize(model), what),
        "lamella": text.written(progress.serialize(model), what),
    }
    header: dict[str, Any] = {"__metadata__": about}
    parts: list[bytes] = []
    start = 0
    for path, variable in model.named_weights():
        array, dtype = arrays.stored(variable)
        data = np.ascontiguousarray(array).tobytes()
        header[path] = {"dtype": _NAMES[dtype], "shape": list(array.shape), "data_offsets": [start, start + len(data)]}
        parts.append(data)
        start += len(data)
    encoded = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    encoded += b" " * (-len(encoded) % 8)
    return b"".join([len(encoded).to_bytes(8, "little"), encoded, *parts])


def looks_like(data: bytes) -> bool:
    """Whether a file may be one of these."""
    return len(data) > 9 and bytes(data[8:9]) == b"{"


def _parsed(data: bytes, where: str) -> tuple[dict[str, Any], dict[str, str], memoryview]:
    """The entries of the header, the metadata, and the bytes behind the header."""
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise FormatError(f"{where}: a header of {length:,} bytes in a file of {len(data):,}.")
    header = text.parsed(bytes(data[8 : 8 + length]), f"{where}: header")
    if not isinstance(header, dict):
        raise FormatError(f"{where}: the header is not an object.")
    about = header.pop("__metadata__", {})
    if not isinstance(about, dict) or not all(isinstance(value, str) for value in about.values()):
        raise FormatError(f"{where}: the metadata are not strings.")
    return header, about, memoryview(data)[8 + length :]


def _views(data: bytes, where: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays as views of the file, bfloat16 as raw pairs; and the metadata.

    Raises:
        FormatError: an entry is not an array, its size does not match its shape, or arrays overlap or leave gaps.
    """
    header, about, body = _parsed(data, where)
    found: dict[str, np.ndarray] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        place = f"{where}: {name[:200]!r}"
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise FormatError(f"{place} is not an array: dtype, shape and data_offsets are expected.")
        kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(kind, str) or kind not in _DTYPES:
            raise FormatError(f"{place}: the dtype {str(kind)[:40]!r} is not read.")
        if not _counts(shape, _MOST_DIMENSIONS) or not _counts(offsets, 2) or len(offsets) != 2:
            raise FormatError(f"{place}: shape or data_offsets are not lists of integers.")
        start, stop = offsets
        dtype = np.dtype(_DTYPES[kind])
        # NumPy takes no axis that is too long beside others, even where one of them is empty
        if math.prod(max(d, 1) for d in shape) * dtype.itemsize > MAX_SIZE:
            raise FormatError(f"{place}: an array of shape {tuple(shape)} is too large.")
        if not start <= stop <= len(body) or stop - start != math.prod(shape) * dtype.itemsize:
            raise FormatError(
                f"{place}: shape {tuple(shape)} of {kind} does not have {stop - start:,} bytes in the file."
            )
        found[name] = np.frombuffer(body[start:stop], dtype).reshape(shape)
        spans.append((start, stop, name))
    spans.sort()
    position = 0
    for start, stop, name in spans:
        if start != position:
            raise FormatError(f"{where}: {name[:200]!r} overlaps another array, or there is a gap before it.")
        position = stop
    if position != len(body):
        raise FormatError(f"{where}: {len(body) - position:,} bytes belong to no array.")
    return found, about


def _counts(value: Any, longest: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= longest
        and all(isinstance(d, int) and not isinstance(d, bool) and 0 <= d < 2**63 for d in value)
    )


def arrays_of(data: bytes, where: str) -> dict[str, np.ndarray]:
    """The arrays of a file by name, those of bfloat16 in float32."""
    found, _ = _views(data, where)
    return {name: arrays.widened(a) if a.dtype.kind == "V" else a for name, a in found.items()}


def read(data: bytes, where: str, custom_objects: Mapping[str, Any] | None) -> Any:
    """The model of a file that lamella wrote, not compiled.

    Raises:
        FormatError: as `load_model`.
    """
    found, about = _views(data, where)
    if "config" not in about:
        raise FormatError(f"{where}: no architecture in the metadata. Make the model, then model.load_weights(...).")
    place = f"{where}: config"
    with serialization.custom_objects(custom_objects):
        checked = checking.model(text.parsed(about["config"], place), place)
        model = assembly.built(checked, place, sum(a.size for a in found.values()))
        expected = dict(model.named_weights())
        shapes = {name: (a.shape, "bfloat16" if a.dtype.kind == "V" else a.dtype.name) for name, a in found.items()}
        arrays.compare(expected, shapes, where)
        arrays.assign(
            (v, arrays.widened(found[p]) if found[p].dtype.kind == "V" else found[p]) for p, v in expected.items()
        )
    if "lamella" in about:
        progress.restore(model, text.parsed(about["lamella"], f"{where}: lamella"), f"{where}: lamella")
    return model

"""Tensors of the Open Inference Protocol: as lists in JSON, and as raw bytes after it.

Raw: little-endian, row by row; each element of BYTES is its length in four bytes, then itself. NaN and an empty
element of BYTES mean that there is no value, and so does null in JSON.
Source: Open Inference Protocol, REST API version 2; Triton Inference Server, binary tensor data extension.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec

from shipworthy.errors import BadData

CODES = {"BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H",
         "UINT32": "I", "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d"}
NUMBERS = tuple(name for name in CODES if name != "BOOL")
DATATYPES = (*CODES, "BYTES")


def unpacked(raw: bytes, datatype: str, name: str) -> list[Any]:
    """The values of a raw tensor, None for none. Raises BadData where the bytes are not of the datatype."""
    if datatype == "BYTES":
        return _texts(raw, name)
    size = struct.calcsize(CODES[datatype])
    count, left = divmod(len(raw), size)
    if left:
        raise _bad(name, f"holds {len(raw)} bytes, no multiple of the {size} of {datatype}", "send every value whole")
    if datatype == "BOOL" and raw.translate(None, b"\0\1"):
        raise _bad(name, "holds a byte that is neither 0 nor 1", "send one byte of 0 or 1 a value")
    found = list(struct.unpack(f"<{count}{CODES[datatype]}", raw))
    return [None if value != value else value for value in found] if datatype.startswith("FP") else found


def listed(data: Any, datatype: str, name: str) -> list[Any]:
    """The values of a tensor in JSON, flat, None for none. Raises BadData where it is no list."""
    if not isinstance(data, list):
        raise _bad(name, 'has no list "data"', "send the values as one flat list")
    flat = [value for part in data for value in (part if isinstance(part, list) else (part,))]
    return [None if value == "" else value for value in flat] if datatype == "BYTES" else flat


def check(values: Sequence[Any], datatype: str, name: str) -> None:
    """Raises BadData where a value in JSON is not of its datatype."""
    try:
        msgspec.convert(values, _KINDS[datatype])
    except msgspec.ValidationError as error:
        raise _bad(name, f"holds a value that is not {datatype}: {error}", f"send {datatype}, or null") from error


def packed(values: Iterable[Any], datatype: str) -> bytes:
    """A raw tensor of flat values; None is NaN in numbers, and empty in BYTES."""
    if datatype == "BYTES":
        texts = [(value or "").encode() for value in values]
        return b"".join(part for text in texts for part in (struct.pack("<I", len(text)), text))
    found = [float("nan") if value is None else value for value in values]
    return struct.pack(f"<{len(found)}{CODES[datatype]}", *found)


def _texts(raw: bytes, name: str) -> list[str | None]:
    found: list[str | None] = []
    place, end = 0, len(raw)
    while place < end:
        after = place + 4
        stop = after + int.from_bytes(raw[place:after], "little")
        if after > end or stop > end:
            raise _bad(name, f"ends within element {len(found)}", "send each length in four bytes, then the text")
        try:
            found.append(raw[after:stop].decode() or None)
        except UnicodeDecodeError as error:
            raise _bad(name, f"element {len(found)} is not UTF-8", "send text as UTF-8") from error
        place = stop
    return found


def _bad(name: str, problem: str, hint: str) -> BadData:
    return BadData(f'input "{name}" {problem}', where=f"inputs, {name}", hint=hint)


def _whole(datatype: str) -> Any:
    bits = int(datatype.lstrip("UINT"))
    if datatype == "UINT64":
        return Annotated[int, msgspec.Meta(ge=0)]
    low, high = (0, 2**bits - 1) if datatype.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return Annotated[int, msgspec.Meta(ge=low, le=high)]


_KINDS: dict[str, Any] = {"BYTES": list[str | None], "BOOL": list[bool | None]} | {
    name: list[float | None] if name.startswith("FP") else list[_whole(name) | None]  # type: ignore[misc]
    for name in NUMBERS}

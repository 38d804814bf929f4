"""Canonical JSON and digests: equal values have equal bytes, on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from shipworthy.core.lazy import Lazy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
else:
    np = Lazy("numpy")


def canonical(value: Any) -> bytes:
    """JSON bytes with sorted keys and no spaces; msgspec structs and plain containers only."""
    return msgspec.json.encode(msgspec.to_builtins(value, enc_hook=_plain), order="deterministic")


def _plain(value: Any) -> Any:
    """A NumPy number as the plain number that it is."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} has no canonical JSON")


def digest(value: Any) -> str:
    """SHA-256 in lower hex of the canonical JSON of a value, or of bytes as they are."""
    raw = value if isinstance(value, bytes | bytearray | memoryview) else canonical(value)
    return hashlib.sha256(raw).hexdigest()


def digest_parts(parts: Iterable[bytes]) -> str:
    """SHA-256 over length-prefixed parts, so that no two lists of parts share their bytes."""
    running = hashlib.sha256()
    for part in parts:
        running.update(len(part).to_bytes(8, "little"))
        running.update(part)
    return running.hexdigest()


def digest_array(array: npt.NDArray[Any]) -> str:
    """SHA-256 over dtype, shape and little-endian C-order bytes of an array."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return digest_parts([str(little.dtype).encode(), str(little.shape).encode(), little.tobytes()])

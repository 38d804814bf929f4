"""NumPy archives from a stranger: arrays by name, or one kind of error whatever is wrong with them."""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from typing import Any

import numpy as np

from shipworthy.errors import FAULTS

Arrays = dict[str, np.ndarray[Any, Any]]


def read_arrays(raw: bytes) -> Arrays:
    """Every array of an archive by its name. No objects are made. Raises ValueError when it cannot be read."""
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as packed:
            if not isinstance(packed, np.lib.npyio.NpzFile):
                raise ValueError("it is not an archive")
            return {key: np.asarray(packed[key]) for key in packed.files}
    except (*FAULTS, OSError, EOFError, MemoryError, SyntaxError, struct.error, tokenize.TokenError,
            zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error) or type(error).__name__) from error

"""Columns from Python values of mixed types, as databases and workbooks give them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa


def column_of(values: Sequence[Any]) -> pa.Array:
    """An Arrow array; numbers stay numbers, and a column of several types becomes text. "" is null."""
    cells = [None if cell == "" else float(cell) if isinstance(cell, Decimal) else cell for cell in values]
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {int, float}:
        cells = [None if cell is None else float(cell) for cell in cells]
    elif kinds & {memoryview, bytes}:
        cells = [None if cell is None else bytes(cell).hex() if isinstance(cell, memoryview | bytes) else str(cell)
                 for cell in cells]
    elif len(kinds) > 1:
        cells = [None if cell is None else str(cell) for cell in cells]
    try:
        return pa.array(cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if cell is None else str(cell) for cell in cells], pa.string())

"""Excel and OpenDocument workbooks, by calamine."""

from __future__ import annotations

import importlib
from typing import Any

import pyarrow as pa

from shipworthy.core.table import Table
from shipworthy.data.collection.places import divide, local, table_name
from shipworthy.data.collection.tidy import tidied
from shipworthy.data.collection.values import column_of
from shipworthy.errors import BadData, nearest
from shipworthy.marks import connector


@connector("excel", suffixes=(".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"))
def read_excel(address: str, *, name: str = "", sheet: str = "") -> Table:
    """A table from one sheet; its first filled row is the header.

    sheet: its name, also written "book.xlsx#Sheet1"; needed when several sheets hold rows.
    Raises BadData, also when the extra that reads workbooks is not installed.
    """
    place, wanted = divide(address)
    path = local(place)
    try:
        calamine = importlib.import_module("python_calamine")
    except ModuleNotFoundError as error:
        raise BadData("reading workbooks needs python-calamine", where=address,
                      hint="pip install 'shipworthy[excel]', or save the sheet as CSV") from error
    try:
        book = calamine.CalamineWorkbook.from_path(str(path))
        rows = _rows(book, sheet or wanted, place)
    except calamine.PasswordError as error:
        raise BadData("the workbook is protected by a password", where=address,
                      hint="open it, save a copy without the password, or save the sheet as CSV") from error
    except calamine.CalamineError as error:
        raise BadData(f"the workbook cannot be read: {error}", where=address,
                      hint="open it and save it again, or save the sheet as CSV") from error
    header = [_name(cell, place) for place, cell in enumerate(rows[0], 1)]
    if len(rows) < 2:
        raise BadData("the sheet has a header but no rows", where=address, hint="check that the export finished")
    columns = [column_of([row[place] for row in rows[1:]]) for place in range(len(header))]
    return tidied(pa.Table.from_arrays(columns, names=header), name=name or table_name(place, wanted), origin=address)


def _rows(book: Any, sheet: str, address: str) -> list[list[Any]]:
    names = list(book.sheet_names)
    if sheet and sheet not in names:
        raise BadData(f'there is no sheet "{sheet}"', where=address,
                      hint=nearest(sheet, names) or f"it has {', '.join(names)}")
    filled = {each: _trim(book.get_sheet_by_name(each).to_python()) for each in ([sheet] if sheet else names)}
    filled = {each: rows for each, rows in filled.items() if rows}
    if not filled:
        raise BadData("the workbook holds no rows", where=address, hint="check that the export finished")
    if len(filled) > 1:
        raise BadData(f"{len(filled)} sheets hold rows", where=address,
                      hint=f"name one: {address}#{next(iter(filled))}")
    return next(iter(filled.values()))


def _name(cell: Any, place: int) -> str:
    """A whole number prints as one, though workbooks hold all numbers as floats; an empty cell gets its place."""
    word = f"{cell:.0f}" if isinstance(cell, float) and cell.is_integer() else str("" if cell is None else cell)
    return word.strip() or f"column{place}"


def _trim(rows: list[list[Any]]) -> list[list[Any]]:
    kept = [row for row in rows if any(cell not in ("", None) for cell in row)]
    width = max((len(row) for row in kept), default=0)
    used = [place for place in range(width) if any(place < len(row) and row[place] not in ("", None) for row in kept)]
    return [[row[place] if place < len(row) else None for place in used] for row in kept]

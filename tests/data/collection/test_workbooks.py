"""Workbooks and JSON records, written here cell by cell, are read; what cannot be read says why."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from shipworthy.data.collection.read import read
from shipworthy.errors import BadData

pytest.importorskip("python_calamine", reason="the extra that reads workbooks is not installed")

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
Rows = list[list[object]]


def workbook(path: Path, sheets: dict[str, Rows]) -> str:
    """A smallest workbook: numbers as numbers, all else as words, None as no cell."""
    listed = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(sheets, 1))
    links = "".join(f'<Relationship Id="rId{n}" Type="{DOCUMENT}/worksheet" Target="worksheets/sheet{n}.xml"/>'
                    for n in range(1, len(sheets) + 1))
    root = f'<Relationship Id="rId1" Type="{DOCUMENT}/officeDocument" Target="xl/workbook.xml"/>'
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("[Content_Types].xml", f'<Types xmlns="{PACKAGE}/content-types"/>')
        book.writestr("_rels/.rels", f'<Relationships xmlns="{PACKAGE}/relationships">{root}</Relationships>')
        book.writestr("xl/workbook.xml",
                      f'<workbook xmlns="{MAIN}" xmlns:r="{DOCUMENT}"><sheets>{listed}</sheets></workbook>')
        book.writestr("xl/_rels/workbook.xml.rels",
                      f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>')
        for n, rows in enumerate(sheets.values(), 1):
            body = "".join(f"<row>{''.join(_cell(at, place, cell) for place, cell in enumerate(row))}</row>"
                           for at, row in enumerate(rows, 1))
            book.writestr(f"xl/worksheets/sheet{n}.xml",
                          f'<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData></worksheet>')
    return str(path)


def _cell(row: int, column: int, value: object) -> str:
    place = f"{chr(65 + column)}{row}"
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value!r}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'


PEOPLE: Rows = [["name", "age", None, "paid"], ["ann", 31, None, "yes"], [None] * 4, ["bob", None, None, 7]]


def test_a_sheet_is_a_table_without_its_empty_rows_and_columns(tmp_path: Path) -> None:
    table = read(workbook(tmp_path / "a.xlsx", {"People": PEOPLE, "Empty": []}))
    assert table.records() == [
        {"name": "ann", "age": 31.0, "paid": "yes"}, {"name": "bob", "age": None, "paid": "7.0"}]


def test_a_sheet_is_named_after_the_address_or_by_the_setting(tmp_path: Path) -> None:
    address = workbook(tmp_path / "a.xlsx", {"One": [["a"], [1]], "Two": [["b"], [2]]})
    assert read(f"{address}#Two").records() == [{"b": 2.0}] == read(address, sheet="Two").records()
    assert read(f"{address}#Two").name == "Two"


def test_a_header_of_years_reads_as_years_and_an_empty_one_as_its_place(tmp_path: Path) -> None:
    address = workbook(tmp_path / "a.xlsx", {"S": [["town", 2023, None], ["Ulm", 5, 6]]})
    assert read(address).schema.names == ("town", "2023", "column3")


UNUSABLE = {
    "several sheets": ({"One": [["a"], [1]], "Two": [["b"], [2]]}, "", "2 sheets hold rows", "name one: {}#One"),
    "misspelt sheet": ({"People": PEOPLE}, "#Peple", 'there is no sheet "Peple"', 'did you mean "People"?'),
    "no such sheet": ({"People": PEOPLE}, "#Z", 'there is no sheet "Z"', "it has People"),
    "empty": ({"People": []}, "", "the workbook holds no rows", "check that the export finished"),
    "header only": ({"P": [["a", "b"]]}, "", "the sheet has a header but no rows", "check that the export finished"),
    "one name twice": ({"P": [["a", "a"], [1, 2]]}, "", 'two columns are named "a"', "rename one in the source"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_workbook_that_cannot_be_used_says_why(tmp_path: Path, what: str) -> None:
    sheets, more, problem, hint = UNUSABLE[what]
    address = workbook(tmp_path / "a.xlsx", sheets)  # type: ignore[arg-type]
    with pytest.raises(BadData) as caught:
        read(address + more)
    assert caught.value.problem == problem
    assert address in caught.value.where
    assert caught.value.hint == hint.format(address)


def test_a_protected_workbook_is_said_to_be_protected(tmp_path: Path) -> None:
    path = tmp_path / "a.ods"
    spaces = 'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"'
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        book.writestr("META-INF/manifest.xml",
                      f'<manifest:manifest {spaces}><manifest:file-entry manifest:full-path="content.xml">'
                      "<manifest:encryption-data/></manifest:file-entry></manifest:manifest>")
        book.writestr("content.xml", b"\x00\x01scrambled")
    with pytest.raises(BadData) as caught:
        read(str(path))
    assert caught.value.problem == "the workbook is protected by a password"
    assert "save a copy without the password" in caught.value.hint


@pytest.mark.parametrize("name", ["a.xlsx", "a.xls", "a.ods", "a.xlsb"])
@pytest.mark.parametrize("raw", [b"name,age\nann,31\n", b"PK\x03\x04 cut off", bytes(range(256)) * 9])
def test_what_is_no_workbook_is_said_to_be_unreadable(tmp_path: Path, name: str, raw: bytes) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(BadData) as caught:
        read(str(tmp_path / name))
    assert caught.value.problem.startswith("the workbook cannot be read: ")
    assert caught.value.hint == "open it and save it again, or save the sheet as CSV"


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def written(folder: Path, text: str, name: str = "a.jsonl") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_one_array_of_objects_is_read_as_lines_are(tmp_path: Path) -> None:
    lines = read(written(tmp_path, '{"a": 1, "b": "x"}\n{"a": 2}\n'))
    array = read(written(tmp_path, '[{"a": 1, "b": "x"}, {"a": 2}]', "a.json"))
    assert lines.records() == array.records() == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


def test_a_field_that_changes_its_type_late_is_words(tmp_path: Path) -> None:
    address = written(tmp_path, '{"a": 1}\n' * 30_000 + '{"a": "one"}\n')
    assert read(address).words("a")[-1] == "one"


@pytest.mark.parametrize("text, problem", [
    ('{"a": 1}\n{"a": \n', "the file does not hold JSON records"),
    ('{"a": 1}\n' * 30_000 + "oops\n", "the file does not hold JSON records"),
    ("[1, 2, 3]", ""),
    ("[]", ""),
    ("   \n", ""),
    ('{"a": 1, "a": 2}', ""),
])
def test_what_is_no_table_of_records_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    address = written(tmp_path, text)
    with pytest.raises(BadData) as caught:
        read(address)
    assert caught.value.problem.startswith(problem)
    assert caught.value.where == address
    assert caught.value.hint

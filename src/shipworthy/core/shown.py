"""Nouns in a notebook: one small table each, with every text from data escaped and cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from typing import Any

ROWS, COLUMNS, LETTERS, WORDS = 60, 24, 80, 300


def shown(caption: str, rows: Iterable[Sequence[Any]], *, head: Sequence[str] = (), letters: int = LETTERS) -> str:
    """An HTML table of at most 60 rows and 24 columns; a cell has at most so many letters, the caption 300.

    >>> shown("1 row", [["<b>", None]], head=["a", "b"])
    '<table><caption>1 row</caption><tr><th>a</th><th>b</th></tr><tr><td>&lt;b&gt;</td><td></td></tr></table>'
    """
    lines = "".join(_line("td", row, letters) for row in islice(rows, ROWS))
    first = _line("th", head, letters) if head else ""
    return f"<table><caption>{_cut(caption, WORDS)}</caption>{first}{lines}</table>"


def _line(tag: str, cells: Sequence[Any], letters: int) -> str:
    more = f"<{tag}>…</{tag}>" if len(cells) > COLUMNS else ""
    return "<tr>" + "".join(f"<{tag}>{_cut(cell, letters)}</{tag}>" for cell in cells[:COLUMNS]) + more + "</tr>"


def _cut(value: Any, letters: int) -> str:
    text = "" if value is None else str(value)
    return escape(text if len(text) <= letters else text[: letters - 1] + "…")

"""Nouns in a notebook: one small table each, with every text from data escaped and cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from typing import Any

ROWS, COLUMNS, LETTERS, WORDS, SENTENCES = 60, 24, 80, 300, 1_000
STYLES = {"pass": "color:#1b7f5c", "fail": "color:#b83227", "unknown": "color:#8d6708", "attested": "color:#2b6cb0",
          "not-applicable": "color:#616e7c", "cell": "text-align:left;vertical-align:top"}
SIGNS = {"pass": "✓&nbsp;pass", "fail": "✗&nbsp;fail", "unknown": "?&nbsp;unknown", "attested": "✎&nbsp;attested",
         "not-applicable": "–&nbsp;not applicable"}


def shown(caption: str, rows: Iterable[Sequence[Any]], *, head: Sequence[str] = (), letters: int = LETTERS) -> str:
    """An HTML table of at most 60 rows and 24 columns; a cell has at most so many letters, the caption 300.

    >>> shown("1 row", [["<b>", None]], head=["a", "b"])
    '<table><caption>1 row</caption><tr><th>a</th><th>b</th></tr><tr><td>&lt;b&gt;</td><td></td></tr></table>'
    """
    lines = "".join(_line("td", row, letters) for row in islice(rows, ROWS))
    first = _line("th", head, letters) if head else ""
    return f"<table><caption>{_cut(caption, WORDS)}</caption>{first}{lines}</table>"


def verdicts(caption: str, rows: Iterable[tuple[str, str, bool, Sequence[tuple[str, str]]]]) -> str:
    """An HTML table of verdicts as the report shows them: sign, word and colour, what must hold, what was found.

    rows: verdict, name, whether it is required, and the sentences with the remedy of each. At most 60 rows; a sentence
    is shown whole up to 1,000 letters.
    """
    cell = f'<td style="{STYLES["cell"]}">'
    lines = []
    for verdict, name, must, told in islice(rows, ROWS):
        sentences = "".join(f"<p>{_cut(sentence, SENTENCES)}{f'<br>→ {_cut(remedy, SENTENCES)}' if remedy else ''}</p>"
                            for sentence, remedy in told)
        lines.append(f'<tr>{cell}<b style="{STYLES[verdict]}">{SIGNS[verdict]}</b></td>'
                     f"{cell}<b>{_cut(name, LETTERS)}</b>{'<br>required' if must else ''}</td>"
                     f"{cell}{sentences}</td></tr>")
    return f"<table><caption>{_cut(caption, WORDS)}</caption>{''.join(lines)}</table>"


def _line(tag: str, cells: Sequence[Any], letters: int) -> str:
    more = f"<{tag}>…</{tag}>" if len(cells) > COLUMNS else ""
    return "<tr>" + "".join(f"<{tag}>{_cut(cell, letters)}</{tag}>" for cell in cells[:COLUMNS]) + more + "</tr>"


def _cut(value: Any, letters: int) -> str:
    text = "" if value is None else str(value)
    return escape(text if len(text) <= letters else text[: letters - 1] + "…")

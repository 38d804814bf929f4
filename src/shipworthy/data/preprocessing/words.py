"""What is wrong with the words of one column, judged on its distinct values: blanks, spellings, numbers as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shipworthy.data.collection.containment import words_of

NOTHING = frozenset(
    {
        "",
        "?",
        "??",
        "-",
        "--",
        ".",
        "n/a",
        "#n/a",
        "na",
        "nan",
        "null",
        "#null!",
        "#value!",
        "#ref!",
        "missing",
        "not available",
        "not applicable",
        "<na>",
        "\\n",
    }
)
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
COMMA = re.compile(r"[+-]?\d+,\d+")
AROUND = re.compile(r"^([€$£¥]\s?)?([+-]?[\d.,]+(?:[eE][+-]?\d+)?)\s?(%|[a-zA-Zµ°]{1,4}\.?(?:/[a-z]{1,3})?)?$")
CODES = frozenset(["zip", "postcode", "postal", "phone", "fax", "code", "id", "number", "no", "key", "sku"])
NUMERIC = 0.95
RATIO = 10
RATIO_SPELLING = 100
MOST_LEVELS = 500
RARE_ROWS = 2


@dataclass(frozen=True)
class Fix:
    """What one distinct value becomes, why, and which voters agreed. after None is null."""

    after: str | None
    reason: str
    voters: tuple[str, ...]


def blanks(counts: Mapping[str, int], codes: tuple[str, ...] = ()) -> dict[str, Fix]:
    """The values that mean that there is none: blank, "?", and those that the project declares."""
    found = {}
    for word in counts:
        if word in codes or word.strip() in codes:
            found[word] = Fix(None, "declared missing code", ("project file",))
        elif word.strip().casefold() in NOTHING:
            found[word] = Fix(None, f"missing written as {word.strip()!r}" if word.strip()
                              else "missing written as blank",
                              ("known code", "no letter or digit" if not any(map(str.isalnum, word)) else "known word"))
    return found


def spaces(counts: Mapping[str, int]) -> dict[str, Fix]:
    """Values with stray spaces, and rare values that differ from a frequent one by case or spaces alone."""
    groups: dict[str, list[str]] = {}
    for word in counts:
        groups.setdefault(" ".join(word.split()).casefold(), []).append(word)
    found = {}
    for alike in groups.values():
        best = max(alike, key=lambda word: (counts[word], word == word.strip(), word))
        best_after = " ".join(best.split()) if best != best.strip() else best
        for word in alike:
            if word != best and counts[best] >= RATIO * counts[word]:
                found[word] = Fix(best_after, "case or spaces of a frequent value", ("same letters", "frequency"))
            elif word != word.strip():
                found[word] = Fix(word.strip(), "spaces around the value", ("spaces",))
    return found


def spellings(counts: Mapping[str, int]) -> dict[str, Fix]:
    """Values in one or two rows, one letter away from a single value a hundred times as frequent; words only.

    Damerau (1964): most slips are one letter more, less, other, or two exchanged.
    """
    if len(counts) > MOST_LEVELS:
        return {}
    frequent = [word for word, count in counts.items() if count >= RATIO_SPELLING]
    found = {}
    for word, count in counts.items():
        if count > RARE_ROWS or len(word) < 5 or any(map(str.isdigit, word)):
            continue
        near = [each for each in frequent if counts[each] >= RATIO_SPELLING * count and one_slip(word, each)]
        if len(near) == 1:
            found[word] = Fix(near[0], "one letter from a frequent value", ("spelling", "frequency"))
    return found


def numbers(counts: Mapping[str, int], name: str) -> dict[str, float] | None:
    """Value → number when 95 % of the distinct values are numbers, perhaps with separators or one unit; else None.

    Codes are left alone: leading zeros, names such as zip or id, and columns of few short whole numbers.
    """
    words = [word.strip() for word in counts if word.strip().casefold() not in NOTHING]
    if len(words) < 3 or CODES & set(words_of(name)):
        return None
    if any(re.match(r"0\d", word) for word in words):
        return None
    decimal = any(COMMA.fullmatch(word) and not GROUPED.fullmatch(word) for word in words) and not any(
        "." in w for w in words
    )
    found, units = {}, set()
    for word in words:
        parsed = _number(word, decimal)
        if parsed is not None:
            found[word] = parsed[0]
            units.add(parsed[1])
    if len(found) < NUMERIC * len(words) or len(units - {""}) > 1:
        return None
    if len(words) <= 20 and all(value == int(value) for value in found.values()):
        return None
    return {word: found[word.strip()] for word in counts if word.strip() in found}


def one_slip(left: str, right: str) -> bool:
    """Whether one letter more, less or other, or two neighbours exchanged, turn one word into the other.

    >>> one_slip("mariied", "married"), one_slip("married", "single")
    (True, False)
    """
    if abs(len(left) - len(right)) > 1 or left == right:
        return False
    start = next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    a, b = left[start:], right[start:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (len(a) > 1 and a[:2] == b[1::-1] and a[2:] == b[2:])


def _number(word: str, decimal: bool) -> tuple[float, str] | None:
    match = AROUND.match(word)
    if not match:
        return (float(word), "") if PLAIN.fullmatch(word) else None
    core, unit = match.group(2), (match.group(1) or "").strip() + (match.group(3) or "")
    if GROUPED.fullmatch(core) and not decimal:
        return float(core.replace(",", "")), unit
    if decimal and COMMA.fullmatch(core):
        return float(core.replace(",", ".")), unit
    return (float(core), unit) if PLAIN.fullmatch(core) else None

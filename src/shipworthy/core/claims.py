"""Properties in plain words: one sentence of a small, strict grammar becomes one claim.

`FORMS` lists every sentence. NAME is a column, bare if it is one word, else in "quotes"; A, B and D are numbers.
Upper and lower case and a full stop do not matter outside names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import SequenceMatcher
from typing import Literal

import msgspec

from shipworthy.errors import BadProject

Kind = Literal["range", "monotone", "flip", "missing", "never", "robust"]

FORMS = (
    "answers stay between A and B",
    "answers stay above A",
    "answers stay below B",
    "never falls when NAME rises",
    "never rises when NAME rises",
    "NAME alone never changes the decision",
    "NAME alone moves the margin by at most D",
    "a missing NAME never changes the decision",
    "a missing NAME moves the margin by at most D",
    "never decides CLASS when CONDITION",
    "errors of measurement change at most P % of decisions",
)
CONDITIONS = (
    "NAME is above A", "NAME is below A", "NAME is at least A", "NAME is at most A", "NAME is between A and B",
    "NAME is missing", "NAME is VALUE",
)


class Condition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a row must hold for a claim to speak of it: a number within low and high, a word, or nothing at all.

    open: whether low and high themselves are left out.
    """

    column: str
    low: float = float("-inf")
    high: float = float("inf")
    open: bool = False
    word: str | None = None
    missing: bool = False


class Claim(msgspec.Struct, frozen=True, omit_defaults=True):
    """One property of all inputs. text: the sentence it was read from.

    range: every answer lies within low and high. monotone: the answer never falls (sign 1) or rises (sign −1) as the
    column rises. flip: a change of the column alone moves the margin by at most `limit`; None: changes no decision.
    missing: the same for a value that is not there. never: no row of `when` is decided for `word`.
    robust: errors of measurement change at most `limit` of the decisions, a share.
    """

    kind: Kind
    text: str
    column: str = ""
    sign: Literal[1, -1] = 1
    low: float = float("-inf")
    high: float = float("inf")
    limit: float | None = None
    word: str = ""
    when: tuple[Condition, ...] = ()


NUMBER, NAME = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", r'"[^"]+"|[^\s"]+'
_N, _V = rf"({NUMBER})", rf"({NAME})"
_Made = Callable[[re.Match[str], str], Claim]


def read_claim(text: str, *, where: str = "[[property]]") -> Claim:
    """The claim of a sentence. Raises BadProject with the nearest sentence that is known."""
    plain = " ".join(text.split()).rstrip(".")
    claim, when = _cut_at_when(plain)
    for pattern, make in _SENTENCES:
        found = re.fullmatch(pattern, claim, re.IGNORECASE)
        if found:
            made = msgspec.structs.replace(make(found, plain), when=tuple(_condition(one, where) for one in when))
            return _sensible(made, where)
    raise BadProject(f'"{plain}" is no sentence that can be proved', where=where,
                     hint=f"nearest: {_nearest(claim, when)}; docs/guides/properties.md lists all of them")


def _cut_at_when(plain: str) -> tuple[str, list[str]]:
    """The claim, and the conditions after its last "when" that is none of "when NAME rises"."""
    found = re.fullmatch(rf"(.*?) when ({_condition_words()}(?: and {_condition_words()})*)", plain, re.IGNORECASE)
    if not found:
        return plain, []
    return found[1], re.findall(_condition_words(), found[2], re.IGNORECASE)


def _condition_words() -> str:
    ends = (rf"(?:above|below|at least|at most) {NUMBER}", rf"between {NUMBER} and {NUMBER}", rf"(?:{NAME})")
    return rf"(?:{NAME}) is (?:{'|'.join(ends)})"


def _condition(text: str, where: str) -> Condition:
    found = re.fullmatch(rf"{_V} is (.+)", text, re.IGNORECASE)
    assert found
    column, rest = _name(found[1]), found[2]
    if one := re.fullmatch(rf"(above|below|at least|at most) {_N}", rest, re.IGNORECASE):
        word, value = one[1].lower(), float(one[2])
        is_low, is_open = word in ("above", "at least"), word in ("above", "below")
        return Condition(column, low=value, open=is_open) if is_low else Condition(column, high=value, open=is_open)
    if one := re.fullmatch(rf"between {_N} and {_N}", rest, re.IGNORECASE):
        low, high = float(one[1]), float(one[2])
        if low > high:
            raise BadProject(f'"{text}" holds of no row', where=where, hint=f"write: {found[1]} is between {high:g} "
                             f"and {low:g}")
        return Condition(column, low, high)
    if rest.lower() == "missing":
        return Condition(column, missing=True)
    return Condition(column, word=_name(rest))


def _sensible(claim: Claim, where: str) -> Claim:
    if claim.low > claim.high:
        raise BadProject(f'"{claim.text}" can hold of no answer', where=where, hint="the smaller number comes first")
    if claim.limit is not None and claim.limit < 0:
        raise BadProject(f'"{claim.text}" allows less than nothing', where=where, hint="write a limit of 0 or more")
    if claim.kind == "never" and not claim.when:
        raise BadProject(f'"{claim.text}" does not say when', where=where,
                         hint=f'add a condition: never decides "{claim.word}" when {CONDITIONS[1]}')
    if claim.kind == "robust" and claim.when:
        raise BadProject(f'"{claim.text}" is about the rows of the holdout, and takes no condition', where=where,
                         hint="leave out what follows when")
    return claim


def _nearest(claim: str, when: list[str]) -> str:
    """The form of a sentence that shares most words, in their order, with one that is not known."""
    words = [*claim.casefold().split(), *(["when", "condition"] if when else [])]
    return max(FORMS, key=lambda form: SequenceMatcher(None, words, form.casefold().split()).ratio())


def _name(text: str) -> str:
    return text.strip('"')


def _monotone(found: re.Match[str], text: str) -> Claim:
    return Claim("monotone", text, column=_name(found[2]), sign=1 if found[1].lower() == "falls" else -1)


def _moves(kind: Literal["flip", "missing"]) -> _Made:
    def make(found: re.Match[str], text: str) -> Claim:
        limit = float(found[2]) if found.re.groups > 1 else None
        return Claim(kind, text, column=_name(found[1]), limit=limit)

    return make


_SENTENCES: tuple[tuple[str, _Made], ...] = (
    (rf"answers stay between {_N} and {_N}", lambda m, t: Claim("range", t, low=float(m[1]), high=float(m[2]))),
    (rf"answers stay above {_N}", lambda m, t: Claim("range", t, low=float(m[1]))),
    (rf"answers stay below {_N}", lambda m, t: Claim("range", t, high=float(m[1]))),
    (rf"never (falls|rises) when {_V} rises", _monotone),
    (rf"{_V} alone never changes the decision", _moves("flip")),
    (rf"{_V} alone moves the margin by at most {_N}", _moves("flip")),
    (rf"a missing {_V} never changes the decision", _moves("missing")),
    (rf"a missing {_V} moves the margin by at most {_N}", _moves("missing")),
    (rf"never decides {_V}", lambda m, t: Claim("never", t, word=_name(m[1]))),
    (rf"errors of measurement change at most {_N} ?% of decisions",
     lambda m, t: Claim("robust", t, limit=float(m[1]) / 100)),
)

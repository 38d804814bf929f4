"""Every error a user can meet: problem, where, hint.

ShipworthyError
├── Misuse            the command or call is wrong
│   └── BadProject    shipworthy.toml cannot be used
├── BadData           a table, file or request cannot be read or does not fit its schema
├── BadModel          a program cannot be built, opened or proved equal to its library model
├── BadRelease        a release folder is incomplete, altered or foreign
├── StoreError        the disk or database refused; nothing was half-written
└── NotFit            the evidence says no: promotion refused (exit code 1, all others 2)
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

FAULTS = (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError, AssertionError, AttributeError)
"""What a fault in code raises, as against a problem that a user can act on."""


class ShipworthyError(Exception):
    """A problem that a user can act on.

    problem: one sentence, what is wrong. where: file, column, line or address. hint: what to do.

    >>> print(BadData('column "age" is missing', where="patients.csv", hint='did you mean "Age"?'))
    column "age" is missing
      at: patients.csv
      hint: did you mean "Age"?
    """

    exit_code = 2

    def __init__(self, problem: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(problem)
        self.problem, self.where, self.hint = problem, where, hint

    def __str__(self) -> str:
        lines = [self.problem]
        if self.where:
            lines.append(f"  at: {self.where}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class Misuse(ShipworthyError):
    """The command or call is wrong."""


class BadProject(Misuse):
    """The project file cannot be used."""


class BadData(ShipworthyError):
    """A table, file or request cannot be read or does not fit its schema."""


class BadModel(ShipworthyError):
    """A program cannot be built, opened or proved equal to its library model."""


class BadRelease(ShipworthyError):
    """A release folder is incomplete, altered or foreign."""


class StoreError(ShipworthyError):
    """The disk or database refused; nothing was half-written."""


class NotFit(ShipworthyError):
    """The evidence says no."""

    exit_code = 1


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known word closest to a misspelt one, or the shortest that contains it; empty if none is.

    >>> nearest("tagret", ["target", "time"])
    'did you mean "target"?'
    >>> nearest("default", ["age", "default payment next month"])
    'did you mean "default payment next month"?'
    """
    by_fold = {word.casefold(): word for word in known}
    wanted = name.strip().casefold()
    close = get_close_matches(name.casefold(), list(by_fold), n=1, cutoff=0.6)
    close = close or sorted((word for word in by_fold if len(wanted) >= 3 and wanted in word), key=len)
    return f'did you mean "{by_fold[close[0]]}"?' if close else ""


def one_of(name: str, known: Iterable[str]) -> str:
    """A hint that is never empty: the known word closest to a misspelt one, or the first of those there are.

    >>> one_of("tagret", ["target", "time"])
    'did you mean "target"?'
    >>> one_of("size", ["target", "time"])
    'choose one of: target, time'
    """
    words = list(known)
    more = ", …" if len(words) > 8 else ""
    return nearest(name, words) or (f"choose one of: {', '.join(words[:8])}{more}" if words else "there is none yet")

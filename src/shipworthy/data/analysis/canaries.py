"""Personal data made up, to see whether the scanner would find it: sixteen kinds, as it stands in real tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from shipworthy.data.analysis.national import LETTERS
from shipworthy.data.analysis.personal import luhn

Random = np.random.Generator
FIRST = ("james", "mary", "john", "anna", "peter", "maria", "lucas", "emma", "olga", "ivan")
LAST = ("Smith", "Garcia", "Novak", "Haas", "Okafor", "Tanaka", "Rossi", "Dubois", "Larsen", "Weiss")
STREETS = ("Mill Road", "High Street", "Park Avenue", "Station Lane", "Queens Drive")


def planted(seed: int, rows: int, copies: int) -> list[dict[str, list[str | None]]]:
    """For every copy the canary columns: name → words or None, (rows,). Names say nothing but where they must."""
    return [{name: _thinned(make, np.random.default_rng([seed, copy, place]), rows)
             for place, (name, make) in enumerate(KINDS.items())} for copy in range(copies)]


def _thinned(make: Callable[[Random], str], random: Random, rows: int) -> list[str | None]:
    """Some cells are empty, as in real tables."""
    empty = random.random(rows) < random.choice([0.0, 0.1, 0.4])
    return [None if gone else make(random) for gone in empty]


def _pick(random: Random, words: tuple[str, ...]) -> str:
    return words[int(random.integers(len(words)))]


def _digits(random: Random, count: int) -> str:
    return "".join(map(str, random.integers(0, 10, count)))


def _email(random: Random) -> str:
    end = _pick(random, ("org", "co.uk"))
    return f"{_pick(random, FIRST)}.{_pick(random, LAST).lower()}{_digits(random, 3)}@example.{end}"


def _phone(random: Random) -> str:
    return f"+{random.integers(1, 99)} {_digits(random, 3)} {_digits(random, 3)} {_digits(random, 4)}"


def _bare_phone(random: Random) -> str:
    return f"0{_digits(random, 3)} {_digits(random, 6)}"


def _card(random: Random) -> str:
    head = "4" + _digits(random, 14)
    return next(head + str(last) for last in range(10) if luhn(head + str(last)))


def _iban(random: Random) -> str:
    account = _digits(random, 18)
    return f"DE{98 - int(account + '131400') % 97:02}{account}"


def _ssn(random: Random) -> str:
    return f"{random.integers(100, 665)}-{random.integers(10, 99)}-{random.integers(1000, 9999)}"


def _dni(random: Random) -> str:
    number = _digits(random, 8)
    return number + LETTERS[int(number) % 23]


def _cpf(random: Random) -> str:
    digits = [int(digit) for digit in _digits(random, 9)]
    for place in (9, 10):
        digits.append(sum(d * w for d, w in zip(digits, range(place + 1, 1, -1), strict=True)) * 10 % 11 % 10)
    text = "".join(map(str, digits))
    return f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"


def _street(random: Random) -> str:
    return f"{random.integers(1, 200)} {_pick(random, STREETS)}"


def _born(random: Random) -> str:
    return f"{random.integers(1930, 2010)}-{random.integers(1, 13):02}-{random.integers(1, 29):02}"


def _person(random: Random) -> str:
    return f"{_pick(random, FIRST).title()} {_pick(random, LAST)}"


def _address(random: Random) -> str:
    return ".".join(map(str, random.integers(1, 255, 4)))


def _said(make: Callable[[Random], str]) -> Callable[[Random], str]:
    """A remark that holds such a word in one row of twenty."""
    def text(random: Random) -> str:
        told = f" reach me at {make(random)} please" if random.random() < 0.05 else ""
        return f"{_pick(random, ('called', 'wrote', 'came by'))} about order {_digits(random, 4)}{told}"

    return text


KINDS: dict[str, Callable[[Random], Any]] = {
    "c1": _email, "c2": _phone, "c3": _card, "c4": _iban, "c5": _ssn, "c6": _dni, "c7": _cpf, "c8": _street,
    "c9": _address, "phone": _bare_phone, "date_of_birth": _born, "customer_name": _person, "r1": _said(_email),
    "r2": _said(_phone), "r3": _said(_iban), "r4": _said(_card),
}

"""What decisions on these rows earn: every amount of the value table as a number, or read from a column row by row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from shipworthy.core.project import Value
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.errors import BadData, BadProject, one_of

AMOUNTS = ("true_positive", "false_positive", "false_negative", "true_negative", "per_unit_under", "per_unit_over")
CELLS = AMOUNTS[:4]
Amount = float | Floats


@dataclass(frozen=True)
class Amounts:
    """Every amount by name, a number or (n,) one for each row; costs are negative. capacity: share decided positive."""

    of: Mapping[str, Amount] = field(default_factory=dict)
    capacity: float = 1.0

    def __getitem__(self, name: str) -> Amount:
        return self.of.get(name, 0.0)

    @property
    def named(self) -> tuple[str, ...]:
        """The amounts that are not nought everywhere."""
        return tuple(name for name in AMOUNTS if np.any(self[name]))

    @property
    def average(self) -> Amounts:
        """The same for rows that are not known: each amount at its mean."""
        return replace(self, of={name: float(np.mean(amount)) for name, amount in self.of.items()})

    def take(self, rows: Ints | Mask | slice) -> Amounts:
        """The amounts of some of the rows."""
        return replace(self, of={name: amount[rows] if isinstance(amount, np.ndarray) else amount
                                 for name, amount in self.of.items()})

    def moved(self, name: str, factor: float) -> Amounts:
        """The amounts with one of them multiplied."""
        return replace(self, of={**self.of, name: factor * self[name]})

    def each(self, name: str, rows: int) -> Floats:
        """(rows,) one amount for every row."""
        return np.broadcast_to(np.asarray(self[name], np.float64), (rows,))


def amounts(value: Value, rows: Table) -> Amounts:
    """What decisions on these rows earn. A row whose amount is missing counts with the mean of the others.

    Raises BadProject for a column that is not there or holds no numbers, BadData where it holds none for these rows.
    """
    given = {name: getattr(value, name) for name in AMOUNTS}
    return Amounts({name: _read(amount, rows, name) if isinstance(amount, str) else float(amount)
                    for name, amount in given.items() if amount}, value.capacity)


def fixed(value: Value) -> Amounts:
    """The same where no amount is read from a column."""
    return Amounts({name: float(getattr(value, name)) for name in AMOUNTS if getattr(value, name)}, value.capacity)


def by_row(value: Value) -> bool:
    """Whether any amount is read from a column."""
    return any(isinstance(getattr(value, name), str) for name in AMOUNTS)


def columns(value: Value) -> tuple[str, ...]:
    """The columns that the amounts and today's policy are read from."""
    read = [_parted(getattr(value, name), name)[1] for name in AMOUNTS if isinstance(getattr(value, name), str)]
    return tuple(dict.fromkeys([*read, *([value.policy] if value.policy else [])]))


def _read(written: str, rows: Table, setting: str) -> Floats:
    factor, name = (1.0, written) if written in rows.schema else _parted(written, setting)
    if name not in rows.schema:
        raise BadProject(f'{setting} names a column "{name}" that the table does not have', where="[value]",
                         hint=one_of(name, rows.schema.names))
    try:
        found = rows.numbers(name)
    except BadData as error:
        raise BadProject(f'{setting} names the column "{name}", which does not hold numbers', where="[value]",
                         hint="name a column of numbers, or write the amount itself") from error
    known = np.isfinite(found)
    if not known.any():
        raise BadData(f'no row has an amount in "{name}"', where=f"[value] {setting}",
                      hint="fill the column, or write the amount itself")
    return np.asarray(factor * np.where(known, found, found[known].mean()), np.float64)


def _parted(written: str, setting: str) -> tuple[float, str]:
    """The factor and the column of "column", "-column" or "0.1 * column"."""
    found = re.fullmatch(r"\s*([+-]?)\s*(?:(\d+(?:\.\d+)?)\s*\*\s*)?(\S.*?)\s*", written)
    if found is None:
        raise BadProject(f"{setting} = {written!r} is neither an amount nor a column", where="[value]",
                         hint='write a number, a column, or a share of one: "-0.1 * amount"')
    return (-1.0 if found[1] == "-" else 1.0) * float(found[2] or 1.0), found[3]

"""What the data stage finds: the catalogue, the profile, the contract, the suspects, the ledger."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from shipworthy.core.cleaning import Cleaning
from shipworthy.core.shown import shown


class Listed(msgspec.Struct, frozen=True):
    """One table of the catalogue. keys: columns whose values are unique and never null."""

    name: str
    address: str
    rows: int
    columns: tuple[str, ...]
    keys: tuple[str, ...] = ()
    bytes: int = 0
    modified: str = ""
    digest: str = ""
    owner: str = ""
    licence: str = ""


class JoinPath(msgspec.Struct, frozen=True):
    """Left columns that look up right columns. coverage: share of left rows with a key that finds exactly one row,
    counted exactly; orphans: distinct left keys that find none; many: right keys that are not unique.
    score: rank among candidates. used: the project joins by it.
    """

    left: str
    right: str
    on: dict[str, str]
    coverage: float
    orphans: int
    orphan_rows: int
    many: int
    examples: tuple[str, ...] = ()
    score: float = 0.0
    used: bool = False
    by_chance: bool = False


class Catalogue(msgspec.Struct, frozen=True):
    """Every table found, and the joins between them, best first. trace: training column → table of the catalogue."""

    tables: tuple[Listed, ...]
    joins: tuple[JoinPath, ...] = ()
    trace: dict[str, str] = {}

    def _repr_html_(self) -> str:
        tables = [(one.name, f"{one.rows:,} rows", ", ".join(one.keys)) for one in self.tables]
        joins = [(f"{one.left} → {one.right}", f"{one.coverage:.2%} found",
                  ", ".join(f"{left} = {right}" for left, right in one.on.items())) for one in self.joins]
        return shown(f"{len(tables)} tables, {len(joins)} joins", [*tables, *joins], head=("what", "how much", "keys"))


class ColumnProfile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column in one pass. distinct: exact in short tables and where it matters, else within 3 %, and equal to the
    rows only if counted. quantiles: at 0, 1, 5, 25, 50, 75, 95, 99, 100 %. frequent: the most frequent values with
    their share.
    """

    name: str
    kind: str
    rows: int
    nulls: int
    distinct: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None
    quantiles: tuple[float, ...] = ()
    frequent: tuple[tuple[str, float], ...] = ()
    longest: int = 0
    personal: str = ""
    impossible: tuple[str, ...] = ()
    histogram: tuple[int, ...] = ()

    @property
    def missing_share(self) -> float:
        return self.nulls / self.rows if self.rows else 0.0


class Suspect(msgspec.Struct, frozen=True):
    """A column that may hold the answer. strength: AUC (binary) or share of variance explained, by itself alone.

    kind: near-copy, after-the-fact, too-good, identifier. proof: the figure in words.
    """

    column: str
    kind: Literal["near-copy", "after-the-fact", "too-good", "identifier"]
    strength: float
    proof: str


class Profile(msgspec.Struct, frozen=True):
    """A table in one pass. duplicates: rows beyond the first of each set of equals."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    duplicates: int = 0
    suspects: tuple[Suspect, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    constant: tuple[str, ...] = ()
    dependencies: tuple[tuple[str, str, float], ...] = ()

    def __getitem__(self, name: str) -> ColumnProfile:
        return next(column for column in self.columns if column.name == name)

    def __repr__(self) -> str:
        told = ", ".join(f"{one.column} {one.kind}" for one in self.suspects)
        return (f"Profile({self.rows:,} rows × {len(self.columns)} columns, {self.duplicates:,} duplicates; "
                f"suspects: {told or 'none'})")

    def _repr_html_(self) -> str:
        lines = [(one.name, one.kind, f"{one.missing_share:.1%}", f"{one.distinct:,}", one.minimum, one.maximum,
                  ", ".join(suspect.kind for suspect in self.suspects if suspect.column == one.name))
                 for one in self.columns]
        return shown(f"{self.rows:,} rows × {len(self.columns)} columns, {self.duplicates:,} duplicates", lines,
                     head=("column", "kind", "missing", "distinct", "lowest", "highest", "suspect"))


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One executable promise about a batch.

    kind: present, type, null-share, range, levels, unseen-share, unique, mean, quantile, rows, repeat, order,
    constant, pattern, association, pair, figure. low and high bound the measured figure. support: rows (of a figure,
    batches) it was inferred from.
    """

    kind: str
    column: str = ""
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    support: int = 0
    detail: dict[str, Any] = {}


class Contract(msgspec.Struct, frozen=True):
    """What every batch must hold, inferred from training rows."""

    rules: tuple[Rule, ...]
    batch_rows: int = 0


class Breach(msgspec.Struct, frozen=True):
    """A rule that a batch broke, in one sentence."""

    rule: Rule
    measured: str
    sentence: str


class Change(msgspec.Struct, frozen=True):
    """One changed cell. row: position in the collected table. before, after: values as text, None for null."""

    row: int
    column: str
    before: str | None
    after: str | None
    reason: str
    voters: tuple[str, ...] = ()


class Ledger(msgspec.Struct, frozen=True):
    """Every cell that cleaning changed, and every row or column it set aside, with the reason.

    cleaning: how it read the columns, which is how serving reads them.
    """

    changes: tuple[Change, ...]
    dropped_rows: tuple[tuple[int, str], ...] = ()
    dropped_columns: tuple[tuple[str, str], ...] = ()
    cells: int = 0
    cleaning: Cleaning = Cleaning()

"""Twenty ways in which a batch breaks: operators that corrupt a table, to see whether a contract notices.

Source: DeMillo, Lipton and Sayward (1978), mutation testing; the operators follow reported data incidents.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.schema import Column
from shipworthy.core.table import Table

Random = np.random.Generator
Operator = Callable[[Table, str, Random], Table | None]
SENTINEL = -999.0


def mutate(batch: Table, name: str, random: Random, column: str | None = None) -> tuple[Table, str] | None:
    """A batch corrupted by one operator, and the column it struck ("" for whole rows).

    column: the one to strike; a random one that the operator fits by default. None where it fits no column of the
    batch, or changed nothing.
    """
    if column is None:
        fitting = applicable(batch, name)
        if not fitting:
            return None
        column = str(random.choice(fitting))
    changed = OPERATORS[name][0](batch, column, random)
    return None if changed is None or changed.data.equals(batch.data) else (changed, column)


def applicable(batch: Table, name: str) -> list[str]:
    """The columns that an operator fits; [""] where it strikes whole rows."""
    kinds = OPERATORS[name][1]
    return [column.name for column in batch.schema.columns if _fits(batch, column, kinds)] if kinds else [""]


def _fits(batch: Table, column: Column, kinds: tuple[str, ...]) -> bool:
    if column.kind not in kinds or column.role not in ("feature", "time"):
        return False
    return bool(pc.count_distinct(batch.column(column.name)).as_py() > 1)


def _floats(batch: Table, name: str, values: npt.NDArray[np.float64]) -> Table:
    return batch.with_column(name, pa.array(values, from_pandas=True))


def _unit(batch: Table, name: str, random: Random) -> Table:
    return _floats(batch, name, batch.numbers(name) * float(random.choice([1000.0, 0.01])))


def _affine(batch: Table, name: str, random: Random) -> Table:
    return _floats(batch, name, batch.numbers(name) * 1.8 + 32)


def _sign(batch: Table, name: str, random: Random) -> Table:
    return _floats(batch, name, -batch.numbers(name))


def _swap(batch: Table, name: str, random: Random) -> Table | None:
    kind = batch.data[name].type
    others = [c.name for c in batch.schema.columns
              if c.name != name and batch.data[c.name].type == kind and c.role in ("feature", "time")]
    if not others:
        return None
    other = str(random.choice(others))
    return batch.with_column(name, batch.column(other)).with_column(other, batch.column(name))


def _lost(batch: Table, name: str, random: Random) -> Table:
    if random.random() < 0.5:
        return batch.drop(name)
    renamed = batch.data.rename_columns([f"{n}_" if n == name else n for n in batch.schema.names])
    return Table.of(renamed, name=batch.name, origin=batch.origin)


def _texted(batch: Table, name: str, random: Random) -> Table:
    form = "{:,.2f}" if random.random() < 0.5 else "{:g} kg"
    words = [None if value != value else form.format(value) for value in batch.numbers(name)]
    return batch.with_column(name, pa.array(words, pa.string()), kind="category", integer=False)


def _burst(batch: Table, name: str, random: Random) -> Table:
    size = max(1, batch.rows // 5)
    start = int(random.integers(0, batch.rows - size + 1))
    mask = np.zeros(batch.rows, np.bool_)
    mask[start : start + size] = True
    return batch.with_column(name, _where(batch, name, mask, None))


def _sentinel(batch: Table, name: str, random: Random) -> Table:
    column = batch.column(name)
    mask = np.asarray(column.is_null().to_numpy()) | (random.random(batch.rows) < 0.05)
    word = SENTINEL if batch.schema[name].kind == "number" else "unknown"
    return batch.with_column(name, _where(batch, name, mask, word))


def _typo(batch: Table, name: str, random: Random) -> Table:
    change = random.choice(["case", "space", "typo"])
    turn = {"case": str.swapcase, "space": lambda w: w + " ", "typo": lambda w: w[1:] + w[:1] + "x"}[str(change)]
    return _some_words(batch, name, random.random(batch.rows) < 0.03, turn)


def _garbled(batch: Table, name: str, random: Random) -> Table:
    def turn(word: str) -> str:
        return (word + "é").encode("utf-8").decode("latin-1")

    return _some_words(batch, name, random.random(batch.rows) < 0.05, turn)


def _new_level(batch: Table, name: str, random: Random) -> Table:
    return _some_words(batch, name, random.random(batch.rows) < 0.05, lambda _: "a new level")


def _permuted(batch: Table, name: str, random: Random) -> Table:
    levels = sorted({word for word in batch.words(name) if word is not None})
    moved = dict(zip(levels, [*levels[1:], levels[0]], strict=True))
    return _some_words(batch, name, np.ones(batch.rows, np.bool_), lambda word: moved[word])


def _shifted(batch: Table, name: str, random: Random) -> Table:
    order = np.roll(np.arange(batch.rows), 1)
    return batch.with_column(name, batch.column(name).take(pa.array(order)))


def _twice(batch: Table, name: str, random: Random) -> Table:
    return Table(pa.concat_tables([batch.data, batch.data]), batch.schema, batch.name, batch.origin)


def _cut(batch: Table, name: str, random: Random) -> Table:
    return batch.head(int(batch.rows * 0.7))


def _group_lost(batch: Table, name: str, random: Random) -> Table:
    words = batch.words(name)
    levels, counts = np.unique([w for w in words if w is not None], return_counts=True)
    frequent = [str(level) for level, count in zip(levels, counts, strict=True) if count >= 0.05 * batch.rows]
    gone = str(random.choice(frequent)) if frequent else str(levels[int(counts.argmax())])
    return batch.take(np.array([word != gone for word in words]))


def _again(batch: Table, name: str, random: Random) -> Table:
    """Yesterday's rows under today's delivery: the first half once more in place of the second."""
    half = batch.rows // 2
    return batch.take(np.concatenate([np.arange(half), np.arange(half)]))


def _travel(batch: Table, name: str, random: Random) -> Table:
    step = timedelta(days=3650) if random.random() < 0.5 else timedelta(hours=-8)
    return batch.with_column(name, pc.add(batch.column(name), pa.scalar(step, pa.duration("us"))))


def _day_month(batch: Table, name: str, random: Random) -> Table:
    turned = [stamp.replace(day=stamp.month, month=stamp.day) if stamp is not None and stamp.day <= 12 else stamp
              for stamp in batch.column(name).to_pylist()]
    return batch.with_column(name, pa.array(turned, batch.column(name).type))


def _frozen(batch: Table, name: str, random: Random) -> Table:
    last = next(value for value in reversed(batch.column(name).to_pylist()) if value is not None)
    return batch.with_column(name, pa.array([last] * batch.rows, batch.column(name).type))


def _some_words(batch: Table, name: str, mask: npt.NDArray[np.bool_], turn: Callable[[str], str]) -> Table:
    words = [turn(word) if hit and word is not None else word for word,
             hit in zip(batch.words(name), mask, strict=True)]
    return batch.with_column(name, pa.array(words, pa.string()))


def _where(batch: Table, name: str, mask: npt.NDArray[np.bool_], value: Any) -> pa.ChunkedArray:
    column = batch.column(name)
    kind = column.type
    if value is not None and batch.schema[name].kind == "category":
        column, kind = pa.chunked_array([pa.array(batch.words(name), pa.string())]), pa.string()
    elif value is not None and pa.types.is_integer(kind):
        value = int(value)
    return pc.if_else(pa.array(mask), pa.scalar(value, kind), column)


NUMBER, CATEGORY, TIME, ANY = ("number",), ("category",), ("timestamp",), ("number", "category", "boolean", "timestamp")

OPERATORS: dict[str, tuple[Operator, tuple[str, ...]]] = {
    "unit ×1000 or ÷100": (_unit, NUMBER),
    "affine unit": (_affine, NUMBER),
    "sign flipped": (_sign, NUMBER),
    "two columns swapped": (_swap, ("number", "category")),
    "column lost or renamed": (_lost, ANY),
    "number as text": (_texted, NUMBER),
    "burst of missing values": (_burst, ANY),
    "sentinel for missing": (_sentinel, ("number", "category")),
    "typo, case or space in 3 %": (_typo, CATEGORY),
    "encoding damage": (_garbled, CATEGORY),
    "new level in 5 %": (_new_level, CATEGORY),
    "levels permuted": (_permuted, CATEGORY),
    "column shifted by one row": (_shifted, ("number", "category")),
    "batch delivered twice": (_twice, ()),
    "last 30 % cut off": (_cut, ()),
    "one group's rows lost": (_group_lost, CATEGORY),
    "old rows again": (_again, ()),
    "time travel": (_travel, TIME),
    "day and month swapped": (_day_month, TIME),
    "column frozen": (_frozen, ANY),
}

"""Cleaning: how every column is to be read, fitted on training rows, and the ledger of all that it changed.

Nothing but training rows is looked at to decide; what was decided is then applied to all rows, and at serving.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.cleaning import (
    DATES,
    LARGEST,
    NAIVE,
    Cleaning,
    Gap,
    Numbers,
    Numerals,
    Reading,
    Times,
    Truths,
    Words,
    fold,
)
from shipworthy.core.found import Change, Ledger, Profile
from shipworthy.core.project import Project
from shipworthy.core.rows import row_hashes
from shipworthy.core.schema import Column, Schema
from shipworthy.core.table import Floats, Ints, Mask, Table, to_words
from shipworthy.data.analysis.impossible import limits_of, powers_of_ten
from shipworthy.data.preprocessing import same
from shipworthy.data.preprocessing.same import joined
from shipworthy.data.preprocessing.words import Fix, blanks, numerals, spaces, spellings

CODE_VALUES = (-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0, 9999999.0)
LEAST_CODED = 3
FREQUENT_ROWS = 5
MOST_FOLDED = 10_000
UNTOUCHED = ("target", "identifier", "group")
FOLDED = Fix("", "case or spaces of a known value", ("same letters", "frequency"))


@dataclass(frozen=True)
class Fitted:
    """A column's reading, and the fixes of the words of training rows that differ, for the ledger's reasons."""

    reading: Reading
    fixes: dict[str, Fix] = field(default_factory=dict)


def clean(raw: Table, profile: Profile, project: Project, train_rows: Ints | None = None) -> tuple[Table, Ledger]:
    """The cleaned table and the ledger of every changed cell, dropped row and column set aside, and of the cleaning.

    Rows without a label are dropped, and rows that repeat another with the same identifier. Cells become null (missing
    codes, impossible values), a number (text such as "1,234"), or the frequent spelling; each change names the voters
    that asked for it. Identifiers, groups and times of rows are never changed, and the target only by [data.same].
    train_rows: positions to learn from; all if None, and where there are none only what the project file says is done.
    """
    seen = np.arange(raw.rows) if train_rows is None else np.asarray(train_rows, np.int64)
    before, changes = joined(raw, project), same.changes(raw, project)
    fitted = [_fitted(before, column, project, seen) for column in raw.schema.columns if not _is_left(column)]
    cleaning = Cleaning(tuple(one.reading for one in fitted))
    table = cleaning.table(before)
    for one in fitted:
        changes += _changes(before, table, one)
    dropped = _dropped(raw)
    gone = {row for row, _ in dropped}
    schema, columns = _set_aside(table, profile, seen)
    kept = np.setdiff1d(np.arange(raw.rows), np.fromiter(gone, np.int64, len(gone)), assume_unique=True)
    cleaned = table.with_schema(schema)
    return cleaned if not gone else cleaned.take(kept), Ledger(
        tuple(change for change in changes if change.row not in gone), tuple(dropped), tuple(columns),
        raw.rows * len(raw.schema.columns), cleaning)


def arrived(raw: Table, ledger: Ledger, project: Project) -> Table:
    """The rows that cleaning kept, as they arrived; only the target is mended, as labels are that come true."""
    dropped = np.array([row for row, _ in ledger.dropped_rows], np.int64)
    return joined(raw, project).take(np.setdiff1d(np.arange(raw.rows), dropped))


def undo(table: Table, ledger: Ledger) -> Table:
    """The table with every changed cell as it was; rows that were dropped and roles that were changed stay so.

    table: what `clean` returned with this ledger.
    """
    gone = np.array(sorted(row for row, _ in ledger.dropped_rows), np.int64)
    by_column: dict[str, list[Change]] = {}
    for change in ledger.changes:
        by_column.setdefault(change.column, []).append(change)
    for name, changes in by_column.items():
        rows = np.array([change.row for change in changes], np.int64)
        place = rows - np.searchsorted(gone, rows)
        before = [change.before for change in changes]
        values = table.data[name]
        if pa.types.is_string(values.type) or not all(_is_number(word) for word in before):
            words = table.words(name)
            words[place] = before
            table = table.with_column(name, pa.array(words, pa.string()), kind="category", integer=False)
        else:
            table = table.with_column(name, _put(values, place, [_typed(word, values.type) for word in before]))
    return table


def _is_left(column: Column) -> bool:
    return column.role in UNTOUCHED or (column.role == "ignored" and not column.protected)


def _fitted(table: Table, column: Column, project: Project, seen: Ints) -> Fitted:
    """How a column is to be read, from its training rows."""
    name, declared = column.name, project.data.kinds.get(column.name, "")
    if column.kind == "boolean":
        return Fitted(Truths(name, text=declared == "boolean"))
    if column.kind == "timestamp":
        naive = getattr(table.data[name].type, "tz", None) is None or table.notes.get(name) in (DATES, NAIVE)
        return Fitted(Times(name, declared == "timestamp", naive, column.role != "time"))
    if column.kind == "number":
        text = Numerals(codes=project.data.missing_codes.get(name, ())) if declared == "number" else None
        return Fitted(Numbers(name, _gaps(name, table.numbers(name)[seen], project), text))
    return _fitted_words(table, column, project, seen)


def _fitted_words(table: Table, column: Column, project: Project, seen: Ints) -> Fitted:
    name, declared = column.name, project.data.missing_codes.get(column.name, ())
    learnt = pa.array(to_words(table.data[name].take(pa.array(seen))), pa.string()).drop_null().value_counts()
    counts = dict(zip(learnt.field(0).to_pylist(), learnt.field(1).to_pylist(), strict=True))
    fixes = blanks(counts, declared)
    left = {word: count for word, count in counts.items() if word not in fixes}
    if column.kind != "category":
        return Fitted(Words(name, declared, prose=True), fixes)
    style = None if name in project.data.kinds else numerals(left, name, declared)
    if style is not None:
        values = np.array([style.number(word) for word in left], np.float64)
        values = np.repeat(values, list(left.values()))
        return Fitted(Numbers(name, _gaps(name, values, project), style), fixes)
    mended: dict[str, Fix] = {}
    for voter in (spaces, spellings):
        mended |= {word: fix for word, fix in voter(left).items() if word not in mended}
    known, folded = _known(left, mended)
    return Fitted(Words(name, declared, known, folded), fixes | mended)


def _known(left: dict[str, int], mended: dict[str, Fix]) -> tuple[dict[str, str], dict[str, str]]:
    """What known words mean, and what a word of the same letters means; what something means means itself."""
    known = {word: _end(word, mended) for word in mended}
    folded: dict[str, str] = {}
    frequent = sorted((word for word in left if left[word] >= FREQUENT_ROWS), key=lambda word: (-left[word], word))
    for word in frequent[:MOST_FOLDED]:
        folded.setdefault(fold(word), known.get(word, word))
    known |= {word: word for word in left if word not in known and folded.get(fold(word), word) != word}
    return {**known, **{word: word for word in [*known.values(), *folded.values()]}}, folded


def _end(word: str, mended: dict[str, Fix]) -> str:
    """Where the fixes of a word lead."""
    passed = {word}
    while word in mended and mended[word].after not in passed:
        word = mended[word].after or word
        passed.add(word)
    return word


def _gaps(name: str, learnt: Floats, project: Project) -> tuple[Gap, ...]:
    """The numbers that mean that there is none: declared and found codes, the impossible, the too large."""
    codes = [float(code) for code in project.data.missing_codes.get(name, ()) if _is_number(code)]
    gaps = [Gap(code, code, "declared missing code", ("project file",)) for code in codes]
    gaps += [Gap(code, code, f"missing written as {code:g}", ("known code", "far from all others", "repeated"))
             for code in CODE_VALUES if code not in codes and _is_code(learnt, code)]
    known = learnt[np.isfinite(learnt) & ~Numbers(name, tuple(gaps)).gone(learnt)]
    limits = project.data.limits.get(name)
    low, high, reason = limits_of(name, known, limits)
    voter = "limit of the name" if limits is None else "project file"
    if low > -LARGEST:
        gaps.append(Gap(-LARGEST, float(np.nextafter(low, -np.inf)), reason, (voter,)))
    if high < LARGEST:
        gaps.append(Gap(float(np.nextafter(high, np.inf)), LARGEST, reason, (voter,)))
    known = known[(known >= low) & (known <= high)]
    alone = np.abs(known[powers_of_ten(known, np.isfinite(known))])
    if limits is None and len(alone):
        reason, edge = "it stands alone beyond all others by a power of ten", float(alone.min())
        gaps += [Gap(edge, LARGEST, reason, ("far from all others",)),
                 Gap(-LARGEST, -edge, reason, ("far from all others",))]
    return tuple(gaps)


def _changes(before: Table, after: Table, one: Fitted) -> list[Change]:
    """Every cell of a column that reading changed; a number that words said plainly is none."""
    name, reading = one.reading.column, one.reading
    if before.data[name] is after.data[name]:
        return []
    if isinstance(reading, Words) or (isinstance(reading, Numbers) and before.schema[name].kind != "number"):
        return _word_changes(before.data[name], one)
    lost = pc.and_(before.data[name].is_valid(), after.data[name].is_null())
    rows = np.flatnonzero(np.asarray(lost.to_numpy(), np.bool_))
    if isinstance(reading, Numbers):
        values = before.numbers(name)[rows]
        told = [(f"{value:.12g}", *_why(float(value), reading)) for value in values]
    else:
        told = [(word, "missing written as 9999-12-31", ("known code",)) for word in before.take(rows).words(name)]
    return [Change(row, name, word, None, reason, voters)
            for row, (word, reason, voters) in zip(rows.tolist(), told, strict=True)]


def _word_changes(values: pa.ChunkedArray, one: Fitted) -> list[Change]:
    name, found = one.reading.column, []
    coded = pa.array(to_words(values), pa.string()).dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    for at, word in enumerate(coded.dictionary.to_pylist()):
        after = one.reading.one(word)
        if isinstance(after, float) and _is_number(word):
            continue
        told = f"{after:g}" if isinstance(after, float) else after
        if told == word:
            continue
        fix = one.fixes.get(word) or blanks({word: 1}, _codes(one.reading)).get(word) or _fix(word, one.reading)
        found += [Change(row, name, word, None if told is None else str(told), fix.reason, fix.voters)
                  for row in np.flatnonzero(codes == at).tolist()]
    return found


def _fix(word: str, reading: Reading) -> Fix:
    """Why a word that is no blank, and that training rows did not have or that is a number, was changed."""
    if not isinstance(reading, Numbers) or reading.text is None:
        return FOLDED
    value = reading.text.number(word)
    if value is None:
        return Fix(None, "no number in a column of numbers", ("not a number", "all others are"))
    if reading.one(value) is None:
        return Fix(None, *_why(value, reading))
    return Fix(None, "number written as text", ("parses", "all others do"))


def _codes(reading: Reading) -> tuple[str, ...]:
    if isinstance(reading, Words):
        return reading.codes
    return reading.text.codes if isinstance(reading, Numbers) and reading.text else ()


def _why(value: float, reading: Numbers) -> tuple[str, tuple[str, ...]]:
    if np.isinf(value):
        return "infinite", ("not finite",)
    if abs(value) > LARGEST:
        return f"beyond ±{LARGEST:.1e}, too large to learn from", ("not finite in 32 bits",)
    gap = next(gap for gap in reading.gaps if gap.low <= value <= gap.high)
    return gap.reason, gap.voters


def _is_code(learnt: Floats, code: float) -> bool:
    """Whether a value is repeated, and all others lie on one side, further off than they are wide."""
    known = learnt[np.isfinite(learnt)]
    hits = known == code
    count = int(hits.sum())
    others = known[~hits]
    if count < LEAST_CODED or len(others) < 50 or count > 0.5 * len(known):
        return False
    low, high = np.quantile(others, [0.001, 0.999])
    wide = max(high - low, 1e-9)
    if code < 0:
        return bool(
            (
                others.min() >= 0
                and (abs(code) > 9 or (np.all(others == np.round(others)) and others.min() > 0 and abs(code) == 9))
            )
            or (code < low - wide and code < others.min())
        )
    return bool(code > others.max() and code > high + wide)


def _dropped(raw: Table) -> list[tuple[int, str]]:
    target = raw.schema.one("target")
    found: list[tuple[int, str]] = []
    gone: Mask = np.zeros(raw.rows, np.bool_)
    if target:
        gone = np.asarray(raw.data[target.name].is_null().to_numpy(), np.bool_)
        if target.kind == "number" and pa.types.is_floating(raw.data[target.name].type):
            gone = gone | ~(np.abs(raw.numbers(target.name)) <= LARGEST)
        found += [(row, "no label") for row in np.flatnonzero(gone).tolist()]
    if raw.schema.one("identifier") and raw.rows:
        _, first = np.unique(row_hashes(raw.data), return_index=True)
        again = np.ones(raw.rows, np.bool_)
        again[first] = False
        found += [(row, "the same row again, identifier and all") for row in np.flatnonzero(again & ~gone).tolist()]
    return found


def _set_aside(table: Table, profile: Profile, seen: Ints) -> tuple[Schema, list[tuple[str, str]]]:
    schema, found = table.schema, []
    learnt = table.data if len(seen) == table.rows else table.data.take(pa.array(seen))
    for column in table.schema.features if len(seen) else ():
        if len(learnt[column.name].unique()) <= 1:
            found.append((column.name, "constant in the training rows"))
    gone = {name for name, _ in found}
    for first, second in profile.copies if len(seen) else ():
        names = {column.name for column in table.schema.features} - gone
        if first in names and second in names:
            found.append((second, f"says the same as {first}"))
            gone.add(second)
    for name, reason in found:
        schema = schema.replace(name, role="ignored", reason=reason)
    return schema, found


def _put(values: pa.ChunkedArray, rows: Ints, new: list[object] | None) -> pa.Array:
    """The values with some rows replaced, or null when new is None."""
    array = values.combine_chunks()
    at = np.arange(len(array))
    if new is None:
        at = np.where(np.isin(at, rows), -1, at)
        return array.take(pa.array(at, mask=at < 0))
    joined = pa.concat_arrays([array, pa.array(new, array.type)])
    at[rows] = len(array) + np.arange(len(rows))
    return joined.take(pa.array(at))


def _is_number(word: str | None) -> bool:
    if word is None:
        return True
    try:
        float(word)
    except ValueError:
        return False
    return word == word.strip()


def _typed(word: str | None, kind: pa.DataType) -> object:
    if word is None:
        return None
    return int(float(word)) if pa.types.is_integer(kind) else float(word)

"""Cleaning: every doubtful cell found by voters that agree, changed, and written into the ledger.

Nothing but training rows is looked at to decide; what was decided is then applied to all rows.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from shipworthy.core.found import Change, Ledger, Profile
from shipworthy.core.project import Project
from shipworthy.core.rows import row_hashes
from shipworthy.core.schema import Column, Schema
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.data.analysis.impossible import Odd, impossible, powers_of_ten
from shipworthy.data.preprocessing import same
from shipworthy.data.preprocessing.same import joined
from shipworthy.data.preprocessing.words import Fix, blanks, numbers, spaces, spellings

CODE_VALUES = (-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0, 9999999.0)
LEAST_CODED = 3
LARGEST = float(np.finfo(np.float32).max)
UNTOUCHED = ("target", "identifier", "group", "time")


def clean(raw: Table, profile: Profile, project: Project, train_rows: Ints | None = None) -> tuple[Table, Ledger]:
    """The cleaned table and the ledger of every changed cell, dropped row and column set aside.

    Rows without a label are dropped, and rows that repeat another with the same identifier. Cells become null (missing
    codes, impossible values), a number (text such as "1,234"), or the frequent spelling; two voters must agree.
    Identifiers, groups and times are never changed, and the target only by [data.same]. train_rows: positions to learn
    from; all if None.
    """
    seen = np.arange(raw.rows) if train_rows is None else np.asarray(train_rows, np.int64)
    table, changes = joined(raw, project), same.changes(raw, project)
    for column in raw.schema.columns:
        if column.role in UNTOUCHED or (column.role == "ignored" and not column.protected):
            continue
        if column.kind in ("category", "text"):
            table, found = _clean_words(table, column, project, seen)
        elif column.kind == "number":
            table, found = _clean_numbers(table, column, project, seen)
        else:
            continue
        changes += found
    dropped = _dropped(raw)
    gone = {row for row, _ in dropped}
    schema, columns = _set_aside(table, profile, seen)
    kept = np.setdiff1d(np.arange(raw.rows), np.fromiter(gone, np.int64, len(gone)), assume_unique=True)
    cleaned = table.with_schema(schema)
    cleaned = cleaned if not gone else cleaned.take(kept)
    ledger = Ledger(
        tuple(change for change in changes if change.row not in gone),
        tuple(dropped),
        tuple(columns),
        raw.rows * len(raw.schema.columns),
    )
    return cleaned, ledger


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


def _clean_words(table: Table, column: Column, project: Project, seen: Ints) -> tuple[Table, list[Change]]:
    name = column.name
    coded = table.data[name].combine_chunks().dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    words = coded.dictionary.to_pylist()
    rows = np.bincount(codes[seen] + 1, minlength=len(words) + 1)[1:]
    learnt = {word: int(count) for word, count in zip(words, rows, strict=True) if count}
    every = dict.fromkeys(words, 0) | learnt
    fixes = blanks(every, project.data.missing_codes.get(name, ()))
    left = {word: count for word, count in learnt.items() if word not in fixes}
    parsed = numbers(left, name) if column.kind == "category" and name not in project.data.kinds else None
    if parsed is not None:
        return _to_number(table, column, codes, words, fixes)
    if column.kind == "category":
        for voter in (spaces, spellings):
            fixes |= {word: fix for word, fix in voter(left).items() if word not in fixes}
        folded = {" ".join(word.split()).casefold(): word for word in sorted(left, key=left.__getitem__)}
        for word in every:
            known = folded.get(" ".join(word.split()).casefold())
            if word not in learnt and word not in fixes and known:
                fixes[word] = Fix(
                    fixes[known].after if known in fixes else known,
                    "case or spaces of a known value",
                    ("same letters", "frequency"),
                )
    fixes = {word: fix for word, fix in fixes.items() if fix.after != word}
    if not fixes:
        return table, []
    after = pa.array([fixes[word].after if word in fixes else word for word in words] + [None], pa.string())
    table = table.with_column(name, after.take(pa.array(np.where(codes < 0, len(words), codes))))
    return table, _word_changes(name, codes, words, fixes)


def _word_changes(name: str, codes: Ints, words: list[str], fixes: dict[str, Fix]) -> list[Change]:
    found = []
    for at, word in enumerate(words):
        if word in fixes:
            fix = fixes[word]
            found += [
                Change(row, name, word, fix.after, fix.reason, fix.voters)
                for row in np.flatnonzero(codes == at).tolist()
            ]
    return found


def _to_number(
    table: Table, column: Column, codes: Ints, words: list[str], fixes: dict[str, Fix]
) -> tuple[Table, list[Change]]:
    """The column as numbers; a cell enters the ledger when it was not a plain number."""
    parsed = numbers(dict.fromkeys((word for word in words if word not in fixes), 1), column.name) or {}
    for word in words:
        if word not in fixes and word not in parsed:
            fixes[word] = Fix(None, "no number in a column of numbers", ("not a number", "all others are"))
        elif word not in fixes and not _is_number(word):
            fixes[word] = Fix(f"{parsed[word]:g}", "number written as text", ("parses", "all others do"))
    values = np.array(
        [parsed.get(word, np.nan) if word not in fixes or fixes[word].after is not None else np.nan for word in words]
        + [np.nan]
    )
    numbers_now = values[np.where(codes < 0, len(words), codes)]
    whole = pa.array(numbers_now, pa.float64(), from_pandas=True)
    return table.with_column(column.name, whole, kind="number", integer=False), _word_changes(
        column.name, codes, words, fixes
    )


def _clean_numbers(table: Table, column: Column, project: Project, seen: Ints) -> tuple[Table, list[Change]]:
    name = column.name
    values = table.numbers(name)
    found: list[Change] = []
    gone = np.zeros(table.rows, np.bool_)
    for odd, voters in _odd(name, values, project, seen):
        rows = odd.rows & ~gone
        gone |= rows
        found += [
            Change(row, name, f"{values[row]:.12g}", None, odd.reason, voters) for row in np.flatnonzero(rows).tolist()
        ]
    if not gone.any():
        return table, found
    return table.with_column(name, _put(table.data[name], np.flatnonzero(gone), None)), found


def _odd(name: str, values: Floats, project: Project, seen: Ints) -> Iterable[tuple[Odd, tuple[str, ...]]]:
    codes = [float(code) for code in project.data.missing_codes.get(name, ()) if _is_number(code)]
    if codes:
        yield Odd(np.isin(values, codes), "declared missing code"), ("project file",)
    yield Odd(np.isinf(values), "infinite"), ("not finite",)
    yield Odd(np.abs(values) > LARGEST, f"beyond ±{LARGEST:.1e}, too large to learn from"), ("not finite in 32 bits",)
    learnt = values[seen]
    for code in CODE_VALUES:
        if code not in codes and _is_code(learnt, code):
            yield Odd(values == code, f"missing written as {code:g}"), ("known code", "far from all others", "repeated")
    limits = project.data.limits.get(name)
    for odd in impossible(name, values, limits):
        alone = powers_of_ten(values, np.isfinite(values))
        if "power of ten" not in odd.reason:
            yield (
                odd,
                (
                    "limit of the name" if limits is None else "project file",
                    "far from all others" if (odd.rows & alone).any() else "rare",
                ),
            )


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
    for column in table.schema.features:
        if len(learnt[column.name].unique()) <= 1:
            found.append((column.name, "constant in the training rows"))
    gone = {name for name, _ in found}
    for first, second in profile.copies:
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

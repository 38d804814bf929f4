"""What a table seems to be: task, roles, protected and personal columns, each guess with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shipworthy.core.found import ColumnProfile, Profile, Suspect
from shipworthy.core.project import Splitting
from shipworthy.core.schema import MOST_CLASSES, Task, task_of
from shipworthy.core.table import Table
from shipworthy.data.analysis.profile import profile as look
from shipworthy.data.analysis.suspects import named_after
from shipworthy.data.collection.containment import words_of
from shipworthy.errors import BadData, one_of

Reasons = list[tuple[str, str, str]]
Kind = Literal["random", "stratified", "grouped", "time"]
PROTECTED = {
    "sex": "sex",
    "gender": "sex",
    "race": "race",
    "ethnicity": "ethnicity",
    "ethnic": "ethnicity",
    "age": "age",
    "disability": "disability",
    "disabled": "disability",
    "religion": "religion",
    "nationality": "nationality",
    "marital": "marital status",
    "marriage": "marital status",
    "pregnant": "pregnancy",
    "pregnancy": "pregnancy",
    "orientation": "sexual orientation",
    "foreign": "nationality",
    "citizenship": "nationality",
    "senior": "age",
    "birth": "age",
    "dob": "age",
    "country": "nationality",
}
PEOPLE = frozenset(["customer", "patient", "person", "client", "employee", "applicant", "borrower", "student", "user",
                    "member", "marital", "gender", "sex", "race", "spouse", "dependents", "occupation", "salary",
                    "income", "emp", "job"])
TIMES = frozenset(["time", "date", "timestamp", "datetime", "day", "when", "created", "at", "hour"])
POSITIVE = ("yes", "true", "1", "y", "t", "positive", "bad", "default", "fraud", "churn", "late", ">50k", "up", "fail")
MISSING_WORDS = ("?", "unknown", "n/a", "none given", "not reported", "missing", "undefined", "unspecified")
MISSING_NUMBERS = (-1.0, -9.0, -99.0, -999.0, -9999.0, 999.0, 9999.0, 99999.0)
MARKS = " .,;:!"


SPAN = 86_400.0
FEW_TIMES, FEWEST, IN_ORDER = 20, 30, 0.95


class Guess(msgspec.Struct, frozen=True):
    """What `init` writes. reasons: (setting, value as TOML, why), in the order of the project file.

    split: how rows are divided; in time where they are events in order. suspects are shown and never set aside: that is
    for a person to decide. positive: the rarer or telling class.
    """

    task: Task
    target: str
    positive: str = ""
    time: str = ""
    group: str = ""
    identifiers: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    missing_codes: dict[str, tuple[str, ...]] = {}
    same: dict[str, str] = {}
    subject: Literal["person", "thing", "undeclared"] = "undeclared"
    decides: bool = True
    split: Kind = "stratified"
    suspects: tuple[Suspect, ...] = ()
    reasons: tuple[tuple[str, str, str], ...] = ()


def guess(table: Table, target: str, *, profile: Profile | None = None) -> Guess:
    """What a table seems to be, each guess with its reason. Raises BadData if the target is missing or constant."""
    if target not in table.schema:
        raise BadData(f'column "{target}" is missing', where=table.origin, hint=one_of(target, table.schema.names))
    reasons: list[tuple[str, str, str]] = []
    same = _same(table, target, reasons)
    if same:
        words = [same.get(word, word) for word in table.words(target)]
        table, profile = table.with_column(target, pa.array(words, pa.string())), None
    seen = profile or look(table, target=target)
    task, why = _task(table, seen[target])
    reasons.append(("task", task, why))
    positive = _positive(seen[target], reasons) if task == "binary" else ""
    others = [column for column in seen.columns if column.name != target]
    identifiers = _identifiers(others, table, reasons)
    time = _time(others, table, reasons)
    group = _group(others, table, identifiers, reasons)
    kind = _split(table, (task, target), time, group, reasons)
    left = [column for column in others if column.name not in identifiers]
    protected = _protected(left, reasons)
    personal = _personal(others, protected, reasons)
    codes = _codes(left, table, reasons)
    subject = _subject(others, protected, personal, reasons)
    decides = subject == "person" or (subject == "undeclared" and task != "regression")
    reasons.append(("decides", str(decides).lower(), "an answer may decide something about somebody" if decides else
                    "no answer seems to be about somebody; write true if one decides something about a person"))
    suspects = _suspects(seen, left, reasons)
    return Guess(task, target, positive, time, group, identifiers, protected, personal, codes, same, subject, decides,
                 kind, suspects, tuple(reasons))


def _same(table: Table, target: str, reasons: list[tuple[str, str, str]]) -> dict[str, str]:
    """Classes that differ only in case, blanks or a mark at the end → the most frequent spelling."""
    if not pa.types.is_string(table.data[target].type):
        return {}
    counts = Counter(word for word in table.words(target) if word is not None).most_common(4 * MOST_CLASSES + 1)
    kept: dict[str, str] = {}
    found = {}
    for word, count in counts if len(counts) <= 4 * MOST_CLASSES else ():
        meant = kept.setdefault(" ".join(word.split()).rstrip(MARKS).casefold(), word)
        if meant != word:
            found[word] = meant, count
    if len(kept) < 2:
        return {}
    for word, (meant, count) in found.items():
        reasons.append((f"same.{word}", f'"{meant}"', f"{count:,} rows differ from {meant!r} only in case, blanks "
                        "or a mark at the end; delete the line if they are another class"))
    return {word: meant for word, (meant, _) in found.items()}


def _task(table: Table, column: ColumnProfile) -> tuple[Task, str]:
    if column.distinct < 2:
        raise BadData(f'the target "{column.name}" has {column.distinct} value{"" if column.distinct == 1 else "s"}',
                      where=table.origin, hint="name another target")
    task = task_of(table.schema[column.name], column.distinct)
    if column.kind != "number" or task == "binary":
        return task, f"{column.name} has {'two values' if task == 'binary' else f'{column.distinct} classes'}"
    if task == "regression":
        return task, f"{column.name} is a number with {column.distinct:,} values"
    return task, (f"{column.name} is a whole number with {column.distinct} values, taken for classes; to predict its "
                  f'amount write [data.kinds] {column.name} = "number"')


def _positive(column: ColumnProfile, reasons: list[tuple[str, str, str]]) -> str:
    values = [value for value, _ in column.frequent[:2]]
    telling = [value for value in values if value.strip().strip(".").casefold() in POSITIVE]
    telling = [value for value in telling if value != "1" or "0" in values]
    rare = values[-1]
    chosen = telling[0] if len(telling) == 1 else rare
    share = dict(column.frequent)[chosen]
    reasons.append(("positive", f'"{chosen}"', f"{'it says so' if len(telling) == 1 else 'the rarer class'}, "
                    f"{share:.1%} of rows"))
    return chosen


def _identifiers(columns: list[ColumnProfile], table: Table, reasons: list[tuple[str, str, str]]) -> tuple[str, ...]:
    found = []
    for column in columns:
        named = {"id", "key", "uuid", "guid", "identifier", "index", "rownames"} & set(words_of(column.name)) or (
            column.name.lower().endswith("id") and column.kind != "boolean" and len(column.name) <= 12
        )
        whole = column.kind == "category" or table.schema[column.name].integer
        unique = column.distinct == column.rows - column.nulls == column.rows and column.rows > 20
        if unique and whole and (named or column.kind == "category" or _counts(table, column)):
            found.append(column.name)
            reasons.append(("identifiers", f'"{column.name}"', f"its {column.distinct:,} values are all different"))
    return tuple(found)


def _counts(table: Table, column: ColumnProfile) -> bool:
    if column.minimum is None or column.maximum is None or column.maximum - column.minimum != column.rows - 1:
        return False
    return bool(np.all(np.diff(table.numbers(column.name)) == 1))


def _time(columns: list[ColumnProfile], table: Table, reasons: list[tuple[str, str, str]]) -> str:
    times = [column for column in columns
             if column.kind == "timestamp" and column.distinct > 1 and not column.nulls and not column.personal
             and not {"birth", "dob"} & set(words_of(column.name))]
    if not times:
        return ""
    best = max(times, key=lambda column: (bool(TIMES & set(words_of(column.name))), column.distinct))
    reasons.append(("time", f'"{best.name}"', f"a time in every row, {best.distinct:,} different"))
    return best.name


def _group(
    columns: list[ColumnProfile], table: Table, taken: tuple[str, ...], reasons: list[tuple[str, str, str]]
) -> str:
    """An identifier that repeats: rows of one customer, patient or student belong together."""
    for column in columns:
        words = words_of(column.name)
        named = bool(words) and ("id" in (words[0], words[-1]) or set(words) <= {
            "customer", "patient", "user", "student", "person", "household", "subject"})
        whole = column.kind == "category" or table.schema[column.name].integer
        many = column.rows / 50 < column.distinct < 0.98 * column.rows and column.distinct > 50
        if named and whole and many and column.name not in taken:
            reasons.append(("group", f'"{column.name}"', f"{column.distinct:,} values over {column.rows:,} "
                            "rows: some repeat"))
            return column.name
    return ""


def _split(table: Table, asked: tuple[Task, str], time: str, group: str, reasons: Reasons) -> Kind:
    """In time where rows are events in order; else by whole groups, or at random. asked: task and target."""
    task, target = asked
    usual: Kind = "grouped" if group else "random" if task == "regression" else "stratified"
    if not time:
        return usual
    against = f"rows of one {group} belong together" if group else _no_events(table, task, target, time)
    if against:
        reasons.append(("split", f'"{usual}"', f'{against}; write "time" if the model will meet newer rows'))
        return usual
    days = float(np.ptp(table.numbers(time))) / SPAN
    reasons.append(("split", '"time"', f"{time} spans {days:,.0f} days and the model will meet newer rows, which rows "
                    f'drawn at random do not stand for; write "{usual}" if their order means nothing'))
    return "time"


def _no_events(table: Table, task: Task, target: str, time: str) -> str:
    """Why rows are not divided in time; empty if they are events in order, enough of them in every part."""
    seconds = table.numbers(time)
    first, last = np.quantile(seconds, [0.05, 0.95])
    steps = np.diff(seconds)
    in_order = max(float(np.mean(steps >= 0)), float(np.mean(steps <= 0))) > IN_ORDER
    if last - first < SPAN or len(np.unique(seconds)) < FEW_TIMES:
        return f"{time} spans too short a time to divide rows by"
    if not in_order and not TIMES & set(words_of(time)):
        return f"rows do not come in the order of {time}"
    shares = Splitting()
    edges = np.quantile(seconds, [1 - shares.tune - shares.holdout, 1 - shares.holdout])
    part = np.digitize(seconds, edges)
    for place, name in enumerate(("learn", "tune", "holdout")):
        if (part == place).sum() < FEWEST:
            return f"a split in time would leave {(part == place).sum()} rows to {name}"
        if task != "regression" and pc.count_distinct(table.column(target).filter(pa.array(part == place))).as_py() < 2:
            return f"a split in time would leave {name} one class alone"
    return ""


def _protected(columns: list[ColumnProfile], reasons: list[tuple[str, str, str]]) -> tuple[str, ...]:
    found = []
    for column in columns:
        tokens = words_of(column.name)
        meaning = next((PROTECTED[token] for token in tokens if token in PROTECTED), "")
        if (
            meaning == "age"
            and "age" in tokens
            and set(tokens) - {"age", "band", "group", "years", "cat", "customer", "person", "agecat"}
        ):
            continue
        if "agecat" in tokens:
            meaning = "age"
        if meaning and column.distinct > 1:
            found.append(column.name)
            reasons.append(("protected", f'"{column.name}"', f"its name says {meaning}"))
    return tuple(found)


def _personal(
    columns: list[ColumnProfile], protected: tuple[str, ...], reasons: list[tuple[str, str, str]]
) -> tuple[str, ...]:
    found = []
    for column in columns:
        if column.personal or column.name in protected:
            found.append(column.name)
            reasons.append(("personal", f'"{column.name}"', f"it holds {column.personal}" if column.personal
                            else "it describes a person"))
    return tuple(found)


def _codes(
    columns: list[ColumnProfile], table: Table, reasons: list[tuple[str, str, str]]
) -> dict[str, tuple[str, ...]]:
    found = {}
    for column in columns:
        codes = tuple(_coded(column, table))
        if codes:
            found[column.name] = tuple(code for code, _ in codes)
            said = ", ".join(f"{code!r} in {share:.1%} of rows" for code, share in codes)
            reasons.append((f"missing_codes.{column.name}", str(list(found[column.name])).replace("'", '"'), said))
    return found


def _coded(column: ColumnProfile, table: Table) -> Iterator[tuple[str, float]]:
    shares = dict(column.frequent)
    if column.kind == "category":
        for value, share in shares.items():
            if value.strip().casefold() in MISSING_WORDS or not value.strip():
                yield value, share
        return
    if column.kind != "number" or column.minimum is None or len(column.quantiles) < 9:
        return
    numbers = table.numbers(column.name)
    for code in MISSING_NUMBERS:
        share = float(np.mean(numbers == code))
        others = numbers[np.isfinite(numbers) & (numbers != code)]
        if share < 0.001 or len(others) < 50 or len(np.unique(others[:5_000])) < 8:
            continue
        if (code < 0 and others.min() >= 0) or (code > 0 and code > others.max() + 2 * (others.max() - others.min())):
            yield f"{code:g}", share


def _subject(
    columns: list[ColumnProfile],
    protected: tuple[str, ...],
    personal: tuple[str, ...],
    reasons: list[tuple[str, str, str]],
) -> Literal["person", "thing", "undeclared"]:
    hints = [column.name for column in columns if PEOPLE & set(words_of(column.name))]
    if personal or len(hints) >= 2 or [name for name in protected if "country" not in words_of(name)]:
        reasons.append(("subject", '"person"', "columns such as "
                        f"{', '.join(list(dict.fromkeys((*personal, *hints)))[:3])} describe people"))
        return "person"
    if hints:
        return "undeclared"
    reasons.append(("subject", '"thing"', "no column describes a person"))
    return "thing"


def _suspects(seen: Profile, columns: list[ColumnProfile], reasons: list[tuple[str, str, str]]) -> tuple[Suspect, ...]:
    for suspect in seen.suspects:
        reasons.append(("suspect", f'"{suspect.column}"', f"{suspect.kind}: {suspect.proof}; a person must decide "
                        "whether it is known in time"))
    known = {suspect.column for suspect in seen.suspects}
    for column in columns:
        if column.name not in known and named_after(column.name):
            reasons.append(("look at", f'"{column.name}"', "its name may mean that it is known only afterwards"))
    return seen.suspects

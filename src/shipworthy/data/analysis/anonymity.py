"""How many people look alike: k-anonymity over columns that together might tell who a row is about.

Source: Sweeney (2002), "k-anonymity: a model for protecting privacy".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa

from shipworthy.core.attested import Attestation, genuine
from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.found import Profile
from shipworthy.core.ledger import same
from shipworthy.core.project import Project
from shipworthy.core.table import Table
from shipworthy.data.analysis.canaries import planted
from shipworthy.data.collection.containment import words_of
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson

ROW, TOPIC = "law.legislation", "k-anonymity"
QUASI = frozenset(["age", "sex", "gender", "birth", "birthday", "dob", "zip", "zipcode", "postcode", "postal", "city",
                   "town", "county", "country", "nationality", "race", "ethnicity", "marital", "education",
                   "occupation", "profession", "employer", "religion", "language"])


@check("k-anonymity", row=ROW)
def k_anonymity(
    project: Project, profile: Profile, table: Table, attestations: tuple[Attestation, ...], *, k: int = 5,
    topics: tuple[str, ...] = (TOPIC,),
) -> Finding:
    """Whether at least `k` rows are alike in all quasi-identifiers, whoever one looks at; else a reason is signed.

    Quasi-identifiers are [data] quasi_identifiers, or those that the names and protected columns suggest; on a guess
    fewer than `k` is unknown, not a fail. A missing value is a value.
    """
    personal = [column.name for column in profile.columns if column.personal]
    if project.project.subject == "thing" and not personal and not project.data.personal:
        return say("not-applicable", "The project declares no person, and the scanner finds no personal data in "
                   f"{len(profile.columns)} columns.")
    names = [name for name in project.data.quasi_identifiers or _suggested(project, table) if name in table.schema]
    if not names or not table.rows:
        return say("pass", "No column is declared to tell who a row is about, and none is named as if it did.",
                   n=table.rows, limit=float(k))
    size, alone, row = _classes(table, names)
    told = f"The smallest group of rows alike in {', '.join(names)} has {size} of {table.rows:,}"
    facts = {"value": float(size), "limit": float(k), "n": table.rows}
    if size >= k:
        return say("pass", f"{told}; {k} are asked for.", **facts)
    told += f", and {k} are asked for; {alone:,} rows lie in groups of fewer than five"
    signed = [one for one in attestations if (one.row, one.topic) == (ROW, TOPIC) and genuine(one)
              and _day(one) >= datetime.now(UTC).date() and not same(one.by, project.project.trainer)]
    if signed:
        last = max(signed, key=_day)
        return say("attested", f"{told}. {last.by} ({last.role}) signed why: {last.sentence}.", until=_day(last),
                   **facts)
    declared = bool(project.data.quasi_identifiers)
    return say("fail" if declared else "unknown", f"{told}." if declared else f"{told}; nobody declared these columns.",
               remedy=f"coarsen or leave out a column, or sign a reason: shipworthy attest {ROW} --topic {TOPIC} "
               "--by NAME --role ROLE --sentence WHY --until DAY", counterexample={"row": row}, **facts)


@check("personal-canaries", row=ROW)
def personal_canaries(table: Table, steps: Steps, *, limit: float = 0.95, copies: int = 5, rows: int = 400) -> Finding:
    """Share of made-up personal columns, planted into copies of the data, that the scanner finds, at the lower end.

    Sixteen kinds a copy: addresses, cards, accounts, national ids, names, remarks that hold one now and then. With the
    default of five copies all 80 must be found for the lower end of the interval to reach 0.95.
    """
    place = np.sort(np.random.default_rng(0).permutation(table.rows)[:rows])
    sample = table.take(place)
    found = asked = 0
    missed: list[str] = []
    for columns in planted(1, len(place), copies):
        grown = sample
        for name, words in columns.items():
            grown = grown.with_column(f"planted_{name}", pa.array(words, pa.string()))
        seen = {column.name for column in steps.profile(_only(grown, list(columns))).columns if column.personal}
        lost = [name for name in columns if f"planted_{name}" not in seen]
        asked, found, missed = asked + len(columns), found + len(columns) - len(lost), [*missed, *lost]
    low, high = clopper_pearson(found, asked)
    told = f"The scanner finds {found} of {asked} planted columns, at the least {low:.1%} ({limit:.0%} is asked for)"
    verdict: Verdict = "pass" if low >= limit else "fail"
    return say(verdict, f"{told}{': it misses ' + ', '.join(dict.fromkeys(missed)) if missed else ''}.",
               value=found / asked, low=low, high=high, limit=limit, n=asked,
               remedy="" if low >= limit else "the scanner is blind to a kind of personal data: report it")


def _only(table: Table, planted: Sequence[str]) -> Table:
    """The target and the planted columns: the scanner looks at each column by itself."""
    target = [column.name for column in table.schema.columns if column.role == "target"]
    return table.select([*target, *(f"planted_{name}" for name in planted)])


def _suggested(project: Project, table: Table) -> list[str]:
    named = [name for name in table.schema.names if QUASI & set(words_of(name))]
    return list(dict.fromkeys([*named, *(name for name in project.data.protected if name in table.schema)]))


def _classes(table: Table, names: Sequence[str]) -> tuple[int, int, dict[str, object]]:
    """The size of the smallest class of rows alike, the rows in classes below five, and one row of the smallest."""
    code = np.zeros(table.rows, np.int64)
    for name in names:
        values = np.unique([str(value) for value in table.column(name).to_pylist()], return_inverse=True)[1]
        code = np.unique(code * (int(values.max()) + 1) + values, return_inverse=True)[1]
    sizes = np.bincount(code)
    row = int(np.flatnonzero(code == sizes.argmin())[0])
    shown: dict[str, object] = {name: str(table.column(name)[row].as_py()) for name in names}
    return int(sizes.min()), int(sizes[sizes < 5].sum()), shown


def _day(statement: Attestation) -> date:
    try:
        return date.fromisoformat(statement.expires)
    except ValueError:
        return date.min

"""Is there a leak, a row on both sides of the split, or a broken contract?"""

from __future__ import annotations

import numpy as np

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, held, say
from shipworthy.core.found import Contract, Profile
from shipworthy.core.learned import Parts
from shipworthy.core.project import Project
from shipworthy.core.rows import row_hashes
from shipworthy.core.table import Mask, Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson

FINE_VALUES = 100
FINE_COLUMNS = 2


@check("no-leak", row="data.profiling")
def no_leak(project: Project, profile: Profile, table: Table, *, accept: list[str] | None = None) -> Finding:
    """No column that a model may see is suspected of holding the answer.

    accept: suspects that a person has looked at and knows to be available in time; they are named.
    """
    features = {column.name for column in table.schema.features}
    known = [suspect for suspect in profile.suspects if suspect.column in features]
    accepted = [suspect.column for suspect in known if suspect.column in (accept or [])]
    found = [suspect for suspect in known if suspect.column not in accepted]
    note = f" Accepted by the project: {', '.join(accepted)}." if accepted else ""
    facts = {"value": len(found), "limit": 0, "n": profile.rows}
    if not found:
        return say("pass", f"None of {len(features)} features is suspected of holding the answer ({profile.rows:,} "
                   f"rows).{note}", **facts)
    aside = [*project.data.set_aside, *(suspect.column for suspect in found)]
    listed = ", ".join(f'"{name}"' for name in dict.fromkeys(aside))
    said = "; ".join(f"{suspect.column}: {suspect.proof}" for suspect in found)
    return say("fail", f"{len(found)} of {len(features)} features may hold the answer ({profile.rows:,} rows). "
               f"{said}.{note}", remedy=f"in [data] write set_aside = [{listed}]",
               counterexample={"suspects": [[s.column, s.kind, s.strength, s.proof] for s in found]},
               chart={"kind": "bars", "name": [s.column for s in found], "value": [s.strength for s in found]}, **facts)


@check("split-overlap", row="data.profiling")
def split_overlap(parts: Parts, *, limit: float = 0.01) -> Finding:
    """Share of holdout rows that the learn or tune part holds too, or a near-copy; and whether it shares a group.

    A row is the same when every column that is not set aside is. It is a near-copy when all but identifiers, group and
    time are: a row entered again under another number. Near-copies are looked for where two numbers or more have at
    least 100 values each; rows of coarser columns agree by chance.
    """
    names = [column.name for column in parts.learn.schema.columns if column.role not in ("ignored", "suspect")]
    names = [name for name in names if name in parts.holdout.schema]
    n = parts.holdout.rows
    if not n or not parts.learn.rows:
        return say("unknown", "There is no holdout, or nothing was learnt from.", n=n)
    exact = _known(parts, names)
    near = _known(parts, _telling(parts, names)) & ~exact
    group = parts.learn.schema.one("group")
    both = _shared_groups(parts, group.name) if group else 0
    hits, copies = int((exact | near).sum()), int(near.sum())
    low, high = clopper_pearson(hits, n)
    high = high if hits else 0.0
    verdict = "fail" if both else held(hits / n, limit=limit, high=high, at_most=True)
    told = f" {both:,} groups of {group.name} have rows on both sides." if group and both else ""
    told = f" No group of {group.name} is on both sides." if group and not both else told
    aside = f", {copies:,} of them under another identifier or time" if copies else ""
    return say(verdict, f"{hits:,} of {n:,} holdout rows are learn or tune rows "
               f"too{aside}{f', at the most {high:.1%}' if hits else ''} ({limit:.0%} is allowed).{told}",
               value=hits / n, low=low, high=high, limit=limit, n=n,
               counterexample={"holdout rows": np.flatnonzero(exact | near)[:5].tolist()} if hits else {},
               remedy="" if verdict == "pass" else 'write kind = "grouped" in [split] with group in [data], or drop '
               'repeated rows')


@check("contract-holds", row="data.profiling")
def contract_holds(contract: Contract, parts: Parts, steps: Steps) -> Finding:
    """The contract inferred from training rows holds on the holdout, rule by rule."""
    breaches = steps.validate(contract, parts.holdout)
    n = parts.holdout.rows
    facts = {"value": len(breaches), "limit": 0, "n": n}
    if n < 100:
        return say("unknown", f"The holdout has {n} rows; a contract is judged on 100 or more.", **facts)
    if breaches:
        said = "; ".join(breach.sentence for breach in breaches[:3])
        more = f"; and {len(breaches) - 3} more" if len(breaches) > 3 else ""
        return say("fail", f"The holdout of {n:,} rows breaks {len(breaches)} of {len(contract.rules)} rules: "
                   f"{said}{more}.", remedy="find what changed between training and holdout: shipworthy profile",
                   counterexample={"breaches": [breach.sentence for breach in breaches[:10]]}, **facts)
    return say("pass", f"All {len(contract.rules)} rules inferred from training rows hold on {n:,} holdout rows.",
               **facts)


def _known(parts: Parts, names: list[str]) -> Mask:
    """(holdout rows,) whether a learn or tune row is equal in these columns; nowhere without a column."""
    if not names:
        return np.zeros(parts.holdout.rows, np.bool_)
    seen = [row_hashes(part.data.select(names)) for part in (parts.learn, parts.tune) if part.rows]
    return np.isin(row_hashes(parts.holdout.data.select(names)), np.concatenate(seen))


def _telling(parts: Parts, names: list[str]) -> list[str]:
    """The columns that say what a row is about; none where they are too coarse to tell two rows apart."""
    schema = parts.learn.schema
    chosen = [name for name in names if schema[name].role not in ("identifier", "group", "time")]
    fine = [name for name in chosen if schema[name].kind == "number"
            and len(parts.learn.data[name].unique()) >= FINE_VALUES]
    return chosen if len(fine) >= FINE_COLUMNS and len(chosen) < len(names) else []


def _shared_groups(parts: Parts, name: str) -> int:
    seen = {value for part in (parts.learn, parts.tune) for value in part.data[name].unique().to_pylist()} - {None}
    return sum(value in seen for value in parts.holdout.data[name].unique().to_pylist())

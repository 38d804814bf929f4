"""Is there a leak, a row on both sides of the split, or a broken contract?"""

from __future__ import annotations

import numpy as np

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, held, say
from shipworthy.core.found import Contract, Profile
from shipworthy.core.learned import Parts
from shipworthy.core.project import Project
from shipworthy.core.rows import also_in
from shipworthy.core.table import Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import clopper_pearson


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
        return say(
            "pass",
            f"None of {len(features)} features is suspected of holding the answer ({profile.rows:,} rows).{note}",
            **facts,
        )
    aside = [*project.data.set_aside, *(suspect.column for suspect in found)]
    listed = ", ".join(f'"{name}"' for name in dict.fromkeys(aside))
    said = "; ".join(f"{suspect.column}: {suspect.proof}" for suspect in found)
    return say(
        "fail",
        f"{len(found)} of {len(features)} features may hold the answer ({profile.rows:,} rows). {said}.{note}",
        remedy=f"in [data] write set_aside = [{listed}]",
        counterexample={"suspects": [[s.column, s.kind, s.strength, s.proof] for s in found]},
        chart={"kind": "bars", "name": [s.column for s in found], "value": [s.strength for s in found]},
        **facts,
    )


@check("split-overlap", row="data.profiling")
def split_overlap(parts: Parts, *, limit: float = 0.01) -> Finding:
    """Share of holdout rows that are also training rows, and whether a group has rows on both sides.

    A row is the same when every column that is not set aside is, identifiers and times included.
    """
    n = parts.holdout.rows
    if not n or not parts.learn.rows:
        return say("unknown", "There is no holdout, or nothing was learnt from.", n=n)
    shared = also_in(parts.holdout, parts.learn)
    group = parts.learn.schema.one("group")
    both = _shared_groups(parts, group.name) if group else 0
    hits = int(shared.sum())
    low, high = clopper_pearson(hits, n)
    high = high if hits else 0.0
    verdict = "fail" if both else held(hits / n, limit=limit, high=high, at_most=True)
    groups = (
        f" {both:,} groups of {group.name} have rows on both sides."
        if group and both
        else (f" No group of {group.name} is on both sides." if group else "")
    )
    return say(
        verdict,
        f"{hits:,} of {n:,} holdout rows are training rows too"
        f"{f', at the most {high:.1%}' if hits else ''} ({limit:.0%} is allowed).{groups}",
        value=hits / n,
        low=low,
        high=high,
        limit=limit,
        n=n,
        counterexample={"holdout rows": np.flatnonzero(shared)[:5].tolist()} if hits else {},
        remedy=""
        if verdict == "pass"
        else 'write kind = "grouped" in [split] with group in [data], or drop repeated rows',
    )


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
        return say(
            "fail",
            f"The holdout of {n:,} rows breaks {len(breaches)} of {len(contract.rules)} rules: {said}{more}.",
            remedy="find what changed between training and holdout: shipworthy profile",
            counterexample={"breaches": [breach.sentence for breach in breaches[:10]]},
            **facts,
        )
    return say(
        "pass", f"All {len(contract.rules)} rules inferred from training rows hold on {n:,} holdout rows.", **facts
    )


def _shared_groups(parts: Parts, name: str) -> int:
    ours = {value for value in parts.learn.data[name].unique().to_pylist() if value is not None}
    return sum(value in ours for value in parts.holdout.data[name].unique().to_pylist() if value is not None)

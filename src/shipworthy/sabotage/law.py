"""Faults that the checks of law must catch."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from shipworthy.core.attested import Attestation, signed_by
from shipworthy.core.evidence import Evidence, Finding, Judged
from shipworthy.core.pack import Clause, Pack
from shipworthy.marks import sabotage, twin

Case = dict[str, Any]
KEY = bytes(range(32))
ASKED = ("data.cleaning", "verification.performance")


def today() -> date:
    """Today, UTC."""
    return datetime.now(UTC).date()


def pack(**facts: Any) -> Pack:
    """A rule pack of two clauses in force, looked at today."""
    whole = {"id": "world", "title": "The law of the clean world", "jurisdiction": "nowhere", "as_of": today(),
             "effective_from": date(2020, 1, 1), "source": "made up", "status": "current",
             "clauses": tuple(Clause(f"{n}", f"{row} holds.", (row,)) for n, row in enumerate(ASKED, 1))}
    return Pack(**{**whole, **facts})


def lawful(case: Case, *packs: Pack) -> Case:
    """The case under a law that it keeps: a fresh pack, a lawyer's signature, and evidence of this very model."""
    packs = packs or (pack(),)
    law = msgspec.structs.replace(case["project"].law, packs=tuple(one.id for one in packs))
    until = (today() + timedelta(days=90)).isoformat()
    signed = [signed_by(Attestation("law.country", one.id, "lawyer@example.org", "legal", "read beside the law",
                                    today().isoformat(), until), KEY) for one in packs]
    about = Judged("code", case["model"].digest, case["table"].digest)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = tuple(Finding(row.split(".")[1], row, "pass", "It holds.", judged=about, at=now) for row in ASKED)
    return {**case, "project": msgspec.structs.replace(case["project"], law=law), "packs": packs,
            "attestations": tuple(signed), "evidence": Evidence(said)}


@twin("rule-packs")
def fresh_pack(case: Case, seed: int) -> Case:
    """A pack that was looked at some days ago."""
    return lawful(case, pack(as_of=today() - timedelta(days=seed % 150)))


@sabotage("a stale rule pack", check="rule-packs")
def stale_pack(case: Case) -> Case:
    """Nobody has looked at the law for 200 days."""
    return lawful(case, pack(as_of=today() - timedelta(days=200)))


@sabotage("a law that was repealed", check="rule-packs")
def repealed_pack(case: Case) -> Case:
    """The law that the project follows ended last month."""
    return lawful(case, pack(repealed_on=today() - timedelta(days=30)))


@twin("clauses")
def kept_law(case: Case, seed: int) -> Case:
    """Every clause is answered by evidence of this model; a repealed one is there and nobody cites it."""
    old = Clause("0", "It was so once.", ("ethics.fairness",), repealed_on=today() - timedelta(days=seed))
    return lawful(case, pack(clauses=(*pack().clauses, old)))


@sabotage("evidence of another model", check="clauses")
def foreign_evidence(case: Case) -> Case:
    """The findings are those of the model before this one."""
    case = lawful(case)
    other = tuple(msgspec.structs.replace(one, judged=Judged("code", "0" * 64, case["table"].digest))
                  for one in case["evidence"].findings)
    return {**case, "evidence": Evidence(other)}


@sabotage("a repealed clause is cited", check="clauses")
def repealed_clause(case: Case) -> Case:
    """The project holds itself to a clause that ended, which nobody noticed."""
    gone = Clause("0", "It was so once.", ("data.cleaning",), repealed_on=today() - timedelta(days=30))
    case = lawful(case, pack(clauses=(*pack().clauses, gone)))
    law = msgspec.structs.replace(case["project"].law, also=("world/0",))
    return {**case, "project": msgspec.structs.replace(case["project"], law=law)}


@sabotage("evidence older than the law allows", check="clauses")
def old_evidence(case: Case) -> Case:
    """The clause wants a yearly audit, and the last was 13 months ago."""
    case = lawful(case, pack(clauses=tuple(msgspec.structs.replace(one, max_age_days=365) for one in pack().clauses)))
    then = (datetime.now(UTC) - timedelta(days=400)).isoformat(timespec="seconds")
    return {**case, "evidence": Evidence(tuple(msgspec.structs.replace(one, at=then)
                                               for one in case["evidence"].findings))}

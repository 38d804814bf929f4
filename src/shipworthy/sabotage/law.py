"""Faults that the checks of law must catch."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from shipworthy import __version__
from shipworthy.core.absence import search
from shipworthy.core.attested import Attestation, signed_by
from shipworthy.core.drill import Drill
from shipworthy.core.evidence import Evidence, Finding, Judged
from shipworthy.core.found import Profile
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


class _Shelf:
    """Stored tables by name, as checks read them."""

    def __init__(self, **tables: pa.Table) -> None:
        self.tables = tables

    def names(self) -> list[str]:
        return sorted(self.tables)

    def read(self, name: str, version: int | None = None, *, columns: Sequence[str] | None = None) -> pa.Table:
        return self.tables[name].select(list(columns or self.tables[name].column_names))


def _keeps(case: Case, *, oldest: int) -> Case:
    """Rows may be kept for 400 days, and the oldest is so many days old."""
    days = [timedelta(days=day) for day in (1, 30, oldest)]
    rows = pa.table({"when": pa.array([datetime.now(UTC) - day for day in days], pa.timestamp("us", "UTC"))})
    data = msgspec.structs.replace(case["project"].data, retention_days=400)
    return {**case, "project": msgspec.structs.replace(case["project"], data=data), "tables": _Shelf(training=rows),
            "profile": case.get("profile") or Profile(3, ()), "attestations": ()}


@twin("retention")
def young_rows(case: Case, seed: int) -> Case:
    """The oldest row has some weeks left."""
    return _keeps(case, oldest=390 - seed)


@sabotage("the job that forgets is switched off", check="retention")
def job_off(case: Case) -> Case:
    """One row is a day older than it may be."""
    return _keeps(case, oldest=401)


def drilled(*, vacuumed: bool) -> Drill:
    """A drill as the search of real files tells it: rows were deleted from a table, and old versions cleaned up or not.
    """
    words = [f"zq{n:04}erased" for n in range(100)]
    with tempfile.TemporaryDirectory() as folder:
        write_deltalake(folder, pa.table({"name": words}))
        write_deltalake(folder, pa.table({"name": ["somebody else"]}), mode="overwrite")
        table = DeltaTable(folder)
        table.vacuum(0 if vacuumed else None, dry_run=not vacuumed, enforce_retention_duration=False)
        for path in Path(folder).glob("_delta_log/*.json"):  # the smallest and largest name, as the erasure does
            path.write_text("\n".join(line for line in path.read_text("utf-8").splitlines() if '"stats"' not in line))
        found = search(Path(folder), words)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    hits = tuple(f"{hit.file}: {hit.how}" for hit in found.hits)
    return Drill("erasure", now, __version__, len(words), found.files, hits[:20], len(hits), waiting=found.unread)


@twin("erasure-drill")
def whole_drill(case: Case, seed: int) -> Case:
    """Rows were deleted, old versions too, and every byte was searched."""
    return {**case, "drills": (drilled(vacuumed=True),)}


@sabotage("a row left in an old table version", check="erasure-drill")
def old_version(case: Case) -> Case:
    """Rows were deleted from the newest version only."""
    return {**case, "drills": (drilled(vacuumed=False),)}

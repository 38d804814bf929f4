"""Is every training column from a known, owned and licensed source, and does every join hold?"""

from __future__ import annotations

from shipworthy.core.evidence import Finding, say
from shipworthy.core.found import Catalogue, JoinPath
from shipworthy.core.table import Table
from shipworthy.core.words import counted
from shipworthy.marks import check


@check("sources-known", row="data.discovery")
def sources_known(catalogue: Catalogue, table: Table) -> Finding:
    """Every column that a model learns from traces to a catalogued source with an owner and a licence."""
    judged = [column.name for column in table.schema.columns if column.role in ("feature", "target")
              or column.protected]
    known = {listed.name: listed for listed in catalogue.tables}
    lost = [name for name in judged if catalogue.trace.get(name) not in known]
    used = {catalogue.trace[name] for name in judged if name not in lost}
    bare = sorted(name for name in used if not (known[name].owner and known[name].licence))
    facts = {"value": len(judged) - len(lost), "limit": len(judged), "n": len(judged)}
    if lost:
        return say("fail", f"{len(lost)} of {len(judged)} training columns come from no catalogued source: "
                   f"{_few(lost)}.", remedy="list their file as [[source]] in shipworthy.toml",
                   counterexample={"columns": lost}, **facts)
    if bare:
        lacking = [f"{name} ({' and '.join(w for w in ('owner', 'licence') if not getattr(known[name], w))})"
                   for name in bare]
        of = f"{len(bare)} of {counted(len(used), 'source')}"
        return say("fail", f"{of} without an owner or a licence: {_few(lacking)}.",
                   remedy=f'write owner = "…" and licence = "…" in the [[source]] of {", ".join(bare)}',
                   counterexample={"sources": bare}, **facts)
    return say("pass", f"All {len(judged)} training columns trace to {len(used)} catalogued "
               f"source{'s' * (len(used) != 1)} with owner and licence.", **facts)


@check("joins-verified", row="data.discovery")
def joins_verified(catalogue: Catalogue, *, least: float = 0.5) -> Finding:
    """Every join that is used finds at most one row a key, not by chance, and finds one for at least `least` of rows.

    Counted exactly over all rows, so there is no interval.
    """
    used = [join for join in catalogue.joins if join.used]
    if not used:
        return say("not-applicable", "The training table is one source: no join is used.")
    wrong = [(join, why) for join in used if (why := _wrong(join, least))]
    worst = min(join.coverage for join in used)
    facts = {"value": worst, "limit": least, "n": len(used)}
    if wrong:
        join, why = wrong[0]
        return say("fail", f"{len(wrong)} of {len(used)} joins do not hold: {_path(join)} {why}.",
                   remedy="correct [[join]] on, or take the join out; see: shipworthy discover",
                   counterexample={"join": _path(join), "broken keys": list(join.examples)}, **facts)
    poorest = min(used, key=lambda join: join.coverage)
    return say("pass", f"All {len(used)} joins find exactly one row a key; the poorest, {_path(poorest)}, finds one "
               f"for {poorest.coverage:.1%} of rows.", **facts)


def _wrong(join: JoinPath, least: float) -> str:
    if join.many:
        return f"finds several rows for {join.many} keys"
    if join.by_chance:
        return "matches by chance: both keys count from 1 without gaps, under unlike names"
    if not join.coverage >= least:
        return f"finds a row for {join.coverage:.1%} of rows only, of at least {least:.0%}"
    return ""


def _path(join: JoinPath) -> str:
    on = ", ".join(f"{left} = {right}" for left, right in join.on.items())
    return f"{join.left} → {join.right} on {on}"


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

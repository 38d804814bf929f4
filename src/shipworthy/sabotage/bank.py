"""Running the bank: every check against its planted fault and against clean twins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shipworthy.core.case import BankResult
from shipworthy.core.evidence import Finding, Judged
from shipworthy.core.judge import run
from shipworthy.core.registry import Marked, Registry

Case = Mapping[str, Any]
TWINS = 20


def run_bank(
    make: Callable[[int], Case],
    registry: Registry,
    *,
    twins: int = TWINS,
    only: tuple[str, ...] = (),
    progress: Callable[[str], None] = lambda name: None,
) -> list[BankResult]:
    """One result per check and sabotage, in the registry's order; a check without a sabotage is a miss.

    make: seed → clean case; seed 0 is sabotaged, seeds 1…twins must stay quiet. A case is made once per seed.
    """
    plans = [(marked, _of(registry, "sabotage", marked.name), _of(registry, "twin", marked.name))
             for marked in registry.checks.values() if not only or marked.name in only]
    base = make(0)
    cries = {marked.name: 0 for marked, _, _ in plans}
    for seed in range(1, twins + 1):
        progress(f"clean twin {seed} of {twins}")
        case = make(seed)
        for marked, _, own in plans:
            cries[marked.name] += _cries(marked, own[0].function(case, seed) if own else case)
    results = []
    for marked, faults, _ in plans:
        progress(marked.name)
        results += [_plant(marked, fault, base, cries[marked.name], twins) for fault in faults] or [
            BankResult(marked.name, marked.facts["row"], "none", False, cries[marked.name], twins, "no sabotage yet")]
    return results


def catch_rate(results: list[BankResult]) -> float:
    """Share of planted faults that were caught, in [0, 1]; NaN if none was planted."""
    return sum(result.caught for result in results) / len(results) if results else float("nan")


def _of(registry: Registry, kind: str, check: str) -> list[Marked]:
    return [marked for marked in registry.of(kind).values() if marked.facts["check"] == check]


def _plant(marked: Marked, fault: Marked, base: Case, cries: int, twins: int) -> BankResult:
    finding = _finding(marked, fault.function(base))
    caught = finding is not None and finding.verdict == "fail"
    sentence = finding.sentence if finding else "the check had nothing to judge"
    return BankResult(marked.name, marked.facts["row"], fault.name, caught, cries, twins, sentence)


def _cries(marked: Marked, case: Case) -> int:
    finding = _finding(marked, case)
    return int(finding is not None and finding.verdict == "fail")


def _finding(marked: Marked, case: Case) -> Finding | None:
    if any(case.get(subject) is None for subject in marked.subjects):
        return None
    return run(marked, case, {}, Judged())

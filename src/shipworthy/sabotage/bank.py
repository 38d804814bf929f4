"""Running the bank: every check against its planted fault and against clean twins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Literal

from shipworthy.core.case import BankResult
from shipworthy.core.evidence import Finding, Judged
from shipworthy.core.judge import run
from shipworthy.core.registry import Marked, Registry
from shipworthy.errors import ShipworthyError

Case = Mapping[str, Any]
Heard = Literal["quiet", "cry", "unknown"]
TWINS = 20
MAY_BE_UNKNOWN = {
    "encrypted-scoring": "TenSEAL, which encrypts, is an extra; without it only the secret key is looked for",
    "estimated-performance": "an estimate without labels has a wide interval; on some draws it reaches the tolerance",
    "fairness": "on some draws of 600 holdout rows the interval of the ratio reaches the limit",
    "shift-mitigation": "on some draws of 700 thinned rows chance can explain what the correction gains",
    "threshold-stands": "on some draws of 1,050 rows chance can explain the regret",
}


def run_bank(
    make: Callable[[int], Case],
    registry: Registry,
    *,
    table: str = "",
    twins: int = TWINS,
    only: tuple[str, ...] = (),
    progress: Callable[[str], None] = lambda name: None,
) -> list[BankResult]:
    """One result per check and sabotage, in the registry's order; a check without a sabotage is a miss.

    make: seed → clean case; seed 0 is sabotaged, seeds 1…twins must stay quiet. A case is made once per seed. table:
    what the cases are drawn from, if not from the clean world. What fails of a real table before anything is planted
    says the truth, so neither its fault nor its twins count there. A twin that the check did not judge is counted as
    unknown, never as quiet.
    """
    plans = [(marked, _of(registry, "sabotage", marked.name), _of(registry, "twin", marked.name))
             for marked in registry.checks.values() if not only or marked.name in only]
    base = make(0)
    heard: dict[str, Counter[Heard]] = {marked.name: Counter() for marked, _, _ in plans}
    for seed in range(1, twins + 1):
        progress(f"clean twin {seed} of {twins}")
        case = make(seed)
        for marked, _, own in plans:
            heard[marked.name][_heard(_clean(marked, own, case, seed))] += 1
    results = []
    for marked, faults, own in plans:
        progress(marked.name)
        began = perf_counter()
        before = _clean(marked, own, base, 0)
        told: dict[str, Any] = {
            "table": table, "before": before.verdict if before else "", "seconds": perf_counter() - began,
            "false_alarms": heard[marked.name]["cry"], "unknown": heard[marked.name]["unknown"], "twins": twins}
        if table and told["before"] == "fail":
            told |= {"false_alarms": 0, "unknown": twins}
        results += [_plant(marked, fault, base, told) for fault in faults] or [
            BankResult(marked.name, marked.facts["row"], "none", False, sentence="no sabotage yet", **told)]
    return results


def _of(registry: Registry, kind: str, check: str) -> list[Marked]:
    return [marked for marked in registry.of(kind).values() if marked.facts["check"] == check]


def _plant(marked: Marked, fault: Marked, base: Case, told: dict[str, Any]) -> BankResult:
    try:
        finding = _finding(marked, fault.function(base))
    except ShipworthyError as error:  # this ground has nowhere to plant it
        return BankResult(marked.name, marked.facts["row"], fault.name, False, sentence=str(error),
                          **told | {"before": ""})
    failed = finding is not None and finding.verdict == "fail"
    caught = failed and not (told["table"] and told["before"] == "fail")
    sentence = finding.sentence if finding else "the check had nothing to judge"
    return BankResult(marked.name, marked.facts["row"], fault.name, caught, sentence=sentence, **told)


def _clean(marked: Marked, own: list[Marked], case: Case, seed: int) -> Finding | None:
    """What a check says of a clean case, or of its own twin of it."""
    try:
        return _finding(marked, own[0].function(case, seed) if own else case)
    except ShipworthyError:  # this ground has none
        return None


def _heard(finding: Finding | None) -> Heard:
    if finding is None:
        return "unknown"
    if finding.verdict == "fail":
        return "cry"
    return "quiet" if finding.verdict in ("pass", "attested") else "unknown"


def _finding(marked: Marked, case: Case) -> Finding | None:
    if any(case.get(subject) is None for subject in marked.subjects):
        return None
    return run(marked, case, {}, Judged())

from __future__ import annotations

from typing import Any

from shipworthy.core.found import Breach, Contract, Rule
from shipworthy.core.table import Table
from shipworthy.verification.trials.equivalence import equivalent
from shipworthy.verification.trials.validation import _remedy, _Strike, about, mutation_score


def test_a_blind_contract_has_score_zero(clean: dict[str, Any]) -> None:
    from dataclasses import replace

    blind = replace(clean["steps"], validate=lambda contract, batch: ())
    finding = mutation_score(clean["model"], clean["parts"], Contract((), 600), blind, runs=4, clean=20)
    assert finding.verdict == "fail"
    assert finding.value == 0.0
    assert len(finding.counterexample["never caught"]) == 20


def test_a_contract_that_always_alarms_fails(clean: dict[str, Any]) -> None:
    from dataclasses import replace

    said = Breach(Rule("levels", "colour"), "0.5", "another distribution")
    loud = replace(clean["steps"], validate=lambda contract, batch: (said,))
    finding = mutation_score(clean["model"], clean["parts"], clean["contract"], loud, runs=2, clean=20)
    assert finding.verdict == "fail"
    assert "alarms on 20 of 20 clean ones" in finding.sentence
    assert "Clean batches break levels of colour." in finding.sentence
    assert finding.remedy.endswith("; or accept it: [checks.mutation-score] alarms")


def test_a_score_that_more_runs_would_settle_is_unknown(clean: dict[str, Any]) -> None:
    from dataclasses import replace
    from itertools import count

    whole, calls = clean["contract"], count()

    def lapses(contract: Contract, batch: Any) -> tuple[str, ...]:
        return () if contract is whole or next(calls) % 20 == 0 else ("no",)

    finding = mutation_score(clean["model"], clean["parts"], whole, replace(clean["steps"], validate=lapses), clean=380)
    assert finding.verdict == "unknown"
    assert finding.low < finding.limit < finding.high
    assert "More runs would settle it." in finding.sentence
    assert finding.remedy.startswith("against ")
    assert finding.remedy.endswith("; or try more batches: [checks.mutation-score] runs, clean")


def test_the_remedy_names_the_operators_that_escaped_what_helps_and_where() -> None:
    rows = Table.of({"a": [1]})
    remedy = _remedy({
        "affine unit": 3 * [_Strike(rows, rows, ("income",), False)],
        "unit ×1000 or ÷100": 2 * [_Strike(rows, rows, ("age",), False)],
        "old rows again": [_Strike(rows, rows, ("income", "age"), False)], "column frozen": [],
    })
    assert remedy == ("against affine unit and unit ×1000 or ÷100: declare the possible values: [data.limits] income, "
                      "age; against old rows again: name what tells rows apart: [data] identifiers or time")


def test_a_strike_is_judged_by_the_rules_of_what_it_struck() -> None:
    rules = (Rule("range", "a"), Rule("range", "b"), Rule("pair", "b", values=("a",)), Rule("unseen-share", "c",
             values=("a",)), Rule("repeat"), Rule("association", "target"))
    kept = about(Contract(rules), ("a",)).rules
    assert [(rule.kind, rule.column) for rule in kept] == [
        ("range", "a"), ("pair", "b"), ("repeat", ""), ("association", "target")]


def test_the_same_rows_are_equivalent_and_a_sign_flip_is_not(clean: dict[str, Any]) -> None:
    rows = clean["parts"].holdout
    flipped = rows.with_column("num1", -rows.numbers("num1"))
    assert equivalent(clean["model"], clean["steps"], rows, rows, 0)
    assert not equivalent(clean["model"], clean["steps"], rows, flipped, 0)
    assert not equivalent(clean["model"], clean["steps"], rows, rows.drop("num2"), 0)

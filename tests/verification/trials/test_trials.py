from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.core.found import Contract, Rule
from shipworthy.core.table import Table
from shipworthy.errors import BadData
from shipworthy.verification.trials.boundary import _judge, flagged, hostile, typical
from shipworthy.verification.trials.equivalence import equivalent
from shipworthy.verification.trials.simulation import CALM, SCENARIOS, scene
from shipworthy.verification.trials.survival import outage
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

    loud = replace(clean["steps"], validate=lambda contract, batch: ("no",))
    finding = mutation_score(clean["model"], clean["parts"], clean["contract"], loud, runs=2, clean=20)
    assert finding.verdict == "fail"
    assert "alarms on 20 of 20 clean ones" in finding.sentence


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


def test_every_scene_knows_the_truth_of_its_rows(clean: dict[str, Any]) -> None:
    holdout = clean["parts"].holdout
    truth = np.arange(holdout.rows, dtype=np.float64)
    for name in SCENARIOS:
        made = scene(name, holdout, truth, 300, np.random.default_rng(0))
        assert made is not None
        assert len(made.truth) == made.rows.rows
    calm = scene(CALM, holdout, truth, 300, np.random.default_rng(0))
    assert calm is not None
    assert (calm.rows.words("entity") == holdout.words("entity")[calm.truth.astype(int)]).all()


def test_a_contract_that_refuses_everything_proves_nothing(clean: dict[str, Any]) -> None:
    from dataclasses import replace

    loud = replace(clean["steps"], validate=lambda contract, batch: ("no",))
    finding = outage(clean["project"], clean["model"], clean["parts"], clean["contract"], loud, runs=10)
    assert finding.verdict == "unknown"


def test_each_kind_of_silence_is_told_from_an_answer(clean: dict[str, Any]) -> None:
    from dataclasses import replace

    model, steps = clean["model"], clean["steps"]
    base = typical(model, clean["parts"].holdout)
    assert base is not None
    lost = next(one for one in hostile(model, base) if one.name == "a lost column")

    def refuse(model: Any, record: Any) -> Any:
        raise BadData("something is wrong")

    def crash(model: Any, record: Any) -> Any:
        raise KeyError("num1")

    plain = {"prediction": "yes", "probabilities": {"no": 0.4, "yes": 0.6}, "abstain": False}
    assert _judge(replace(steps, answer=refuse), model, lost) == (
        "the error does not name the field (something is wrong)")
    assert _judge(replace(steps, answer=crash), model, lost) == "crashed with KeyError"
    assert _judge(replace(steps, answer=lambda model, record: plain), model, lost) == "accepted in silence"
    assert _judge(steps, model, lost) == ""


def test_a_note_beside_the_prediction_is_a_flag() -> None:
    plain = {"prediction": "yes", "probabilities": {"no": 0.4, "yes": 0.6}, "abstain": False}
    assert not flagged(plain)
    assert flagged({**plain, "unseen": ["cat1"]})
    assert flagged({**plain, "abstain": True})

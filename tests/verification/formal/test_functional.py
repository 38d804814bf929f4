from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.program import Term
from shipworthy.core.project import Property
from shipworthy.verification.formal.functional import output_range, structural_zero


def with_leaf(model: Model, value: float) -> Model:
    [term] = model.program.terms
    leaf = np.array(term.arrays["leaf"], np.float64)
    leaf.flat[int(leaf.argmax())] = value
    return model.with_program(replace(model.program, terms=(Term(term.kind, {**term.arrays, "leaf": leaf}),)))


def three_classes(parts: Parts) -> Parts:
    def more(rows: Any) -> Any:
        words = np.where(rows.numbers("num1") > 1, "maybe", rows.words("outcome"))
        return rows.with_column("outcome", words.tolist())

    return Parts(more(parts.learn), more(parts.tune), more(parts.holdout))


def test_the_shares_of_a_tree_are_proved_to_be_probabilities(clean: dict[str, Any]) -> None:
    finding = output_range(clean["steps"].train(clean["parts"].learn, learner="tree"), clean["parts"])
    assert finding.verdict == "pass"
    assert "probability" not in finding.sentence
    assert finding.sentence.endswith("; 0 to 1 is allowed.")


@pytest.mark.parametrize("leaf", [1.5, 15.0])
def test_a_leaf_of_a_tree_above_one_is_refuted(leaf: float, clean: dict[str, Any]) -> None:
    model = with_leaf(clean["steps"].train(clean["parts"].learn, learner="tree"), leaf)
    finding = output_range(model, clean["parts"])
    assert finding.verdict == "fail"
    assert finding.sentence == f"Refuted: one row has a margin of {leaf:.4g}; 0 to 1 is allowed."


def test_a_share_of_one_of_three_classes_above_one_is_refuted(clean: dict[str, Any]) -> None:
    parts = three_classes(clean["parts"])
    model = clean["steps"].train(parts.learn, learner="tree")
    assert model.program.link == "share"
    assert output_range(model, parts).verdict == "pass"
    assert output_range(with_leaf(model, 1.5), parts).verdict == "fail"


def test_log_odds_may_go_beyond_one(clean: dict[str, Any]) -> None:
    finding = output_range(clean["model"], clean["parts"])
    assert finding.verdict == "pass"
    assert finding.high is not None
    assert finding.high > 1


def test_how_far_a_protected_column_moves_an_answer_is_proved(clean: dict[str, Any]) -> None:
    learn = clean["parts"].learn
    parts = replace(clean["parts"], learn=learn.with_schema(learn.schema.replace("cat2", protected=True)))
    finding = structural_zero(clean["project"], clean["model"], parts)
    assert finding.verdict == "unknown"
    found = re.fullmatch(r"The model reads what is protected: cat2 moves the margin by at most ([\d.]+); proved for "
                         r"all inputs without effect: sex\.", finding.sentence)
    assert found, finding.sentence
    rows = clean["model"].inputs(learn)
    place = [one.name for one in clean["model"].program.inputs].index("cat2")
    margins = []
    for code in (0.0, 1.0, 2.0, np.nan):
        rows[:, place] = code
        margins.append(clean["model"].program.margin(rows)[:, 0])
    assert float(np.ptp(margins, axis=0).max()) == pytest.approx(float(found[1]), rel=1e-2)


def test_a_protected_column_of_which_a_property_is_declared_is_left_to_it(clean: dict[str, Any]) -> None:
    learn = clean["parts"].learn
    parts = replace(clean["parts"], learn=learn.with_schema(learn.schema.replace("cat2", protected=True)))
    claimed = Property("cat2 alone moves the margin by at most 9")
    project = msgspec.structs.replace(clean["project"], property=(claimed,))
    finding = structural_zero(project, clean["model"], parts)
    assert finding.sentence == ("No part of the program reads them, so proved for all inputs without effect: sex; what "
                                "was declared of cat2 is judged as a property.")

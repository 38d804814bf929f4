from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.recourse import Change, changes, price, recourse
from shipworthy.errors import Misuse


def brute(model: Any, row: Any, allowed: tuple[Change, ...], cells: dict[int, Any]) -> float:
    """The least cost over every combination of values, by asking the model about each."""
    rows = []
    for values in product(*(cells[one.place] for one in allowed)):
        other = row.copy()
        other[[one.place for one in allowed]] = values
        rows.append(other)
    asked = np.stack(rows)
    turned = model.decide(model.program.score(asked)) == 1
    costs = np.array([price(row, one, allowed) for one in asked])
    return float(costs[turned].min()) if (turned & np.isfinite(costs)).any() else float("inf")


@pytest.mark.parametrize("learner", ["tree", "boosted"])
def test_the_cheapest_change_is_that_of_all_combinations(learner: str, make_case: Any) -> None:
    case = make_case(0)
    model = case["steps"].train(case["parts"].learn, learner=learner, settings={"rounds": 5, "num_leaves": 4}
                                if learner == "boosted" else {"max_depth": 3})
    allowed = changes(model, case["parts"].learn, {"num1": "up", "num2": "either", "cat1": "either"})
    inputs = model.inputs(case["parts"].holdout)
    refused = inputs[model.decide(model.program.score(inputs)) == 0][:25]
    found = []
    for row in refused:
        cells = {}
        for one in allowed:
            edges = [term.thresholds.get(one.place, np.zeros(0)) for term in model.program.terms]
            cuts = np.concatenate(edges)
            near = np.concatenate([cuts, np.nextafter(cuts, np.inf), np.nextafter(cuts, -np.inf)])
            cells[one.place] = (np.arange(one.levels) if one.levels else
                                np.append(near[(near >= one.low) & (near <= one.high)], row[one.place]))
        one = recourse(model, row, allowed)
        found.append(one.verdict)
        assert one.cost == pytest.approx(brute(model, row, allowed, cells), abs=1e-9)
    assert "found" in found


def test_a_line_is_searched_in_hundredths_of_its_range(clean: dict[str, Any]) -> None:
    model = clean["model"]
    allowed = changes(model, clean["parts"].learn, {"num1": "either"})
    inputs = model.inputs(clean["parts"].holdout)
    row = inputs[model.decide(model.program.score(inputs)) == 0][0]
    found = recourse(model, row, allowed)
    assert found.verdict == "found"
    step = (allowed[0].high - allowed[0].low) / 100
    before = found.row.copy()
    before[allowed[0].place] -= step * np.sign(found.row[allowed[0].place] - row[allowed[0].place])
    assert int(model.decide(model.program.score(before[None]))[0]) == 0


def test_none_is_proved_and_out_of_boxes_is_unknown(clean: dict[str, Any]) -> None:
    model = clean["model"]
    inputs = model.inputs(clean["parts"].holdout)
    row = inputs[np.argmin(model.program.score(inputs))]
    few = changes(model, clean["parts"].learn, {"flag": "up"})
    assert recourse(model, row, few).verdict == "none"
    many = changes(model, clean["parts"].learn, {"num1": "either", "num2": "either", "num3": "either"})
    assert recourse(model, row, many, boxes=1).verdict == "unknown"


def test_the_way_and_the_range_bind(clean: dict[str, Any]) -> None:
    model, learn = clean["model"], clean["parts"].learn
    [up] = changes(model, learn, {"num1": "up"})
    row = np.zeros(len(model.program.inputs))
    other = row.copy()
    other[up.place] = -1.0
    assert price(row, other, (up,)) == np.inf
    other[up.place] = up.high + 1
    assert price(row, other, (up,)) == np.inf
    other[up.place] = 1.0
    assert price(row, other, (up,)) == pytest.approx(1 / up.spread)
    assert price(row, other, ()) == np.inf


def test_a_column_that_nobody_can_change_is_refused(clean: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match='there is no column "num9"'):
        changes(clean["model"], clean["parts"].learn, {"num9": "up"})


def test_a_model_of_several_classes_has_no_recourse(clean: dict[str, Any]) -> None:
    model = clean["model"]
    other = model.with_sheet(task="multiclass")
    with pytest.raises(Misuse, match="two classes only"):
        recourse(other, np.zeros(len(model.program.inputs)), ())
    assert msgspec.structs.asdict(other.sheet)["task"] == "multiclass"

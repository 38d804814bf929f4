"""An explanation adds up, in the margin's unit, and shows what each input was."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shipworthy.core.explained import Explanation, Share, explained
from shipworthy.core.shown import shown
from shipworthy.errors import Misuse


def test_base_and_shares_add_up_to_the_margin_of_the_row(clean: dict[str, Any]) -> None:
    model, table = clean["model"], clean["parts"].holdout
    why = explained(model, table, 7)
    assert why.base + sum(one.share for one in why.shares) == pytest.approx(why.total, abs=1e-9)
    assert why.total == pytest.approx(float(model.program.margin(model.inputs(table.take([7])))[0, 0]), abs=1e-12)
    assert why.unit == f'log-odds of outcome = "{model.classes[1]}"'
    assert why.answer == model.predict(table)[7]
    assert [abs(one.share) for one in why.shares] == sorted((abs(one.share) for one in why.shares), reverse=True)
    assert set(why.as_plain()["contributions"]) == {entry.name for entry in model.features.inputs}


def test_an_unseen_and_a_missing_category_are_named_so(clean: dict[str, Any]) -> None:
    model, table = clean["model"], clean["parts"].holdout.take([0])
    encoder = next(each for each in model.features.encoders if hasattr(each, "levels"))
    for value, told in (("never heard of", "never heard of (not among the levels of training)"), (None, "missing")):
        row = table.with_column(encoder.column, pa.array([value], pa.string()))
        assert next(one.value for one in explained(model, row).shares if one.input == encoder.column) == told


def test_a_row_that_is_not_there_is_told_which_are(clean: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match="there is no row -1"):
        explained(clean["model"], clean["parts"].holdout, -1)


def test_the_text_shows_answer_base_values_and_sum_and_counts_what_moved_nothing() -> None:
    why = Explanation({"prediction": "yes", "probabilities": {"no": 0.25, "yes": 0.75}, "abstain": True},
                      'log-odds of bought = "yes"', -1.25, 1.0986,
                      (Share("size", "3.5", "1", 2.5), Share("colour", "<red>", "blue", -0.1514),
                       Share("noise", "0.1", "0.1", 0.0), Share("hue", "2", "2", 1e-9)), calibrated=True)
    assert str(why) == "\n".join([
        "answer: yes (no 0.250, yes 0.750), unsure: the model abstains",
        'in log-odds of bought = "yes":',
        "  -1.250  the usual row",
        "  +2.500  size = 3.5 (usual: 1)",
        "  -0.151  colour = <red> (usual: blue)",
        "  +1.099  the sum: this row, before calibration",
        "  2 more inputs move it by less than 0.0005",
    ])
    assert "colour = &lt;red&gt;" in why._repr_html_()
    assert shown("", []) == "<table><caption></caption></table>"

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shipworthy.core.contributions import shares
from shipworthy.core.notices import against, just_accepted, notices, resets, toward
from shipworthy.core.project import Reason


@pytest.fixture
def refused(clean: dict[str, Any]) -> Any:
    model = clean["model"]
    inputs = model.inputs(clean["parts"].holdout)
    return inputs[model.decide(model.program.score(inputs)) == 0]


@pytest.mark.parametrize("wish", [0, 1])
def test_the_row_compared_with_was_just_accepted(wish: int, clean: dict[str, Any]) -> None:
    model = clean["model"]
    usual = just_accepted(model, clean["parts"].learn, wish)[None]
    assert int(model.decide(model.program.score(usual))[0]) == wish
    accepted = model.inputs(clean["parts"].learn)
    accepted = accepted[model.decide(model.program.score(accepted)) == wish]
    assert toward(model, usual, wish)[0] <= np.sort(toward(model, accepted, wish))[49]


def test_shares_against_a_row_add_up_to_what_it_lacks(clean: dict[str, Any], refused: Any) -> None:
    model = clean["model"]
    usual = just_accepted(model, clean["parts"].learn)
    told = against(model, refused, usual, wish=1, shares=shares)
    lacks = toward(model, usual[None])[0] - toward(model, refused)
    assert told.sum(axis=1) == pytest.approx(lacks, abs=1e-9)


def test_at_most_four_factors_are_cited_the_weightiest_first_each_of_which_helps(
    clean: dict[str, Any], refused: Any
) -> None:
    model, names = clean["model"], clean["model"].features.columns
    usual = just_accepted(model, clean["parts"].learn)
    helps = resets(model, refused, usual, wish=1)
    codes = {"num1": Reason("01", "the first figure")}
    found = notices(model, refused, usual, wish=1, shares=shares, codes=codes)
    for row, notice in enumerate(found):
        assert 1 <= len(notice) <= 4
        assert [factor.against for factor in notice] == sorted((f.against for f in notice), reverse=True)
        assert all(helps[row, names.index(factor.column)] > 0 for factor in notice)
    first = next(factor for notice in found for factor in notice if factor.column == "num1")
    assert (first.code, first.text) == ("01", "the first figure")

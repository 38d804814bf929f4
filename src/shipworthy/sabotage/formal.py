"""Faults that the checks of local proofs must catch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from shipworthy.core.program import Term, Trees
from shipworthy.marks import sabotage, twin

Case = dict[str, Any]
NO_NODES: dict[str, Any] = {key: np.empty(0, np.int32) for key in ("feature", "left", "right", "flags", "words")}


@sabotage("every answer lies on the threshold", check="local-queries-decided")
def undecidable(case: Case) -> Case:
    """Two trees of one leaf each cancel out, so that rounding alone could turn any decision."""
    model = case["model"]
    arrays = {**NO_NODES, "threshold": np.empty(0), "bits": np.empty(0, np.uint32), "base": np.zeros(1),
              "root": np.array([-1, -2], np.int32), "output": np.zeros(2, np.int32), "leaf": np.array([[1.0], [-1.0]])}
    program = replace(model.program, terms=(Term(Trees(), arrays),), link="logistic", calibration=None)
    return {**case, "model": model.with_program(program).with_sheet(threshold=0.5)}


@sabotage("a deep model that nothing prunes", check="local-robustness")
def brittle(case: Case) -> Case:
    """The champion is the clean model; the new one has hundreds of trees whose leaves hold one or two rows."""
    settings = {"rounds": 300, "num_leaves": 63, "min_data_in_leaf": 2, "lambda_l2": 0.0}
    return {**case, "champion": case["model"], "model": case["steps"].train(case["parts"].learn, settings=settings)}


@twin("local-robustness")
def steady(case: Case, seed: int) -> Case:
    """The champion is the model itself."""
    return {**case, "champion": case["model"]}

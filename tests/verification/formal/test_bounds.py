from __future__ import annotations

from typing import Any

import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.program import Program
from shipworthy.verification.formal.bounds import margin_bounds, reach, tree_leaves

from ...kernels.programs import D, network, rows_for


def test_no_row_escapes_the_bound_of_trees(clean: dict[str, Any]) -> None:
    model = clean["steps"].train(clean["parts"].learn)
    low, high = margin_bounds(model.program, np.zeros(12), np.zeros(12))
    random = np.random.default_rng(0)
    rows = random.normal(0, 1e6, (4_000, len(model.program.inputs)))
    rows[random.random(rows.shape) < 0.2] = np.nan
    margin = model.program.margin(rows)
    assert margin.min() >= low[0] - 1e-9
    assert margin.max() <= high[0] + 1e-9


def test_no_row_of_the_domain_escapes_the_bound_of_a_line(clean: dict[str, Any]) -> None:
    model, inputs = clean["model"], clean["model"].inputs(clean["parts"].learn)
    least, most = np.nanmin(inputs, axis=0), np.nanmax(inputs, axis=0)
    low, high = margin_bounds(model.program, least, most)
    margin = model.program.margin(inputs)
    assert margin.min() >= low[0] - 1e-9
    assert margin.max() <= high[0] + 1e-9


def test_no_row_at_all_escapes_the_bound_of_a_network() -> None:
    for seed in range(40):
        random = np.random.default_rng(seed)
        program = Program(tuple(Input(f"x{n}") for n in range(D)), (network(random, 1),), "identity")
        low, high = margin_bounds(program, np.zeros(D), np.zeros(D))
        margin = program.margin(rows_for(program, random, 2_000))
        slack = 1e-9 * (1 + np.abs(margin).max())
        assert low[0] - slack <= margin.min() <= margin.max() <= high[0] + slack


def test_most_leaves_are_reached_by_the_row_aimed_at_them(clean: dict[str, Any]) -> None:
    from shipworthy.kernels.pure import leaves

    model = clean["steps"].train(clean["parts"].learn)
    term = model.program.terms[0]
    aimed = [(tree, leaf) for tree, found in enumerate(tree_leaves(term)) for leaf in found][:100]
    rows = np.stack([reach(term, tree, leaf, np.nan_to_num(model.reference)) for tree, leaf in aimed])
    got = leaves(rows, term.arrays)
    assert np.mean([got[n, tree] == leaf for n, (tree, leaf) in enumerate(aimed)]) > 0.9

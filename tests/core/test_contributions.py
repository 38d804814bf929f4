"""Shares of the margin are Shapley values of the game between a row and the reference, and add up."""

from __future__ import annotations

from itertools import product
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.core.contributions import contributions
from shipworthy.core.features import Input
from shipworthy.core.program import Linear, Lookup, Program, Term, Trees
from shipworthy.core.table import Floats
from shipworthy.errors import BadModel, Misuse

from ..kernels.programs import D, network

INPUTS = (Input("a"), Input("b"), Input("c", 4), Input("d"))


def by_definition(program: Program, row: Floats, reference: Floats, output: int) -> Floats:
    """The Shapley value from all coalitions."""
    d = len(row)
    worth = {who: program.margin(np.where(who, row, reference)[None])[0, output] for who in product((0, 1), repeat=d)}
    shares = np.zeros(d)
    for who, value in worth.items():
        for place in range(d):
            if not who[place]:
                joined = (*who[:place], 1, *who[place + 1 :])
                size = sum(who)
                shares[place] += factorial(size) * factorial(d - size - 1) / factorial(d) * (worth[joined] - value)
    return shares


def random_trees(random: np.random.Generator, outputs: int, trees: int = 4) -> Term:
    """Complete trees of depth 3 with numeric and categorical nodes and every kind of missing value."""
    nodes, leaves = 7, 8
    feature = random.integers(0, 4, trees * nodes)
    flags = random.integers(0, 2, trees * nodes) | (random.integers(0, 3, trees * nodes) << 2)
    flags = np.where(feature == 2, 2, flags)
    threshold = np.where(feature == 2, random.integers(0, 3, trees * nodes), random.normal(size=trees * nodes).round(1))
    left, right = [], []
    for tree in range(trees):
        for node in range(nodes):
            children = (2 * node + 1, 2 * node + 2)
            left.append(tree * nodes + children[0] if node < 3 else -1 - (tree * leaves + children[0] - nodes))
            right.append(tree * nodes + children[1] if node < 3 else -1 - (tree * leaves + children[1] - nodes))
    arrays = {
        "root": np.arange(trees, dtype=np.int32) * nodes, "output": np.arange(trees, dtype=np.int32) % outputs,
        "feature": feature.astype(np.int32), "flags": flags.astype(np.int32), "threshold": threshold,
        "left": np.array(left, np.int32), "right": np.array(right, np.int32),
        "words": np.where(feature == 2, 1, 0).astype(np.int32), "bits": random.integers(0, 16, 3).astype(np.uint32),
        "leaf": random.normal(size=(trees * leaves, 1)), "base": random.normal(size=outputs),
    }
    return Term(Trees(divisor=2.0), arrays)


def rows_of(random: np.random.Generator, rows: int) -> Floats:
    inputs = random.normal(size=(rows, 4)).round(1)
    inputs[:, 2] = random.integers(0, 4, rows)
    inputs[random.random(inputs.shape) < 0.15] = np.nan
    inputs[random.random(inputs.shape) < 0.1] = 0.0
    return inputs


@given(seed=st.integers(0, 100_000), outputs=st.sampled_from([1, 3]))
@settings(max_examples=25, deadline=None)
def test_shares_of_trees_are_shapley_values(seed: int, outputs: int) -> None:
    random = np.random.default_rng(seed)
    classes = ("x", "y", "z") if outputs == 3 else ("no", "yes")
    program = Program(INPUTS, (random_trees(random, outputs),), "softmax" if outputs == 3 else "logistic", classes)
    inputs, reference = rows_of(random, 6), rows_of(random, 1)[0]
    found = contributions(program, inputs, reference)
    for row, shares in zip(inputs, found, strict=True):
        output = int(program.margin(row[None])[0].argmax())
        assert np.abs(shares - by_definition(program, row, reference, output)).max() < 1e-12


def test_shares_of_every_term_add_up_to_the_move_of_the_margin() -> None:
    random = np.random.default_rng(0)
    cells = random.normal(size=(4, 5, 1))
    pair = Term(Lookup((0, 2)), {"cuts0": np.array([-0.5, 0.5]), "cuts1": np.empty(0), "values": cells})
    single = Term(Lookup((3,)), {"cuts0": np.array([0.0]), "values": random.normal(size=(3, 1))})
    line = Term(Linear(), {"place": np.array([0, 1]), "fill": np.array([0.2, 0.0]), "weight": np.array([[1.5], [-2.0]]),
                           "missing": np.array([[0.3], [0.1]]), "intercept": np.array([0.7])})
    program = Program(INPUTS, (line, single, pair, random_trees(random, 1)), "identity")
    inputs, reference = rows_of(random, 300), np.array([0.1, np.nan, 3.0, 0.0])
    found = contributions(program, inputs, reference)
    move = program.margin(inputs)[:, 0] - program.margin(reference[None])[0, 0]
    assert np.abs(found.sum(axis=1) - move).max() < 1e-12
    for row in range(8):
        assert np.abs(found[row] - by_definition(program, inputs[row], reference, 0)).max() < 1e-12


def test_the_reference_itself_has_no_shares() -> None:
    program = Program(INPUTS, (random_trees(np.random.default_rng(1), 1),), "identity")
    reference = np.array([0.5, np.nan, 1.0, 0.0])
    assert not contributions(program, reference[None], reference).any()


def test_a_reference_of_another_length_is_refused() -> None:
    program = Program(INPUTS, (random_trees(np.random.default_rng(1), 1),), "identity")
    with pytest.raises(BadModel, match="the reference has 2 inputs, the program reads 4"):
        contributions(program, np.zeros((1, 4)), np.zeros(2))


def test_the_shares_of_a_network_are_refused_not_guessed() -> None:
    program = Program(tuple(Input(f"x{n}") for n in range(D)), (network(np.random.default_rng(0), 1),), "identity")
    with pytest.raises(Misuse, match="the exact share of each input is not known: the model holds a network"):
        contributions(program, np.zeros((1, D)), np.zeros(D))

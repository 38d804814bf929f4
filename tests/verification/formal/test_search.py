"""Rank space and search against brute force, and the compiled search against the one in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from shipworthy.kernels import native
from shipworthy.verification.formal import cells
from shipworthy.verification.formal.boxes import leaves_of
from shipworthy.verification.formal.cells import space_of
from shipworthy.verification.formal.claims import Budget, Span
from shipworthy.verification.formal.search import Search, Task, search

from . import small

AMPLE = Budget(50_000, 30.0)


def _tasks(count: int):
    for seed in range(count):
        random = np.random.default_rng(seed)
        levels = small.levels_of(random)
        outputs = int(random.choice([1, 1, 3]))
        program, where = small.program(random, levels, outputs), small.domain(random, levels)
        rows = small.rows([program], where)
        if rows is None:
            continue
        weights = random.integers(-1, 2, outputs).astype(np.float64)
        space = space_of([program], where.spans)
        near = (np.full(len(levels), -1), np.full(len(levels), -1))
        task = Task(leaves_of(program, space, weights), space.query(where.spans), near)
        yield seed, task, where, program, weights, (program.margin(rows) @ weights)


def test_the_greatest_value_found_is_that_of_brute_force_over_every_border():
    for seed, task, where, program, weights, every in _tasks(700):
        found = search(Task(task.leaves, task.box, task.near, tolerance=1e-9), AMPLE)
        assert found.state == "below", seed
        assert abs(found.best - every.max()) < 1e-9, seed
        assert every.max() < found.upper <= every.max() + 2e-9, seed
        row = [task.leaves.space.value(place, (int(found.cells[place]), int(found.bits[place])), span, np.nan)
               for place, span in enumerate(where.spans)]
        assert None not in row, seed
        assert abs(float((program.margin(np.array([row])) @ weights)[0]) - found.best) < 1e-9, seed


def test_a_goal_above_is_never_reached_one_below_always_and_one_at_the_edge_is_never_called_proved():
    for seed, task, _, _, _, every in _tasks(300):
        states = [search(Task(task.leaves, task.box, task.near, goal=every.max() + by), AMPLE).state
                  for by in (0.01, -0.01, 0.0)]
        assert states[:2] == ["below", "reached"], seed
        assert states[2] != "below", seed


def test_the_compiled_search_opens_the_same_boxes_as_the_one_in_numpy():
    if native.branch() is None:
        pytest.skip("the compiled kernel is not built or not wanted")
    for seed, task, _, _, _, every in _tasks(300):
        for wanted in (Task(task.leaves, task.box, task.near, tolerance=1e-9),
                       Task(task.leaves, task.box, task.near, goal=float(np.median(every)))):
            fast, plain = search(wanted, AMPLE), Search(wanted, AMPLE, None).run()
            assert fast.tree.tolist() == plain.tree.tolist(), seed
            assert (fast.state, fast.best, fast.upper, fast.nodes) == (plain.state, plain.best, plain.upper,
                                                                       plain.nodes), seed
            assert fast.cells.tolist() == plain.cells.tolist(), seed
            assert fast.bits.tolist() == plain.bits.tolist(), seed


def test_a_search_without_budget_says_unknown_and_its_bound_still_holds():
    for seed, task, _, _, _, every in _tasks(100):
        found = search(Task(task.leaves, task.box, task.near, goal=float(every.max())), Budget(0, 1.0))
        assert found.state == "unknown", seed
        assert found.upper > every.max(), seed


@pytest.mark.parametrize("threshold", [0.1, 1.0, -0.3, 16777217.0, 1e-46, 3.5e38, -1e300])
def test_the_last_double_that_goes_left_of_a_rounded_threshold_does_and_the_next_does_not(threshold):
    last = float(cells.last_left(np.array([threshold]), narrow=True, zero=False, whole=False)[0])
    with np.errstate(over="ignore"):
        assert float(np.float32(last)) <= threshold or np.isinf(last)
        assert np.isinf(last) or float(np.float32(np.nextafter(last, np.inf))) > threshold


def test_numbers_within_1e_35_of_zero_lie_in_the_cell_of_zero():
    axis = cells.Axis(cells.last_left(np.array([-1e-36, 0.0]), narrow=False, zero=False, whole=False))
    found = axis.find(np.array([1e-36, 0.0, -1e-36, -cells.pure.ZERO, cells.BELOW_ZERO, cells.ABOVE_ZERO]))[0]
    assert found.tolist() == [1, 1, 1, 1, 0, 2]


def test_where_zero_is_routed_apart_it_is_a_bit_and_its_neighbours_are_cells():
    axis = cells.Axis(cells.last_left(np.array([0.0]), narrow=False, zero=True, whole=False), zero=True)
    assert axis.find(np.array([0.0, np.nan]))[1].tolist() == [cells.ZERO, cells.MISSING]
    assert axis.cells(Span(-1.0, 0.0)) == (0, 0)
    assert axis.cells(Span(0.0, 1.0)) == (1, 1)
    assert axis.cells(Span(0.0, 0.0)) == (0, -1)


def test_codes_beyond_one_word_keep_their_bits():
    axis = cells.Axis(np.empty(0), codes=130)
    assert axis.words == 3
    assert axis.find(np.array([0.0, 129.0, 130.0, -1.0, np.nan, np.inf, -0.5]))[1].tolist() == [1, 130, 0, 0, 0, 0, 1]
    assert cells.joined(np.array(cells.words(axis.bits(Span(missing=False, codes=(129,))), 3), np.uint64)) == 1 << 130


@pytest.mark.parametrize(("side", "wrong"), [
    (0, np.zeros((1, 1), np.int32)), (1, np.zeros((1, 1), np.int64)), (2, np.zeros((9, 9), np.uint64)),
    (4, np.array([0, 999], np.int64)), (4, np.array([1, 0], np.int64)), (5, np.array([0, 0], np.int64)),
])
def test_the_compiled_search_refuses_arrays_that_do_not_fit_each_other(side: int, wrong: np.ndarray) -> None:
    branch = native.branch()
    if branch is None:
        pytest.skip("the compiled kernel is not built or not wanted")
    _, task, *_ = next(made for made in _tasks(20) if len(made[1].leaves.value) > 2)
    x, box = task.leaves, task.box
    sums = [x.lo, x.hi, x.mask, x.value, x.start, x.space.first]
    near = [np.asarray(part, np.int64) for part in task.near]
    at, numbers = np.empty((2, len(x.space.axes)), np.int64), (0.0, 0.0, 0.0, -1.0, 1.0)
    assert branch(tuple(sums), (box.lo, box.hi, box.mask, *near), at, numbers, 10)[0] in (0, 1, 2)
    sums[side] = wrong
    with pytest.raises(ValueError, match="search"):
        branch(tuple(sums), (box.lo, box.hi, box.mask, *near), at, numbers, 10)

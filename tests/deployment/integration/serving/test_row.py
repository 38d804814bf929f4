from __future__ import annotations

import numpy as np
import pytest

from shipworthy.core.features import Input
from shipworthy.core.program import Program
from shipworthy.deployment.integration.serving.ranked_row import summed
from shipworthy.deployment.integration.serving.row import _walked, compiled, scored
from shipworthy.kernels import native
from shipworthy.kernels.pure import tidy

from ..conftest import random_trees, small_model, small_network

AWKWARD = [np.nan, 0.0, -0.0, 1e-36, -1e-36, 0.5, 1.0, 2.9, 31.0, 32.0, -1.0, 1e300, -1e300, np.inf, -np.inf, 5e9]


def rows(inputs: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    normal = random.normal(size=(200, inputs))
    return np.where(random.random((200, inputs)) < 0.5, random.choice(AWKWARD, (200, inputs)), normal)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("outputs", [1, 3])
def test_one_row_of_trees_scores_as_the_kernel_does_bit_for_bit(outputs: int, wide: bool) -> None:
    for seed in range(8):
        term = random_trees(np.random.default_rng(seed), 4, outputs, trees=9, wide=wide)
        names = ("a", "b", "c")[:outputs] if outputs > 1 else ()
        program = Program(tuple(Input(f"x{n}") for n in range(4)), (term,), "softmax" if names else "identity", names)
        given = rows(4, seed)
        one = compiled(program)
        with np.errstate(over="ignore"):
            expected = program.margin(given)
        assert [one(row) for row in given.tolist()] == expected.tolist()


@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c"), ()])
def test_one_row_of_every_term_scores_as_the_kernel_does_bit_for_bit(classes: tuple[str, ...]) -> None:
    given = np.where(np.isinf(rows(7, 1)), 3.0, rows(7, 1))
    for program in (small_model(classes).program, small_network(classes).program):
        one = compiled(program)
        assert [one(row) for row in given.tolist()] == program.margin(given).tolist()


@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c"), ()])
def test_one_row_scores_the_same_by_either_kernel(classes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    given = np.where(np.isinf(rows(7, 1)), 3.0, rows(7, 1))
    found = [scored(small_model(classes).program)]
    monkeypatch.setenv(native.VARIABLE, "pure")
    program = small_model(classes).program
    found.append(scored(program))
    wanted = program.score(given).reshape(len(given), -1)
    for score in found:
        assert [list(score(row)) for row in given.tolist()] == wanted.tolist()


@pytest.mark.parametrize(("outputs", "wide"), [(1, False), (3, False), (3, True)])
def test_masks_and_walking_reach_the_same_leaves(outputs: int, wide: bool) -> None:
    for seed in range(20):
        term = random_trees(np.random.default_rng(seed), 6, outputs, trees=9, wide=wide, apart=True)
        masks, walk = summed(term, outputs), _walked(term, outputs)
        assert masks
        given = tidy(rows(6, seed), narrow=wide).tolist()
        assert [masks(row) for row in given] == [walk(row) for row in given]

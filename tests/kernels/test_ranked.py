"""Trees in rank space give what walking them gives, bit for bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shipworthy.kernels import pure, ranked


def trees(random: np.random.Generator, *, leaves: int, count: int, features: int = 4) -> dict[str, np.ndarray]:
    """Trees grown by splitting a random leaf; the last feature is a category of 70 codes."""
    rows: list[list[float]] = []
    roots, total, bits = [], 0, []
    for _ in range(count):
        start, open_leaves, own = len(rows), [(None, None)], 1
        first_leaf = total
        made: list[int] = []
        while own <= leaves - 1:
            parent, side = open_leaves.pop(int(random.integers(len(open_leaves))))
            node = len(rows)
            feature = int(random.integers(features))
            categorical = feature == features - 1
            threshold = float(len(bits)) if categorical else float(random.integers(-3, 4))
            if categorical:
                bits += [int(word) for word in random.integers(0, 2**32, 3)]
            flags = pure.CATEGORICAL if categorical else int(random.integers(2)) | int(random.integers(3)) << 2
            rows.append([feature, threshold, 0, 0, flags, 3 if categorical else 0])
            if parent is not None:
                rows[parent][2 + side] = node
            open_leaves += [(node, 0), (node, 1)]
            made.append(node)
            own += 1
        for number, (parent, side) in enumerate(open_leaves):
            if parent is not None:
                rows[parent][2 + side] = -1 - (first_leaf + number)
        total += len(open_leaves)
        roots.append(start if made else -1 - first_leaf)
    columns = np.array(rows).reshape(-1, 6).T
    names = ("feature", "threshold", "left", "right", "flags", "words")
    arrays = {name: column if name == "threshold" else column.astype(np.int32)
              for name, column in zip(names, columns, strict=True)}
    return {**arrays, "root": np.array(roots, np.int32), "output": np.zeros(count, np.int32), "base": np.zeros(1),
            "bits": np.array(bits, np.uint32), "leaf": random.normal(size=(total, 1))}


def hard(random: np.random.Generator, rows: int = 400) -> np.ndarray:
    inputs = random.integers(-4, 5, (rows, 4)) + random.choice([0.0, 0.5, 1e-300], (rows, 4))
    inputs[:, 3] = random.integers(-2, 100, rows)
    special = random.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-36, 1e300], inputs.shape)
    return np.where(random.random(inputs.shape) < 0.15, special, inputs)


@given(seed=st.integers(0, 100_000), leaves=st.sampled_from([1, 2, 7, 64, 65, 150]), narrow=st.booleans())
@settings(max_examples=30, deadline=None)
def test_rank_space_equals_walking(seed: int, leaves: int, narrow: bool) -> None:
    random = np.random.default_rng(seed)
    arrays, inputs = trees(random, leaves=leaves, count=3), hard(random)
    compiled = ranked.compile_trees(arrays)
    assert compiled is not None
    with np.errstate(over="ignore"):
        reached = compiled.leaves(pure.tidy(inputs, narrow=narrow))
        assert np.array_equal(reached, pure.leaves(inputs, arrays, narrow=narrow))
        walked = pure.trees(inputs, arrays, divisor=3.0, narrow=narrow)
        assert np.array_equal(ranked.score(inputs, arrays, compiled, divisor=3.0, narrow=narrow), walked)


def test_a_node_with_two_parents_is_walked_not_compiled() -> None:
    arrays = trees(np.random.default_rng(0), leaves=4, count=1)
    arrays["left"][0] = arrays["right"][0] = 1
    assert ranked.compile_trees(arrays) is None


def test_tiny_numbers_are_zero_for_lightgbm_and_not_for_scikit_learn() -> None:
    tiny = np.array([[1e-36]])
    assert pure.tidy(tiny, narrow=False)[0, 0] == 0
    assert pure.tidy(tiny, narrow=True)[0, 0] > 0

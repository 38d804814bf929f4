"""The bars of formal verification: tree ensembles on adult, by the protocol that the bars were measured with.

Rows that hold "?" are left out; order by `default_rng(0).permutation`, the first 30,000 train. 13 inputs: the six
numbers, sex, and six categories as codes of their sorted names. LightGBM: rate 0.1, at least 20 rows a leaf, one
thread, seed 0, `max_cat_to_onehot` 4. Local queries: the first 100 held-out rows; age, fnlwgt, capital-gain,
capital-loss and hours move by ±0.05 or ±0.2 standard deviations, floored at 0.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.frame import Bar, no_data, real_data

BARS = (
    Bar("local queries on adult decided, of 600", None, 600, "higher"),
    Bar("local queries at 300 × 31, ms, median", None, 1, "lower"),
    Bar("local queries at 300 × 31 without the compiled kernel, ms, median", None, 20, "lower"),
    Bar("counterexamples that the library model confirms, share", None, 1, "higher"),
    Bar("largest effect of sex at 300 × 31, integer-coded: proved bound less what a row reaches", None, 1e-8, "lower"),
    Bar("the same, seconds", None, 10, "lower"),
    Bar("order of education-num and capital-gain proved for constrained models, of 6", None, 6, "higher"),
    Bar("the slowest of these, seconds", None, 3, "lower"),
    Bar("greatest margin at 50 × 15: proved bound less what a row reaches", None, 1e-8, "lower"),
    Bar("nodes a second, best-first, at 300 × 31, thousands", None, 5, "higher"),
)
SIZES = ((50, 15), (100, 31), (300, 31))
NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
MOVED = ("age", "fnlwgt", "capital-gain", "capital-loss", "hours-per-week")
WORDS = ("workclass", "marital-status", "occupation", "relationship", "race", "native-country")
COLUMNS = (*NUMBERS, "sex", *WORDS)
RISING = ("education-num", "capital-gain")


@dataclass(frozen=True)
class Adult:
    """Inputs (n, 13) and truth of the rows that train, the held-out inputs, and how many levels each input has."""

    learn: Any
    truth: Any
    held: Any
    levels: tuple[int, ...]


def measured() -> list[tuple[float | None, str]]:
    """A (value, note) for each bar."""
    path = real_data("fairness/adult/adult.parquet")
    if path is None:
        return no_data(BARS)
    rows = adult(path)
    return [*_local(rows), *_sex(rows), *_order(rows), *_range(rows)]


def adult(path: Path) -> Adult:
    """The table by the protocol."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    words = {name: np.array([str(word).strip() for word in table[name].to_pylist()])
             for name in (*WORDS, "sex", "education", "income")}
    known = ~np.any([column == "?" for column in words.values()], axis=0)
    inputs, levels = np.empty((int(known.sum()), len(COLUMNS))), []
    for place, name in enumerate(COLUMNS):
        if name in NUMBERS:
            inputs[:, place] = np.asarray(table[name].to_pylist(), np.float64)[known]
            levels.append(0)
        elif name == "sex":
            inputs[:, place] = words[name][known] == "Male"
            levels.append(0)
        else:
            names, codes = np.unique(words[name][known], return_inverse=True)
            inputs[:, place] = codes
            levels.append(len(names))
    truth = np.char.rstrip(words["income"][known], ".") == ">50K"
    order = np.random.default_rng(0).permutation(len(inputs))
    inputs, truth = inputs[order], truth[order]
    return Adult(inputs[:30_000], truth[:30_000].astype(int), inputs[30_000:], tuple(levels))


def _model(rows: Adult, trees: int, leaves: int, *, native: bool, rising: bool = False) -> tuple[Any, Any]:
    """The booster and its program."""
    import lightgbm as lgb

    from shipworthy.core.features import Input
    from shipworthy.core.program import Program
    from shipworthy.learning.training.lower_trees import lower_lightgbm

    settings = {"objective": "binary", "learning_rate": 0.1, "num_leaves": leaves, "min_child_samples": 20,
                "num_threads": 1, "seed": 0, "verbose": -1, "max_cat_to_onehot": 4}
    if rising:
        settings["monotone_constraints"] = [int(name in RISING) for name in COLUMNS]
    codes = [place for place, count in enumerate(rows.levels) if count] if native else []
    booster = lgb.train(settings, lgb.Dataset(rows.learn, rows.truth, categorical_feature=codes), trees)
    inputs = tuple(Input(name, count if native else 0) for name, count in zip(COLUMNS, rows.levels, strict=True))
    return booster, Program(inputs, (lower_lightgbm(booster.model_to_string()),), "logistic", ("no", "yes"))


def _domain(rows: Adult, *, native: bool, whole: bool) -> Any:
    """Training rows' ranges in whole numbers, or, for local queries, all numbers from 0."""
    import numpy as np

    from shipworthy.verification.formal.claims import Domain, Span

    ends = zip(rows.learn.min(axis=0), rows.learn.max(axis=0), strict=True)
    return Domain(tuple(Span(missing=False, codes=tuple(range(count))) if native and count
                        else Span(float(low), float(high), False, True) if whole else Span(0.0, np.inf, False)
                        for (low, high), count in zip(ends, rows.levels, strict=True)))


def _asked(ensemble: Any, rows: Adult, share: float, count: int) -> tuple[list[Any], list[float]]:
    """Verdicts on the first held-out rows, and what each took in ms."""
    from shipworthy.verification.formal.claims import Budget, Robust
    from shipworthy.verification.formal.properties import proved

    spread = rows.learn.std(axis=0)
    reach = tuple(share * spread[place] if name in MOVED else 0.0 for place, name in enumerate(COLUMNS))
    verdicts, took = [], []
    for row in rows.held[:count]:
        begun = time.perf_counter()
        verdicts.append(proved(ensemble, Robust(row, reach), Budget()))
        took.append(1e3 * (time.perf_counter() - begun))
    return verdicts, took


def _local(rows: Adult) -> list[tuple[float | None, str]]:
    from shipworthy.kernels import native as kernel
    from shipworthy.verification.formal.ensemble import Ensemble

    told, decided, confirmed, turned, took = [], 0, 0, 0, []
    for trees, leaves in SIZES:
        booster, program = _model(rows, trees, leaves, native=True)
        ensemble = Ensemble(program, _domain(rows, native=True, whole=False))
        for share in (0.05, 0.2):
            verdicts, took = _asked(ensemble, rows, share, 100)
            kinds = [one.status for one in verdicts]
            decided += len(kinds) - kinds.count("unknown")
            told.append(f"{trees}×{leaves} at {share:g}: {kinds.count('proved')}/{kinds.count('refuted')}/"
                        f"{kinds.count('unknown')}")
            pairs = [(row, one.row) for row, one in zip(rows.held, verdicts, strict=False) if one.status == "refuted"]
            turned += len(pairs)
            confirmed += sum(len(set(booster.predict([before, after]) >= 0.5)) == 2 for before, after in pairs)
    fast = statistics.median(took) if kernel.branch() is not None else None
    os.environ[kernel.VARIABLE] = "pure"
    plain = statistics.median(_asked(ensemble, rows, 0.2, 100)[1])
    os.environ.pop(kernel.VARIABLE)
    return [(float(decided), "proved/refuted/unknown " + ", ".join(told)),
            (fast, f"mean {statistics.mean(took):.2f}, slowest {max(took):.1f}" if fast else "not measured: not built"),
            (plain, ""), (confirmed / turned, f"{turned} counterexamples")]


def _sex(rows: Adult) -> list[tuple[float | None, str]]:
    """P4: the largest change of the margin by sex alone."""
    import numpy as np

    from shipworthy.verification.formal.claims import Budget, Steady
    from shipworthy.verification.formal.ensemble import Ensemble
    from shipworthy.verification.formal.properties import proved

    told, found = [], None
    for trees, leaves in SIZES:
        _, program = _model(rows, trees, leaves, native=False)
        ensemble = Ensemble(program, _domain(rows, native=False, whole=True))
        found = proved(ensemble, Steady(COLUMNS.index("sex"), np.inf), Budget(10**7, 60.0))
        told.append(f"{trees}×{leaves}: {found.low:.3f} to {found.high:.3f} in {found.seconds:.1f} s")
    assert found is not None
    return [(found.high - found.low, "; ".join(told)), (found.seconds, f"{found.nodes:,} nodes")]


def _order(rows: Adult) -> list[tuple[float | None, str]]:
    """P2: models with monotone constraints, and what they cost in accuracy."""
    from shipworthy.verification.formal.claims import Budget, Monotone
    from shipworthy.verification.formal.ensemble import Ensemble
    from shipworthy.verification.formal.properties import proved

    done, slowest, nodes = 0, 0.0, 0
    for trees, leaves in SIZES:
        _, program = _model(rows, trees, leaves, native=True, rising=True)
        ensemble = Ensemble(program, _domain(rows, native=True, whole=True))
        for name in RISING:
            found = proved(ensemble, Monotone(COLUMNS.index(name)), Budget(10**7, 30.0))
            done, slowest, nodes = done + (found.status == "proved"), max(slowest, found.seconds), nodes + found.nodes
    return [(float(done), f"{nodes} nodes"), (slowest, "")]


def _range(rows: Adult) -> list[tuple[float | None, str]]:
    """P1: the greatest margin, and how quickly boxes are opened where it stays open."""
    from shipworthy.verification.formal.claims import Below, Budget
    from shipworthy.verification.formal.ensemble import Ensemble
    from shipworthy.verification.formal.properties import proved

    small, large = (Ensemble(_model(rows, trees, leaves, native=True)[1], _domain(rows, native=True, whole=True))
                    for trees, leaves in (SIZES[0], SIZES[-1]))
    exact = proved(small, Below(float("inf")), Budget(10**7, 30.0))
    wide = proved(large, Below(float("inf")), Budget(10**7, 5.0))
    return [(exact.high - exact.low, f"{exact.high:.3f} in {exact.seconds:.1f} s"),
            (wide.nodes / wide.seconds / 1e3, f"after {wide.seconds:.0f} s between {wide.low:.3f} and {wide.high:.3f}")]

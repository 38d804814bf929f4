"""The kernel bars: how long one row and a batch take, compiled and pure, beside the library in the same run.

200 trees of 31 leaves over 14 inputs of which 8 are categories, 2 % missing, made from a fixed seed; and a network of
32 and 16 units with relu over 14 numbers. scikit-learn gets its rows scaled already. Everything takes
turns in one child process on one core. Times are the best of all turns, since a shared machine only ever adds to them;
ratios come from the same turns, and travel better than times.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from benchmarks.frame import ONE_CORE, ROOT, Bar, Broken, python, run, unmeasured

ROWS, TRAIN, BATCH, INPUTS = 500, 20_000, 1_000, 14
LEVELS = (2, 5, 7, 9, 16, 15, 41, 6)
TURNS, QUICK_TURNS = 40, 20
SPEED = (Bar("compiled kernel: one row, µs", None, 6, "lower"),
         Bar("compiled kernel: batch of 1,000, ms", None, 4, "lower"),
         Bar("one row: LightGBM's time over the compiled kernel's", None, 8, "higher"),
         Bar("batch of 1,000: LightGBM's time over the compiled kernel's", None, 3, "higher"),
         Bar("one row: the pure kernel's time over the compiled kernel's", None, 5, "higher"),
         Bar("batch of 1,000: the pure kernel's time over the compiled kernel's", None, 2, "higher"))
EQUAL = (Bar("scores that differ between the two kernels, of 20,000 rows", None, 0, "lower"),
         Bar("largest difference from LightGBM's probability", None, 1e-15, "lower"))
NETWORK = (Bar("network, compiled kernel: one row, µs", None, 1, "lower"),
           Bar("network, one row: scikit-learn's time over the compiled kernel's", None, 50, "higher"),
           Bar("network, one row: the pure kernel's time over the compiled kernel's", None, 20, "higher"),
           Bar("network, batch of 1,000: the pure kernel's time over the compiled kernel's", None, 4, "higher"),
           Bar("network: scores that differ between the two kernels, of 20,000 rows", None, 0, "lower"),
           Bar("network: largest difference from scikit-learn's probability", None, 1e-12, "lower"))


@dataclass(frozen=True)
class Group:
    """Bars that one measurement answers."""

    bars: tuple[Bar, ...]
    measure: Callable[[dict[str, Any]], list[tuple[float, str]]]


def measure(*, quick: bool, progress: Callable[[str], None], only: Sequence[str] = ()) -> list[Bar]:
    """Every bar, measured or with the reason why not. quick: half of the turns."""
    chosen = [name for name in GROUPS if not only or name in only]
    progress(", ".join(chosen))
    try:
        command = python("-m", "benchmarks.kernel", str(QUICK_TURNS if quick else TURNS))
        seen = json.loads(run(command, folder=ROOT, environment=ONE_CORE).fine().out)
    except Broken as error:
        return [bar for name in chosen for bar in unmeasured(GROUPS[name].bars, f"broke: {error}")]
    return [Bar(bar.what, value, bar.limit, bar.better, note) for name in chosen
            for bar, (value, note) in zip(GROUPS[name].bars, GROUPS[name].measure(seen), strict=True)]


def _speed(seen: dict[str, Any]) -> list[tuple[float, str]]:
    row, batch = seen["row"], seen["batch"]
    best = f"best of {seen['turns']} turns"
    found = [(row["compiled"] * 1e6, f"{best} of {ROWS} rows, as a buffer, link included"),
             (batch["compiled"] * 1e3, best)]
    for name in ("library", "pure"):
        found += [(row[name] / row["compiled"], f"{row[name] * 1e6:.1f} µs; {best}"),
                  (batch[name] / batch["compiled"], f"{batch[name] * 1e3:.1f} ms; {best}")]
    return found


def _equal(seen: dict[str, Any]) -> list[tuple[float, str]]:
    return [(seen["unequal"], "compared to the last bit"), (seen["apart"], "on the same rows")]


def _network(seen: dict[str, Any]) -> list[tuple[float, str]]:
    net = seen["network"]
    row, batch, best = net["row"], net["batch"], f"best of {seen['turns']} turns"
    return [(row["compiled"] * 1e6, f"{best} of {ROWS} rows, as a buffer, link included"),
            *((row[name] / row["compiled"], f"{row[name] * 1e6:.1f} µs; {best}") for name in ("library", "pure")),
            (batch["pure"] / batch["compiled"], f"{batch['pure'] * 1e3:.2f} ms to {batch['compiled'] * 1e3:.2f}, "
             f"scikit-learn {batch['library'] * 1e3:.2f}; {best}"),
            (net["unequal"], "compared to the last bit"), (net["apart"], "on the same rows")]


GROUPS = {"speed": Group(SPEED, _speed), "equal": Group(EQUAL, _equal), "network": Group(NETWORK, _network)}


# ── in the child process ─────────────────────────────────────────────────────────────────────────────────────────


def _child(turns: int) -> dict[str, Any]:
    inputs, booster, program = _model()
    trees = _timed(turns, inputs, program, inputs, lambda rows: booster.predict(rows, num_threads=1))
    return {**trees, "turns": turns, "network": _timed(turns, *_perceptron())}


def _timed(turns: int, inputs: Any, program: Any, theirs: Any, library: Callable[[Any], Any]) -> dict[str, Any]:
    """Best seconds of one row and of a batch, by kernel and library; how far they are apart.

    inputs: (TRAIN, INPUTS). theirs: the same rows as the library takes them.
    """
    import numpy as np

    from shipworthy.deployment.integration.serving.row import scored

    compiled, pure = _kernels(program)
    block, few = np.ascontiguousarray(inputs[:BATCH]), inputs[:ROWS]
    packed, lists = [bytearray(row.tobytes()) for row in few], few.tolist()
    row, slow = compiled.scorer.row, scored(pure)
    wanted = pure.score(inputs)
    tasks: dict[str, dict[str, Callable[[], object]]] = {
        "row": {"compiled": lambda: [row(one) for one in packed], "pure": lambda: [slow(one) for one in lists],
                "library": lambda: [library(theirs[n : n + 1]) for n in range(ROWS)]},
        "batch": {"compiled": lambda: compiled.score(block), "pure": lambda: pure.score(block),
                  "library": lambda: library(theirs[:BATCH])},
    }
    best = {kind: dict.fromkeys(each, float("inf")) for kind, each in tasks.items()}
    for _ in range(turns):
        for kind, each in tasks.items():
            for name, task in each.items():
                began = perf_counter()
                task()
                taken = (perf_counter() - began) / (ROWS if kind == "row" else 1)
                best[kind][name] = min(best[kind][name], taken)
    return {**best, "unequal": int((compiled.score(inputs) != wanted).sum()),
            "apart": float(np.abs(library(theirs) - wanted).max())}


def _perceptron() -> tuple[Any, Any, Any, Callable[[Any], Any]]:
    """Inputs (TRAIN, INPUTS), the program of a network trained on them, its columns, and the library model on these."""
    import warnings

    import numpy as np
    from sklearn.neural_network import MLPClassifier

    from shipworthy.core.features import Input
    from shipworthy.core.program import Program
    from shipworthy.learning.training.lower_network import lower_network, scaled

    random = np.random.default_rng(0)
    inputs = random.normal(size=(TRAIN, INPUTS))
    names = tuple(Input(f"x{n}") for n in range(INPUTS))
    columns = scaled(inputs, names)
    matrix = columns(inputs)
    model = MLPClassifier(hidden_layer_sizes=(32, 16), max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(matrix, (inputs[:, 0] * inputs[:, 1] + inputs[:, 2] > 0).astype(int))
    program = Program(names, (lower_network(model, columns),), "logistic", ("no", "yes"))
    return inputs, program, matrix, lambda rows: model.predict_proba(rows)[:, 1]


def _model() -> tuple[Any, Any, Any]:
    """Inputs (TRAIN, INPUTS), a booster trained on them, and the program that it is lowered into."""
    import lightgbm
    import numpy as np

    from shipworthy.core.features import Input
    from shipworthy.core.program import Program
    from shipworthy.learning.training.lower_trees import lower_lightgbm

    random = np.random.default_rng(0)
    inputs = random.normal(size=(TRAIN, INPUTS))
    plain = INPUTS - len(LEVELS)
    signal = inputs[:, 0] * inputs[:, 1] + np.sin(3 * inputs[:, 2]) + random.normal(size=TRAIN)
    for place, levels in enumerate(LEVELS, plain):
        inputs[:, place] = random.integers(0, levels, TRAIN)
        signal += random.normal(size=levels)[inputs[:, place].astype(int)]
    inputs[random.random(inputs.shape) < 0.02] = np.nan
    settings = {"objective": "binary", "num_leaves": 31, "verbose": -1, "num_threads": 1, "deterministic": True}
    data = lightgbm.Dataset(inputs, (signal > np.median(signal)).astype(int),
                            categorical_feature=list(range(plain, INPUTS)))
    booster = lightgbm.train(settings, data, num_boost_round=200)
    names = tuple(Input(f"x{n}", 0 if n < plain else LEVELS[n - plain]) for n in range(INPUTS))
    return inputs, booster, Program(names, (lower_lightgbm(booster.model_to_string()),), "logistic", ("no", "yes"))


def _kernels(program: Any) -> tuple[Any, Any]:
    """The program twice: to be scored by the compiled kernel, and by the pure one."""
    from dataclasses import replace

    from shipworthy.kernels import native

    pair = []
    for kernel in ("native", "pure"):
        os.environ[native.VARIABLE] = kernel
        pair.append(replace(program))
        _ = pair[-1].scorer
    return pair[0], pair[1]


if __name__ == "__main__":
    print(json.dumps(_child(int(sys.argv[1]))))

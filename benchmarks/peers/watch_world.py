"""The rows of the watch benchmark: what nothing has happened to, and what has. NumPy alone, for every environment."""

from __future__ import annotations

import numpy as np

NUMBERS = ("normal", "lognormal", "zeros", "missing")
WORDS = ("zipf20", "zipf100", "zipf1000")
EDGES, REFERENCE, NOW = 0, 1, 2
FAULTS = ("mean .05", "mean .1", "mean .2", "variance 1.2", "new word 1%", "missing +5%", "hundredfold",
          "units in 10%", "correlation")
TOUCHED = {"new word 1%": "zipf20", "missing +5%": "missing"}


def draw(seed, n, side):
    """Rows of one side of one pair: column → (n,) numbers or words."""
    random = np.random.default_rng([seed, side, n])
    base = random.normal(size=(n, 4))
    rows = {"normal": base[:, 0], "lognormal": np.exp(0.7 * base[:, 0] + np.sqrt(0.51) * base[:, 1]),
            "zeros": np.where(random.random(n) < 0.6, 0.0, np.exp(base[:, 2])),
            "missing": np.where(random.random(n) < 0.05, np.nan, base[:, 3])}
    for name in WORDS:
        k = int(name[4:])
        share = 1.0 / np.arange(1, k + 1)
        rows[name] = np.char.add("v", random.choice(k, n, p=share / share.sum()).astype(str)).astype(object)
    return rows


def planted(rows, fault, seed=0):
    """The rows with one fault in one column; a correlation turns with equal marginals."""
    random, rows = np.random.default_rng([seed, 77]), dict(rows)
    normal, n = rows["normal"], len(rows["normal"])
    if fault.startswith("mean"):
        rows["normal"] = normal + float(fault.split()[1])
    elif fault == "variance 1.2":
        rows["normal"] = normal * np.sqrt(1.2)
    elif fault == "new word 1%":
        rows["zipf20"] = np.where(random.random(n) < 0.01, "new", rows["zipf20"])
    elif fault == "missing +5%":
        rows["missing"] = np.where(random.random(n) < 0.05, np.nan, rows["missing"])
    elif fault == "hundredfold":
        rows["normal"] = normal * 100
    elif fault == "units in 10%":
        rows["normal"] = np.where(random.random(n) < 0.1, 32 + 1.8 * normal, normal)
    elif fault == "correlation":
        dealt = np.empty(n)
        dealt[np.argsort(-normal, kind="stable")] = np.sort(rows["lognormal"])
        rows["lognormal"] = dealt
    return rows


def frame(rows):
    """The rows as a data frame."""
    import pandas as pd

    return pd.DataFrame(rows)


def told(detect, mode, pairs, sizes):
    """What a peer says, as JSON. detect: (reference frame, current frame) → column → (statistic, flagged).

    flags: {size: {column: [flagged …]}} of null pairs. scores: {fault: {column: [statistic …]}}, "none" the null.
    """
    import json
    import time

    found, began = {}, time.perf_counter()
    for size in sizes:
        for seed in range(pairs):
            before = frame(draw(seed, 5_000, REFERENCE))
            now = draw(1_000 + seed, size, NOW)
            for fault in ("none", *FAULTS) if mode == "scores" else ("none",):
                seen = detect(before, frame(planted(now, fault, seed)))
                place = found.setdefault(fault if mode == "scores" else str(size), {})
                for column, (statistic, flagged) in seen.items():
                    place.setdefault(column, []).append(float(statistic) if mode == "scores" else bool(flagged))
    print(json.dumps({"found": found, "seconds": time.perf_counter() - began}))


def counted_rows(seed, n):
    """Thirty numbers and ten words of 5, 50 and 1,000 kinds: what is counted for speed."""
    random = np.random.default_rng([seed, 5, n])
    rows = {}
    for k in range(30):
        base = random.normal(size=n)
        rows[f"n{k}"] = base if k % 3 else np.where(random.random(n) < 0.05, np.nan, np.exp(base))
    for k, kinds in enumerate((5, 5, 5, 5, 50, 50, 50, 1_000, 1_000, 1_000)):
        names = np.char.add("v", np.arange(kinds).astype(str))
        rows[f"c{k}"] = names[np.minimum(random.zipf(1.5, n) - 1, kinds - 1)]
    return rows


def timed(work, rows):
    """CPU µs a value of so many rows beside as many, as JSON. work: (before, now) → bytes of its state, or 0."""
    import json
    import resource
    import time

    before, now = (frame({name: one.astype(object) if one.dtype.kind == "U" else one
                          for name, one in counted_rows(seed, rows).items()}) for seed in (1, 2))
    began = time.process_time()
    size = work(before, now)
    cpu = (time.process_time() - began) / rows / 40 * 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": cpu, "bytes": size // 40, "peak": peak}))

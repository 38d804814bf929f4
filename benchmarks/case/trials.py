"""The trials on real tables: slices, hostile and generated requests, relations, scenarios, and the closed loop.

Three tables as `shipworthy init` sets them up, with 12 seconds of learning each. DivExplorer 0.2.6, in the environment
that SHIPWORTHY_ORACLES names, mines the same slices.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.frame import ROOT, Bar, data_folder, no_data, no_oracle, oracle, python, run
from benchmarks.projects import init, setting

Measured = tuple[float | None, str]
SECONDS, RUNS, SUPPORT = 12, 200, 0.02
TABLES = {"adult": ("adult.parquet", "income"),
          "telco_churn": ("business/telco_churn/Telco-Customer-Churn.csv", "Churn"),
          "german_credit": ("fairness/german_credit/german_credit.parquet", "class")}
EDGES = ("worst-slice", "boundary", "generated-requests", "metamorphic")
WORLD = ("simulator-fidelity", "scenarios", "closed-loop")
MINED = ("age", "workclass", "education", "marital-status", "occupation", "sex")
BARS = (Bar("slices of three columns on the adult holdout, s", None, 3, "lower"),
        Bar("share of 200 runs with permuted losses that report a slice", None, 0.05, "lower"),
        Bar("slices of DivExplorer on adult: share with equal rows and error", None, 1, "higher"),
        Bar("hostile and generated requests to adult, telco and german credit: crashes and silent accepts", None, 0,
            "lower"),
        Bar("relations on three tables: largest difference of a score", None, 1e-9, "lower"),
        Bar("adult: AUC at which simulated rows are told from real ones, upper end", None, 0.65, "lower"),
        Bar("adult, columns shuffled independently: the same, lower end", None, 0.65, "higher"),
        Bar("scenarios survived, adult and telco: worse of the lower ends", None, 0.95, "higher"),
        Bar("adult, a model that ruins under trouble and nobody watches: scenarios survived", None, 0.95, "lower"),
        Bar("adult, closed loop of 20 seeds: slope of AUC a round, lower end", None, -0.01, "higher"),
        Bar("adult: all trials of slices, edges and simulation, s", None, 10, "lower"))


def measured() -> list[Measured]:
    """A value and a note for every bar."""
    if not data_folder().is_dir():
        return no_data(BARS)
    with tempfile.TemporaryDirectory() as name:
        cases = {table: _case(Path(name), table) for table in TABLES}
    adult = cases["adult"]
    found = {table: {check: _run(check, case) for check in (*EDGES, *WORLD)} for table, case in cases.items()}
    return [*_slices(adult, found["adult"]), *_edges(found), *_simulation(adult, found), *_loop(adult),
            _cost(found["adult"])]


def _case(home: Path, table: str) -> dict[str, Any]:
    import shipworthy as sw
    from shipworthy import flow

    path, target = TABLES[table]
    if table == "adult":
        source = data_folder() / "fairness/adult/adult.parquet"
        run(python("-m", "benchmarks.tables", "adult", str(source), str(home / path)), folder=ROOT).fine()
    init(home / table, home / path if table == "adult" else data_folder() / path, target)
    setting(home / table, "seconds", SECONDS)
    place = sw.open_workspace(home / table)
    return flow.prepare(place, flow.gather(place))


def _run(check: str, case: dict[str, Any], **settings: Any) -> Any:
    from shipworthy.core.evidence import Judged
    from shipworthy.core.judge import run as judge
    from shipworthy.core.registry import registry

    return judge(registry().checks[check], case, settings, Judged())


def _slices(case: dict[str, Any], found: dict[str, Any]) -> list[Measured]:
    import numpy as np

    from shipworthy.verification.trials.edges import MOST, error
    from shipworthy.verification.trials.slices import find, literals

    holdout, learn = case["parts"].holdout.head(MOST), case["parts"].learn.spread(MOST)
    random = np.random.default_rng(0)
    told, loss = literals(holdout, MINED, learn), error(case["model"], holdout)
    support = int(np.ceil(SUPPORT * holdout.rows))
    cried = sum(bool(find(random.permutation(loss), told, support=support).slices) for _ in range(RUNS))
    return [(found["worst-slice"].seconds, found["worst-slice"].sentence[:160]),
            (cried / RUNS, f"{cried} of {RUNS}, {holdout.rows:,} rows, six columns"), _mined(told, loss, support)]


def _mined(told: Any, loss: Any, support: int) -> Measured:
    """The share of DivExplorer's slices of up to three columns that are ours, with the same rows and error."""
    import numpy as np

    from shipworthy.verification.trials.slices import _tried

    beside = oracle()
    if beside is None:
        return None, no_oracle("divexplorer")
    masks = {f"{column}={words}": told.mask((n,)) for n, (column, words) in enumerate(told.names)}
    cells = {column: [""] * told.rows for column, _ in told.names}
    for (column, words), mask in zip(told.names, masks.values(), strict=True):
        for row in np.flatnonzero(mask):
            cells[column][row] = words
    began = time.perf_counter()
    tried = _tried(loss, told, 3, support)
    ours = {frozenset("=".join(told.names[k]) for k in tried.key(n)): (int(tried.rows[n]), float(tried.total[n]))
            for n in range(len(tried.rows))}
    taken = time.perf_counter() - began
    code = ("import json, sys, time, pandas as pd; from divexplorer import DivergenceExplorer as D; "
            "d = json.load(sys.stdin); f = pd.DataFrame(d['cells']); f['loss'] = d['loss']; "
            "t = time.perf_counter(); p = D(f).get_pattern_divergence("
            "min_support=d['support'], boolean_outcomes=['loss']); t = time.perf_counter() - t; "
            "print(json.dumps([t, [[sorted(map(str, i)), float(s), float(l)] for i, s, l in "
            "zip(p['itemset'], p['support'], p['loss']) if 0 < len(i) <= 3]]))")
    ran = subprocess.run([beside, "-W", "ignore", "-c", code], text=True, check=True,
                         input=json.dumps({"cells": cells, "loss": loss.tolist(), "support": support / told.rows}),
                         capture_output=True)
    seconds, theirs = json.loads(ran.stdout.splitlines()[-1])
    n, alike, copies = told.rows, 0, 0
    for names, share, mean in theirs:
        mine = ours.get(frozenset(names))
        copies += mine is None and _copy([masks[name] for name in names])
        alike += mine is not None and mine[0] == round(share * n) and abs(mine[1] / mine[0] - mean) < 1e-9
    return (alike / (len(theirs) - copies),
            f"{alike} slices; ours {taken:.2f} s to three columns, theirs {seconds:.1f} s to any; {copies} copies of a "
            f"parent left out; {len(ours)} ours")


def _copy(masks: list[Any]) -> bool:
    """Whether a slice holds the rows of one that is told by fewer columns, or of all."""
    import numpy as np

    whole, every = np.logical_and.reduce(masks).sum(), np.ones(len(masks[0]), np.bool_)
    return any(np.logical_and.reduce([every, *masks[:n], *masks[n + 1:]]).sum() == whole for n in range(len(masks)))


def _edges(found: dict[str, dict[str, Any]]) -> list[Measured]:
    asked = [one[check] for one in found.values() for check in ("boundary", "generated-requests")]
    wrong, n = sum(round(one.value * one.n) for one in asked), sum(one.n for one in asked)
    held = [one["metamorphic"] for one in found.values()]
    return [(float(wrong), f"{wrong} of {n:,}"), (max(one.value for one in held), held[0].sentence)]


def _simulation(case: dict[str, Any], found: dict[str, dict[str, Any]]) -> list[Measured]:
    from shipworthy.core.registry import registry

    fidelity = found["adult"]["simulator-fidelity"]
    lived = [found[one]["scenarios"] for one in ("adult", "telco_churn")]
    planted = {one.facts["check"]: one.function for one in registry().of("sabotage").values()
               if one.facts["check"] in WORLD}
    shuffled = _run("simulator-fidelity", planted["simulator-fidelity"](case))
    ruined = _run("scenarios", planted["scenarios"](case))
    small = found["german_credit"]["scenarios"]
    told = f"{' '.join(one.sentence for one in lived)} german_credit: {small.verdict}"
    return [(fidelity.high, fidelity.sentence), (shuffled.low, shuffled.sentence),
            (min(one.low for one in lived), told), (ruined.value, ruined.sentence)]


def _loop(case: dict[str, Any]) -> list[Measured]:
    whole = _run("closed-loop", case, seeds=20)
    return [(whole.low, f"{whole.sentence} {whole.seconds:.1f} s")]


def _cost(found: dict[str, Any]) -> Measured:
    return (sum(one.seconds for one in found.values()),
            ", ".join(f"{name} {one.seconds:.2f}" for name, one in found.items()))

"""Requirements, value and cost on real tables, beside scikit-learn for the metrics and CodeCarbon for the energy.

German credit (a bad risk accepted costs five times a good one refused), the churn of a telephone company, and credit
defaults in Taiwan: the whole way to a chosen model with few seconds, then the checks of value. The oracle's python is
named by SHIPWORTHY_ORACLES.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.frame import Bar, data_folder, no_data, no_oracle, oracle, real_data

BARS = (
    Bar("metrics: largest difference from scikit-learn", None, 1e-9, "lower"),
    Bar("German credit: regret with each cost ×0.75 and ×1.25", None, 0.02, "lower"),
    Bar("credit default: regret with each cost ×0.75 and ×1.25", None, 0.02, "lower"),
    Bar("churn: regret with each cost ×0.75 and ×1.25", None, 0.02, "lower"),
    Bar("churn: earned above doing nothing per 1,000 decisions, lower end", None, 0.0, "higher"),
    Bar("credit default: earned above doing nothing per 1,000, lower end", None, 0.0, "higher"),
    Bar("credit default: Spearman of metric and value over candidates", None, 0.6, "higher"),
    Bar("meter: CPU seconds over those the system gave the process", None, 1.02, "lower"),
    Bar("search: CPU seconds over the declared budget", None, 1.1, "lower"),
    Bar("energy: CodeCarbon's estimate lies within our interval (1 yes)", None, 1, "higher"),
)
LEARN = 'learners = ["trivial", "linear", "tree", "additive", "boosted"]\nseconds = 12.0\nthreads = 1\n'
TABLES: dict[str, tuple[str, str]] = {
    "german": ("fairness/german_credit/german_credit.parquet", """[project]
name = "german"
[data]
target = "class"
positive = "2"
[split]
tune = 0.3
holdout = 0.3
[value]
true_positive = 0.0
false_positive = -1.0
false_negative = -5.0
"""),
    "default": ("fairness/credit_default_taiwan/credit_default.parquet", """[project]
name = "default"
[data]
target = "default payment next month"
positive = "1"
identifiers = ["ID"]
[value]
currency = "TWD"
false_positive = -8000.0
false_negative = "-0.25 * LIMIT_BAL"
"""),
    "churn": ("business/telco_churn/Telco-Customer-Churn.csv", """[project]
name = "churn"
[data]
target = "Churn"
positive = "Yes"
identifiers = ["customerID"]
[value]
currency = "USD"
true_positive = "1.5 * MonthlyCharges"
false_positive = -40.0
"""),
}
Found = list[tuple[float | None, str]]


def measured() -> Found:
    """Every bar."""
    if real_data("business") is None:
        return [_metrics(), *no_data(BARS)[:6], *_cost()]
    cases = {name: _case(data_folder() / place, text) for name, (place, text) in TABLES.items()}
    return [_metrics(), *(_regret(cases[name]) for name in ("german", "default", "churn")),
            *(_above(cases[name]) for name in ("churn", "default")), _tracks(cases["default"]), *_cost()]


def _case(path: Path, text: str) -> dict[str, Any]:
    from shipworthy.core.project import parse
    from shipworthy.data.collection.read import read
    from shipworthy.flow import study

    table = read(str(path))
    return study(parse(f'{text}\n[[source]]\naddress = "{table.name}"\nname = "{table.name}"\n[learning]\n{LEARN}'),
                 {table.name: table})


def _regret(case: dict[str, Any]) -> tuple[float | None, str]:
    from shipworthy.verification.requirements.business import threshold_stands

    found = threshold_stands(case["project"], case["model"], case["parts"])
    return found.value, f"{found.verdict}: {found.sentence}"


def _above(case: dict[str, Any]) -> tuple[float | None, str]:
    from shipworthy.verification.requirements.business import value_above_nothing

    found = value_above_nothing(case["project"], case["model"], case["parts"])
    return found.low, f"{found.verdict}: {found.sentence}"


def _tracks(case: dict[str, Any]) -> tuple[float | None, str]:
    from shipworthy.verification.requirements.business import metric_tracks_value

    found = metric_tracks_value(case["project"], case["learned"], case["parts"])
    return found.value, f"{found.verdict}: {found.sentence}"


def _metrics() -> tuple[float | None, str]:
    import numpy as np
    from sklearn import metrics as oracle

    from shipworthy.metrics import METRICS

    random = np.random.default_rng(0)
    truth, score = random.integers(0, 2, 2_000), random.random(2_000).round(2)
    called, value, guess = (score >= 0.5).astype(np.int64), random.normal(size=2_000), random.normal(size=2_000)
    pairs = {
        "auc": oracle.roc_auc_score(truth, score), "average_precision": oracle.average_precision_score(truth, score),
        "log_loss": oracle.log_loss(truth, np.clip(score, 1e-15, 1 - 1e-15)),
        "brier": oracle.brier_score_loss(truth, score),
        "accuracy": oracle.accuracy_score(truth, called),
        "balanced_accuracy": oracle.balanced_accuracy_score(truth, called),
        "precision": oracle.precision_score(truth, called), "recall": oracle.recall_score(truth, called),
        "f1": oracle.f1_score(truth, called), "rmse": oracle.root_mean_squared_error(value, guess),
        "mae": oracle.mean_absolute_error(value, guess), "r2": oracle.r2_score(value, guess),
        "median_absolute_error": oracle.median_absolute_error(value, guess),
        "pinball": oracle.mean_pinball_loss(value, guess),
    }
    given = {"probability": (truth, np.clip(score, 1e-15, 1 - 1e-15)), "decision": (truth, called),
             "value": (value, guess)}
    off = {name: abs(METRICS[name].function(*given[METRICS[name].needs]) - known) for name, known in pairs.items()}
    worst = max(off, key=lambda name: off[name])
    return float(off[worst]), f"{len(off)} metrics; the largest is of {worst}"


def _cost() -> Found:
    import resource

    import msgspec
    import numpy as np

    from shipworthy.core.features import fit
    from shipworthy.core.project import Learning
    from shipworthy.learning.selection.ladder import learn
    from shipworthy.learning.training.cost import start, stop
    from shipworthy.learning.training.split import parts, split
    from shipworthy.sabotage.world import world, world_project

    def known() -> float:
        return sum(use.ru_utime + use.ru_stime for use in map(resource.getrusage, (
            resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))

    begun, meter = known(), start()
    while known() - begun < 1.0:
        np.linalg.norm(np.random.default_rng(0).normal(size=(200, 200)))
    subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"], check=True)
    cost = stop(meter, Learning())
    ratio = cost.cpu_seconds / (known() - begun)
    project = world_project()
    rules = Learning(seconds=60.0, max_cpu_seconds=8.0, learners=("linear", "boosted"), threads=1)
    project = msgspec.structs.replace(project, learning=rules)
    table = world(0)
    table = table.with_schema(table.schema.replace("outcome", role="target").replace("entity", role="identifier"))
    cut = parts(table, split(table, project))
    learned, _ = learn(cut, fit(cut.learn), project)
    said = f"{learned.cost.cpu_seconds:.1f} s of 8 declared, {learned.cost.trials} trials; {learned.why}"
    return [(max(ratio, 1 / ratio), f"{cost.cpu_seconds:.2f} s with a child's; counters {cost.counters}"),
            (learned.cost.cpu_seconds / 8.0, said), _energy()]


def _energy() -> tuple[float | None, str]:
    """CodeCarbon's energy for the processor beside ours, for the same seconds of one busy core."""
    python = oracle()
    if python is None:
        return None, no_oracle("codecarbon")
    from shipworthy.core.project import Learning
    from shipworthy.learning.training.cost import start, stop

    code = """
import time
from codecarbon import OfflineEmissionsTracker
tracker = OfflineEmissionsTracker(country_iso_code="USA", tracking_mode="process", log_level="error",
                                  save_to_file=False)
tracker.start()
end = time.process_time() + 20
while time.process_time() < end:
    sum(range(1000))
tracker.stop()
print(tracker.final_emissions_data.cpu_energy)
"""
    meter = start()
    ran = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    cost = stop(meter, Learning(watts_per_core=4.0))
    if ran.returncode:
        return None, f"not measured: {ran.stderr.strip().splitlines()[-1][:120]}"
    theirs = float(ran.stdout.split()[-1])
    return (float(cost.kwh_low <= theirs <= cost.kwh_high),
            f"{theirs * 1000:.3f} Wh, ours {cost.kwh_low * 1000:.3f} to {cost.kwh_high * 1000:.3f} Wh; at 4 W a thread "
            "that it takes for an unknown processor")

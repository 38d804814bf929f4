from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shipworthy.core.clock import DAY
from shipworthy.core.evidence import Finding, Judged
from shipworthy.core.grid import FIXED, Facts, Grid, Plan, Reference, score_cells
from shipworthy.core.judge import run
from shipworthy.core.project import parse
from shipworthy.core.registry import Marked
from shipworthy.core.table import Table
from shipworthy.core.tallies import Tallies
from shipworthy.deployment.monitoring import counting
from shipworthy.deployment.monitoring.bias import prediction_bias
from shipworthy.deployment.monitoring.drills import alarm_drill, drift_drill, outlier_drill
from shipworthy.deployment.monitoring.estimate import Unlabelled, estimate, estimated_performance
from shipworthy.deployment.monitoring.feedback import feedback
from shipworthy.deployment.monitoring.harm import harm, risk_limit
from shipworthy.deployment.monitoring.joined import served
from shipworthy.deployment.monitoring.joint import density_ratio
from shipworthy.deployment.monitoring.late import cohorts, late_labels
from shipworthy.deployment.monitoring.outliers import outlier_p, outlier_rate
from shipworthy.deployment.monitoring.reference import calibrated
from shipworthy.deployment.monitoring.watch import CHECKS
from shipworthy.deployment.updating.poison import no_poison
from shipworthy.marks import MARK
from shipworthy.metrics.classification import accuracy, auc, f1
from shipworthy.sabotage import deployment_drift as drift_faults
from shipworthy.sabotage import deployment_monitoring as faults
from shipworthy.sabotage import feedback as loops
from shipworthy.sabotage import late_labels as late
from shipworthy.sabotage import outliers as odd

Case = Mapping[str, Any]
ALL = {getattr(f, MARK)["name"]: f for f in (*CHECKS, alarm_drill, outlier_drill, drift_drill, no_poison)}
BANK = [each for found in (faults, loops, odd, drift_faults, late) for each in vars(found).values()]
PLANTED = [f for f in BANK if getattr(f, MARK, {}).get("kind") == "sabotage"]
TWINS = [f for f in BANK if getattr(f, MARK, {}).get("kind") == "twin"]


def tally(grid: Reference, log: Table, labels: Table | None = None) -> Tallies:
    return counting.tally(counting.counting(grid, width=DAY), log, labels)


def judged(check: str, case: Case) -> Finding:
    function = ALL[check]
    marked = Marked(check, function, getattr(function, MARK), function.__module__)
    return run(marked, case, {}, Judged())


@pytest.mark.parametrize("fault", PLANTED, ids=lambda f: getattr(f, MARK)["name"])
def test_every_planted_fault_is_caught(fault: Any, case: Case) -> None:
    found = judged(getattr(fault, MARK)["check"], fault(case))
    assert found.verdict == "fail", found.sentence


@pytest.mark.parametrize("twin", TWINS, ids=lambda f: getattr(f, MARK)["check"])
def test_every_clean_twin_is_quiet(twin: Any, cases: Callable[[int], dict[str, Any]]) -> None:
    for seed in (1, 2):
        found = judged(getattr(twin, MARK)["check"], twin(cases(seed), seed))
        assert found.verdict == "pass", found.sentence


def test_every_check_has_a_planted_fault() -> None:
    assert {getattr(f, MARK)["check"] for f in PLANTED} == set(ALL)


def test_the_drills_pass_on_a_clean_case_and_say_what_they_saw(case: Case) -> None:
    subjects = (case["project"], case["model"], case["grid"], case["parts"])
    alarm = alarm_drill(*subjects, years=4)
    assert alarm.verdict == "pass"
    assert alarm.sentence == (
        "Paged: 60 % of num1 missing in window 1 (broken), num1 × 100 in window 1 (broken), swapped labels in window 1 "
        "(harm); 0 pages in 4 quiet years (95 % interval 0.00 to 0.92 a year, at most 1).")
    assert outlier_drill(*subjects).verdict == "pass"
    assert drift_drill(*subjects).verdict == "pass"


def test_harm_needs_a_right_answer_in_the_reference(case: Case, serve: Any) -> None:
    from dataclasses import replace

    import msgspec

    log, labels = serve(count=500)
    facts = msgspec.structs.replace(case["grid"].facts, wrong=case["grid"].facts.rows)
    grid = replace(case["grid"], facts=facts)
    assert np.isnan(risk_limit(grid, 0.02))
    found = harm(case["project"], grid, tally(case["grid"], log, labels))
    assert (found.verdict, found.sentence) == (
        "unknown", "The reference holds no right answer among 1,000 rows, so no risk can be held to it.")


def test_fifty_labels_are_too_few_for_harm_and_bias(case: Case, serve: Any) -> None:
    log, labels = serve(count=50)
    assert harm(case["project"], case["grid"], tally(case["grid"], log, labels)).sentence == (
        "50 labels are too few to judge harm; 100 are needed.")
    assert prediction_bias(case["project"], case["grid"], tally(case["grid"], log, labels)).sentence == (
        "50 labels are too few to judge the model's bias; 100 are needed.")


def test_labels_of_one_outcome_only_are_named(case: Case, serve: Any) -> None:
    log, labels = serve(count=1_000)
    found = late_labels(case["grid"], tally(case["grid"], log, labels.take(labels.words("label") == "yes")))
    assert found.verdict == "fail"
    assert found.sentence.endswith('others were to be expected: only one outcome is ever reported.')


def test_immature_days_have_no_risk(case: Case, serve: Any) -> None:
    log, labels = serve(count=6_000)
    end = log.numbers("at").max()
    table = cohorts(tally(case["grid"], log, labels.take(labels.numbers("observed_at") <= end)))
    assert all(one.risk is None for one in table if (one.maturity or 0) < 0.9)
    assert all(one.risk is not None for one in table[:10])
    assert (table[0].maturity or 0) > 0.99 > (table[-1].maturity or 0)


def test_unusable_scores_are_unknown(case: Case, serve: Any) -> None:
    log, _ = serve(count=500)
    gone = log.with_column("score", pa.array(np.full(500, np.nan)))
    assert estimated_performance(case["project"], case["grid"], tally(case["grid"], gone)).sentence == (
        "Performance cannot be estimated on 500 rows: too few usable scores.")


def test_an_outlier_p_value_counts_ties_against_the_row() -> None:
    assert outlier_p(np.array([5, 1, 9]), np.array([1, 3, 5, 7])).tolist() == [0.6, 1.0, 0.2]


def test_few_calibration_rows_say_unknown(case: Case, serve: Any) -> None:
    from dataclasses import replace

    log, _ = serve(count=500)
    few = replace(case["grid"], strange=case["grid"].strange[:50], isolated=case["grid"].isolated[:50])
    assert outlier_rate(few, tally(few, log)).verdict == "unknown"


def test_traffic_like_the_reference_overlaps_it_and_moved_traffic_does_not(case: Case, serve: Any) -> None:
    log, _ = serve(count=1_500)
    same = served(case["grid"], log)
    cells = np.stack([same.cells[name] for name in case["grid"].plan.names], axis=1)
    found = density_ratio(case["grid"], cells)
    assert found is not None
    assert found.overlap > 0.8
    moved = density_ratio(case["grid"], cells + 30)
    assert moved is not None
    assert not moved.usable


def test_feedback_does_not_apply_when_nothing_is_decided(case: Case, serve: Any) -> None:
    log, labels = serve(count=300)
    project = parse('[project]\nname = "x"\ndecides = false\n[data]\ntarget = "outcome"\n')
    assert feedback(project, tally(case["grid"], log, labels)).verdict == "not-applicable"
    assert feedback(case["project"], tally(case["grid"], log.drop("influenced"), labels)).verdict == "unknown"


def car_loan() -> tuple[Table, Table]:
    root = Path(os.environ.get("SHIPWORTHY_DATA", Path(__file__).parents[4] / "shared" / "data"))
    folder = root / "monitoring" / "nannyml_car_loan"
    if not folder.is_dir():
        pytest.skip(f"the car loan data set is not at {folder}")
    part = {name: pq.read_table(folder / f"synthetic_car_loan_{name}.parquet")
            for name in ("reference", "analysis", "analysis_target")}
    now = part["analysis"].sort_by("id").append_column("repaid", part["analysis_target"].sort_by("id")["repaid"])
    return Table.of(part["reference"]), Table.of(now.sort_by("timestamp"))


def test_estimates_on_car_loans_are_as_close_to_the_truth_as_published() -> None:
    before, now = car_loan()
    plan = Plan((), ("0", "1"))
    where, truth = _where(plan, before), before.numbers("repaid")
    outcomes = np.stack([np.bincount(where, minlength=514),
                         np.bincount(where, weights=truth * FIXED, minlength=514)], axis=1).astype(np.int64)
    grid = Grid(plan.digest, {}, outcomes[:, 0], before.rows)
    calibration = np.rint(calibrated(outcomes, plan) * FIXED).astype(np.int64)
    reference = Reference(Facts(plan, (), before.rows, 0), grid, grid, outcomes, calibration, np.zeros(1, np.int64),
                          np.zeros((0, 2), np.int64))
    gaps = []
    for start in range(0, now.rows, 5_000):
        chunk = now.take(np.arange(start, start + 5_000))
        found = estimate(reference, Unlabelled(np.bincount(_where(plan, chunk), minlength=514))).figures
        true, score, said = chunk.numbers("repaid"), chunk.numbers("y_pred_proba"), chunk.numbers("y_pred")
        gaps.append((found["auc"] - auc(true, score), found["f1"] - f1(true, said),
                     found["accuracy"] - accuracy(true, said)))
    assert (np.abs(gaps).mean(axis=0) <= (0.0022, 0.0027, 0.0032)).all()


def _where(plan: Plan, table: Table) -> np.ndarray:
    return score_cells(plan, table.numbers("y_pred_proba"), table.numbers("y_pred").astype(np.int64))

"""Late labels, the audit sample, bias in parts, and gaps between groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.chosen import AUDITS, level_of, levels
from shipworthy.core.clock import DAY
from shipworthy.core.grid import FIXED
from shipworthy.core.table import Table
from shipworthy.deployment.monitoring.audit import audited, audited_performance
from shipworthy.deployment.monitoring.bias import paths, prediction_bias
from shipworthy.deployment.monitoring.counting import counting, tally
from shipworthy.deployment.monitoring.estimate import estimated_performance
from shipworthy.deployment.monitoring.fairness import fairness_over_time, gaps
from shipworthy.deployment.monitoring.late import cohorts, late_labels
from shipworthy.sabotage import late_labels as faults

Case = Mapping[str, Any]


# ── the audit sample ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_ids_of_a_small_audit_are_all_in_a_larger_one_and_their_share_is_as_declared() -> None:
    found = levels(f"p{n}" for n in range(40_000))
    assert [round(float((found <= place).mean()), 2) for place in (3, 6, 8, 9)] == [0.01, 0.1, 0.5, 1.0]
    assert [level_of(share) for share in (0.0, 0.0005, 0.01, 0.03, 1.0)] == [-1, -1, 3, 4, len(AUDITS) - 1]


def test_an_audit_corrects_an_estimate_that_a_changed_relation_deceives(case: Case) -> None:
    found = faults.errors_that_only_an_audit_sees(case)
    true = audited(found["tallies"], 0.5)
    estimated = found["tallies"].rows.whole.total("expected")[0] / FIXED / true.rows
    assert true.risk - true.half > estimated + 0.05
    assert estimated_performance(found["project"], found["grid"], found["tallies"]).verdict != "fail"


def test_days_whose_audited_answers_are_not_all_labelled_are_left_out(case: Case) -> None:
    found = faults.half_of_all_is_audited(case, 3)
    labels = found["labels"]
    some = faults.tallied(found, log=found["log"], labels=labels.take(np.arange(labels.rows) % 3 > 0))
    told = audited_performance(found["project"], found["grid"], some["tallies"])
    assert told.verdict == "unknown"
    assert told.sentence.endswith("0 are of days that are nearly all labelled; 100 are needed.")


def test_without_a_declared_audit_nothing_is_audited(case: Case, serve: Any) -> None:
    found = audited_performance(case["project"], case["grid"], tally(counting(case["grid"]), *serve(count=300)))
    assert (found.verdict, found.sentence) == ("not-applicable", "No audit sample is declared: [watch] audit is 0.")


def test_the_sequence_of_an_audit_covers_the_risk_at_every_look(case: Case) -> None:
    missed = 0
    for seed in range(5):
        found = faults.half_of_all_is_audited(case, 10 + seed)
        every = faults.logged(case["model"], faults.many(case, 10 + seed), 10 + seed)["labels"]
        n, loss = faults.tallied(found, log=found["log"], labels=every)["tallies"].labels.whole.total("labels")[:2]
        seen = audited(found["tallies"], 0.5)
        missed += bool(abs(seen.risk - loss / FIXED / n) > seen.half)
    assert missed == 0


# ── late labels ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rare_outcome_that_did_not_come_yet_is_no_fault(case: Case, serve: Any) -> None:
    log, labels = serve(count=2_000)
    sure = log.numbers("score") < 0.02
    came = labels.take(sure & (labels.words("label") == "no"))
    found = tally(counting(case["grid"], width=DAY), log.take(sure), came)
    assert "only one outcome" not in late_labels(case["grid"], found).sentence


def test_labels_that_will_come_are_estimated_by_what_came_within_an_age(case: Case, serve: Any) -> None:
    log, labels = serve(count=6_000)
    end = log.numbers("at").max()
    days = cohorts(tally(counting(case["grid"], width=DAY), log, labels.take(labels.numbers("observed_at") <= end)))
    assert all(one.expected == pytest.approx(one.predictions, rel=0.25) for one in days if (one.maturity or 0) > 0.5)
    assert days[-1].risk is None


def test_labels_without_a_prediction_are_told_and_no_others(case: Case, serve: Any) -> None:
    log, labels = serve(count=400)
    whole, how = late_labels(case["grid"], tally(counting(case["grid"]), log, labels)), counting(case["grid"])
    part = tally(how, log.take(np.arange(400) >= 12), labels)
    assert "not counted" not in whole.sentence
    assert late_labels(case["grid"], part).sentence.endswith(" Labels not counted: 12 with no prediction here yet.")
    few = replace(tally(how, log.head(9), None), orphans=1_200, lost=3)
    assert late_labels(case["grid"], few).sentence == (
        "0 labels are too few to tell whether bad news comes late; 100 are needed. "
        "Labels not counted: 1,200 with no prediction here yet, 3 given up without one.")


def test_any_order_of_given_labels_and_their_corrections_counts_the_same(case: Case, serve: Any) -> None:
    log, labels = serve(count=300)
    random, how = np.random.default_rng(0), counting(case["grid"])
    day = np.timedelta64(1, "D")
    again = labels.take(random.choice(300, 200, replace=False))
    later = pa.array(again.column("observed_at").to_numpy() + 2 * day, pa.timestamp("us", "UTC"))
    told = random.choice(["yes", "no", "never heard of"], 200)
    again = again.with_column("label", pa.array(told)).with_column("observed_at", later)
    every = Table.of(pa.concat_tables([labels.data, again.data]))
    first = tally(how, log, every)
    for _ in range(3):
        other = tally(how, log.take(random.permutation(300)), every.take(random.permutation(500)))
        for kind in ("rows", "labels", "cohorts"):
            assert np.array_equal(getattr(first, kind).cells, getattr(other, kind).cells), kind
        assert np.array_equal(first.sample.loss, other.sample.loss)
    assert (first.labels.whole.of("labels")[:, 0] < 0).any()


def test_labels_of_days_before_the_rows_are_those_of_no_other_day(case: Case, serve: Any) -> None:
    log, labels = serve(count=2_000)
    whole = tally(counting(case["grid"], width=DAY), log, labels)
    all_days = cohorts(whole)
    late = replace(whole, rows=whole.rows.between(int(np.unique(whole.rows.at)[-3])))
    assert [one.labels for one in cohorts(late)] == [one.labels for one in all_days[-3:]]


def test_a_corrected_label_takes_away_what_the_old_one_had_added(case: Case, serve: Any) -> None:
    log, labels = serve(count=400)
    how = counting(case["grid"], width=DAY)
    wrong = labels.with_column("label", pa.array(["yes"] * 400))
    before, after = tally(how, log, wrong), tally(how, log, labels)
    put_right = before.labels.cells - tally(how, log, wrong).labels.cells + after.labels.cells
    assert np.array_equal(put_right, after.labels.cells)


# ── bias in parts ────────────────────────────────────────────────────────────────────────────────────────────────


def test_bias_names_the_decile_that_is_off(case: Case) -> None:
    found = faults.one_decile_off(case)
    told = prediction_bias(found["project"], found["grid"], found["tallies"])
    assert "decile 9 of the score" in told.sentence
    assert told.remedy == "recalibrate on the newest labels: shipworthy renew"


def test_bias_names_the_segment_that_is_off(case: Case, serve: Any) -> None:
    log, labels = serve(count=12_000)
    random = np.random.default_rng(0)
    hit = (log.words("cat1") == "c") & (random.random(12_000) < 0.4)
    labels = labels.with_column("label", pa.array(list(np.where(hit, "yes", labels.words("label")))))
    found = tally(counting(case["grid"], segments=("cat1",), width=DAY), log, labels)
    out = [one.name for one in paths(case["grid"], found, "day", 0.05) if one.outside.size]
    assert "cat1=c" in out
    assert not {"cat1=a", "cat1=b"} & set(out)
    assert "cat1=c" in prediction_bias(case["project"], case["grid"], found).sentence


def test_parts_of_healthy_traffic_are_quiet_together(case: Case, serve: Any) -> None:
    for seed in range(4):
        found = tally(counting(case["grid"], segments=("cat1", "cat2"), width=DAY), *serve(count=6_000, seed=seed))
        assert not [one.name for one in paths(case["grid"], found, "day", 0.02) if one.outside.size]


# ── groups over time ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_gap_is_found_by_the_period_in_which_it_opened(case: Case) -> None:
    found = faults.a_group_is_turned_away(case)
    seen = gaps(found["project"], found["tallies"], ("no", "yes"))
    proved = {(one.left, one.right, one.period) for one in seen if one.proved}
    assert proved
    assert all(left == "band=b" for left, _, _ in proved)
    assert any(period > 0 for _, _, period in proved)


def test_odds_are_compared_where_that_is_the_criterion(case: Case) -> None:
    found = faults.grouped(case, 1, 0.0)
    fair = msgspec.structs.replace(found["project"].fairness, criterion="equalised-odds", limit=0.1)
    project = msgspec.structs.replace(found["project"], fairness=fair)
    what = {one.what for one in gaps(project, found["tallies"], ("no", "yes"))}
    assert what == {"accepted rightly", "accepted wrongly"}
    assert fairness_over_time(project, found["grid"], found["tallies"]).verdict == "pass"


def test_groups_that_requests_do_not_carry_are_unknown(case: Case) -> None:
    found = faults.grouped(case, 1, 0.0)
    bare = tally(counting(found["grid"], segments=("band",), width=DAY), found["log"].drop("band"))
    told = fairness_over_time(found["project"], found["grid"], bare)
    assert told.verdict == "unknown"
    assert told.remedy.startswith("send the protected columns with requests")


def test_the_rates_of_a_gap_are_those_of_the_log(case: Case) -> None:
    found = faults.grouped(case, 2, 0.0)
    log, wide = found["log"], gaps(found["project"], found["tallies"], ("no", "yes"))
    whole = next(one for one in wide if one.period == 0 and one.left == "band=a")
    said, group = log.words("decision") == "yes", log.words("band")
    assert whole.rates == pytest.approx((said[group == "a"].mean(), said[group == "b"].mean()))
    assert whole.value[-1] == pytest.approx(0.8 * whole.rates[1] - whole.rates[0])

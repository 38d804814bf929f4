from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.evidence import Finding
from shipworthy.core.grid import FIXED, Facts, Reference, count, plan
from shipworthy.core.table import Table
from shipworthy.deployment.monitoring.columns import column_drift, judge_stream, judge_windows
from shipworthy.deployment.monitoring.counting import counting, tally
from shipworthy.metrics import drift
from shipworthy.sabotage.world import world_project


def table(seed: int, n: int, *, shift: float = 0.0) -> Table:
    random = np.random.default_rng(seed)
    return Table.of({
        "normal": random.normal(size=n) + shift, "rounded": np.round(random.exponential(size=n), 1),
        "zeros": np.where(random.random(n) < 0.6, 0.0, random.lognormal(size=n)),
        "word": pa.array(random.choice(list("abcdefgh"), n, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.03, 0.02])),
    })


def reference_of(edges: Table, sample: Table, learnt: Table | None = None) -> Reference:
    found = plan(edges, edges.schema, learnt=learnt)
    each = len(found.columns)
    return Reference(Facts(found, (1 / each,) * each, sample.rows, 0), count(edges, found), count(sample, found),
                     np.zeros((found.score_cells, 2), np.int64), np.full(256, FIXED // 2), np.zeros(1, np.int64),
                     np.zeros((0, each + 2), np.int64))


def judged(reference: Reference, now: Table, **options: float) -> np.ndarray:
    counts = count(now, reference.plan).columns
    return judge_windows(reference, {name: counts[name] for name in reference.plan.names}, **options).p[0]


def traffic(rows: Table) -> Table:
    at = pa.array(1_720_000_000_000_000 + np.arange(rows.rows) * 60_000_000, pa.timestamp("us", "UTC"))
    rows = rows.with_column("score", np.full(rows.rows, 0.5)).with_column("decision", pa.array(["no"] * rows.rows))
    return rows.with_column("at", at).with_column("prediction_id", pa.array([str(n) for n in range(rows.rows)]))


def drift_of(reference: Reference, log: Table) -> Finding:
    return column_drift(world_project(), reference, tally(counting(reference), log))


@pytest.mark.parametrize("n, m", [(500, 200), (5_000, 1_000), (1_000, 20_000)])
def test_a_second_sample_is_rarely_called_drift(n: int, m: int) -> None:
    edges = table(1, 2_000)
    p = np.concatenate([judged(reference_of(edges, table(100 + k, n)), table(500 + k, m)) for k in range(25)])
    assert np.nanmean(p < 0.05) <= 0.05


def weather(low: float, high: float, seasons: str, n: int = 1_000) -> Table:
    random = np.random.default_rng(int(high))
    return Table.of({"temp": random.uniform(low, high, n), "season": pa.array(random.choice(list(seasons), n))})


def broken(now: Table) -> list[str]:
    """The columns called broken input, where training had a year, and the reference is of summer and autumn."""
    reference = reference_of(weather(60, 95, "s"), weather(45, 90, "sa"), weather(10, 100, "wsa", 5_000))
    counts = count(now, reference.plan).columns
    tests = judge_windows(reference, {name: counts[name] for name in reference.plan.names})
    assert (np.fmin(tests.p, tests.broken)[0] < 1e-6).all()
    return [name for name, p in zip(reference.plan.names, tests.broken[0], strict=True) if p < 1e-6]


def test_a_season_that_training_had_is_drift_and_not_broken_input() -> None:
    assert broken(weather(15, 40, "w")) == []


def test_another_unit_and_a_word_never_seen_are_broken_input() -> None:
    assert broken(weather((20 - 32) / 1.8, (60 - 32) / 1.8, "x")) == ["temp", "season"]


def test_a_million_equal_rows_are_quiet() -> None:
    random = np.random.default_rng(0)
    edges, sample, now = (Table.of({"x": random.normal(size=size)}) for size in (50_000, 1_000_000, 1_000_000))
    assert judged(reference_of(edges, sample), now)[0] > 0.5


def test_the_power_is_that_of_the_published_table() -> None:
    edges = table(1, 5_000)
    found = [judged(reference_of(edges, table(k, 5_000)), table(50 + k, 5_000, shift=shift))[0] < 0.05
             for shift in (0.05, 0.3) for k in range(10)]
    assert sum(found[:10]) <= 1
    assert sum(found[10:]) == 10


def test_windows_at_once_equal_the_metric_one_by_one() -> None:
    edges, sample, now = table(1, 2_000), table(2, 1_024), table(3, 512, shift=0.2)
    reference = reference_of(edges, sample)
    cells = reference.plan.columns[0]
    pooled = drift.pool_cells(reference.planned.columns["normal"], 512, special=cells.special, least=512 / 1024**0.4)
    one = drift.column_drift(reference.grid.columns["normal"], count(now, reference.plan).columns["normal"], pooled)
    assert judged(reference, now)[0] == pytest.approx(min(1.0, 2 * one.p_cells), rel=1e-9)


def test_sixty_percent_newly_missing_is_drift_and_broken() -> None:
    edges, now = table(1, 1_000), table(3, 500)
    gone = now.with_column("normal", pa.array(now.numbers("normal"), mask=np.arange(500) % 10 < 6))
    found = drift_of(reference_of(edges, table(2, 1_000)), traffic(gone))
    assert found.verdict == "fail"
    assert found.sentence == (
        "1 of 4 columns differ by more than 0.1 in the shares of values (Cohen's w), first normal (moved by 0.165, "
        "missing 0%, now 60%); 500 rows of traffic against 1,000 of the reference. Broken input: normal.")


def test_one_all_missing_column_leaves_the_others_intact() -> None:
    now = table(3, 500, shift=1.0)
    empty = now.with_column("rounded", pa.nulls(500, pa.float64()))
    found = drift_of(reference_of(table(1, 1_000), table(2, 1_000)), traffic(empty))
    assert set(found.counterexample["columns"]) == {"normal", "rounded"}


def test_one_unseen_value_in_ten_thousand_rows_is_quiet() -> None:
    now = table(3, 10_001)
    words = now.words("word")
    words[0] = "never seen"
    p = judged(reference_of(table(1, 5_000), table(2, 5_000)), now.with_column("word", pa.array(words, pa.string())))
    assert p[3] > 0.05


def test_eight_rows_are_unknown() -> None:
    found = drift_of(reference_of(table(1, 1_000), table(2, 1_000)), traffic(table(3, 8)))
    assert (found.verdict, found.sentence) == ("unknown", "8 rows of traffic are too few to compare with 1,000.")


def test_a_vanished_feature_is_a_finding() -> None:
    found = drift_of(reference_of(table(1, 1_000), table(2, 1_000)), traffic(table(3, 500).drop("zeros")))
    assert found.verdict == "fail"
    assert found.sentence.endswith("Broken input: zeros. zeros has vanished.")


def test_a_changed_unit_in_one_row_of_ten_is_broken_input() -> None:
    now = table(3, 500)
    mixed = np.where(np.arange(500) % 10 == 0, 100.0, 1.0) * now.numbers("normal")
    counts = count(now.with_column("normal", mixed), (reference := reference_of(table(1, 1_000), table(2, 1_000))).plan)
    assert judge_windows(reference, counts.columns).broken[0, 0] < 1e-6


def test_a_reference_a_little_off_does_not_add_up_over_time() -> None:
    reference = reference_of(table(1, 1_000), table(2, 400))
    windows = [count(table(100 + k, 2_000), reference.plan).columns for k in range(40)]
    counts = {name: np.stack([window[name] for window in windows]) for name in reference.plan.names}
    tests = judge_stream(reference, counts)
    assert (tests.log_e(tests.p).sum(axis=0) < 0).all()

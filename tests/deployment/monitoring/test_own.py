"""A user's own figure: counted in any split with the same bits, judged within the budget, with an honest interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.meters import OwnMeter, conform, own_meters
from shipworthy.core.project import Metered, Project
from shipworthy.core.registry import registry
from shipworthy.core.table import Table
from shipworthy.core.tallies import add
from shipworthy.deployment.monitoring.own import BLOCKS, beyond, figures
from shipworthy.deployment.monitoring.watch import Watched, counted, watch
from shipworthy.errors import Misuse
from shipworthy.sabotage.own_meters import rows_and_high, share

Case = Mapping[str, Any]
HIGH = OwnMeter("high", "rows", 2, rows_and_high, share)
WRONG = OwnMeter("wrong", "labels", 2, lambda table: np.array(
    [table.rows, (table.words("label") != table.words("decision")).sum()]), share)


def looked(case: Case, log: Table, labels: Table | None, *limits: Metered, **more: Any) -> Watched:
    project: Project = msgspec.structs.replace(case["project"], meter=limits)
    seen = counted(case["model"], case["grid"], log, labels, project, own=(HIGH, WRONG))
    return watch(case["grid"], seen, project, release="r" * 64, own=(HIGH, WRONG), **more)


def test_parts_of_a_log_add_up_to_all_of_it_bit_for_bit(case: Case, serve: Callable[..., Any]) -> None:
    log, labels = serve(count=1_500)

    def tallied(part: Table) -> Any:
        return counted(case["model"], case["grid"], part, labels, case["project"], own=(HIGH, WRONG))

    whole, order = tallied(log), np.random.default_rng(0).permutation(1_500)
    first, *rest = (tallied(log.take(part)) for part in np.array_split(order, 5))
    for more in rest:
        first = add(first, more)
    assert (first.rows.cells == whole.rows.cells).all() and (first.labels.cells == whole.labels.cells).all()


def test_a_figure_is_what_its_rows_say(case: Case, serve: Callable[..., Any]) -> None:
    log, labels = serve(count=2_000)
    high, wrong = looked(case, log, labels).figures
    assert high.value == pytest.approx((log.numbers("score") > 0.5).mean())
    assert wrong.value == pytest.approx((log.words("decision") != labels.words("label")).mean())
    assert high.low < high.value < high.high and (high.n, wrong.n) == (2_000, 2_000)


def test_the_interval_of_a_share_is_as_wide_as_the_binomial_one() -> None:
    random, widths, missed = np.random.default_rng(0), [], 0
    for _ in range(400):
        hits = random.random(3_200) < 0.2
        blocks = random.integers(0, BLOCKS, 3_200)
        sums = np.stack([np.bincount(blocks, minlength=BLOCKS), np.bincount(blocks[hits], minlength=BLOCKS)], axis=1)
        value, error = figures(HIGH, sums.reshape(1, -1))
        widths.append(error[0])
        missed += abs(value[0] - 0.2) > 2.131 * error[0]
    assert np.mean(widths) == pytest.approx(np.sqrt(0.2 * 0.8 / 3_200), rel=0.1)
    assert missed / 400 <= 0.08


def test_a_figure_beyond_its_limit_pages_and_one_within_it_does_not(case: Case, serve: Callable[..., Any]) -> None:
    log, labels = serve(count=6_000)
    usual = float((log.numbers("score") > 0.5).mean())
    quiet = looked(case, log, labels, Metered("high", at_most=usual + 0.02), Metered("wrong", at_most=0.5))
    assert quiet.incident is None and any("meter high" in window.m for window in quiet.windows)
    loud = looked(case, log, labels, Metered("high", at_most=usual - 0.15))
    assert loud.incident is not None and loud.incident.families == ("meter high",)
    assert loud.incident.sentence.startswith('The figure "high" is beyond its limit')
    assert looked(case, log, labels, Metered("high", at_least=usual + 0.15)).incident is not None


def test_many_looks_judge_the_windows_of_a_figure_once(case: Case, serve: Callable[..., Any]) -> None:
    log, _ = serve(count=3_000)
    limit, at = Metered("high", at_most=0.6), log.numbers("at")
    state, seen = None, []
    for until in np.linspace(at.min() + 1, at.max() + 1, 6):
        found = looked(case, log.take(at < until), None, limit, state=state)
        state = found.state
        seen += [(window.level, window.start, window.m["meter high"]) for window in found.windows
                 if "meter high" in window.m]
    once = [(window.level, window.start, window.m["meter high"]) for window in
            looked(case, log, None, limit).windows if "meter high" in window.m]
    assert sorted(seen) == sorted(once)


def test_false_alarms_of_a_figure_at_its_limit_keep_the_level() -> None:
    random, p = np.random.default_rng(1), []
    for _ in range(600):
        blocks, hits = random.integers(0, BLOCKS, 800), random.random(800) < 0.3
        sums = np.stack([np.bincount(blocks, minlength=BLOCKS), np.bincount(blocks[hits], minlength=BLOCKS)], axis=1)
        p.append(beyond(*figures(HIGH, sums.reshape(1, -1)), Metered("high", at_most=0.3))[0])
    assert np.mean(np.array(p) <= 0.05) <= 0.075
    assert np.mean(0.5 / np.sqrt(p)) <= 1.15  # an e-value, as far as the normal law of a share goes


def test_a_window_that_says_nothing_is_skipped(case: Case) -> None:
    value, error = figures(HIGH, np.zeros((3, 2 * BLOCKS), np.int64))
    assert np.isnan(value).all()
    assert np.isnan(beyond(value, error, Metered("high", at_most=0.1))).all()


def test_a_meter_that_breaks_its_contract_is_named(case: Case) -> None:
    table = Table.of(pa.table({"score": np.random.default_rng(0).random(200)}), name="t")
    assert conform(HIGH, table) == []
    uneven = replace(HIGH, function=lambda rows: np.array([rows.rows, int(rows.numbers("score").max(initial=0) * 99)]))
    assert "does not merge" in conform(uneven, table)[0]
    lying = replace(HIGH, function=lambda rows: np.array([0.5, 1.0]))
    assert conform(lying, table) == ['the meter "high" gives float64 of shape (2,), and says it counts 2 integers']
    with pytest.raises(Misuse, match="fails: KeyError"):
        replace(HIGH, function=lambda rows: {}["x"]).count(table)


PLUGIN = '''
import numpy as np
from shipworthy.marks import meter, panel, sink

def share(sums):
    return sums[1] / sums[0]

@meter("nights", of="{of}", cells={cells}, value={value})
def nights(table):
    return np.array([table.rows, 0])

@sink("pager")
def pager(message, settings): ...

@panel("arms", title="Rows by arm")
def arms(tallies):
    return {{"kind": "bars", "name": ["a"], "value": [1.0]}}
'''


def test_meters_sinks_and_panels_come_through_the_plugin_door(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(of="rows", cells=2, value="share"), "utf-8")
    known = registry((str(path),))
    assert [one.family for one in own_meters(known)] == ["meter nights"]
    assert {"pager", "webhook", "slack", "email"} <= set(known.of("sink")) and set(known.of("panel")) == {"arms"}
    before = own_meters(known)[0].layout
    path.write_text(PLUGIN.format(of="rows", cells=2, value="share") + "\nMORE = 1\n", "utf-8")
    assert own_meters(registry((str(path),)))[0].layout != before  # counts of another code are never added


@pytest.mark.parametrize(("of", "cells", "value", "told"), [
    ("answers", "2", "share", 'names the of "answers"'), ("rows", "0", "share", "counts 0 cells"),
    ("rows", "2", "lambda: 1", "has a value that is called with")])
def test_a_mark_that_lies_is_refused_when_it_is_loaded(
    tmp_path: Path, of: str, cells: str, value: str, told: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(of=of, cells=cells, value=value), "utf-8")
    with pytest.raises(Misuse, match=told):
        registry((str(path),))


def test_a_plugin_s_author_can_test_the_contract() -> None:
    pytest.importorskip("hypothesis")
    from shipworthy.marks import meter
    from shipworthy.testing import conform as conforming

    table = Table.of(pa.table({"score": np.random.default_rng(0).random(200)}), name="t")
    assert conforming(meter("high", of="rows", cells=2, value=share)(rows_and_high), table) == []

    def largest(rows: Table) -> Any:
        return np.array([rows.rows, int(99 * rows.numbers("score").max(initial=0))])

    assert "does not merge" in conforming(meter("largest", of="rows", cells=2, value=share)(largest), table)[0]
    assert conforming(meter("none", of="rows", cells=0, value=share)(largest), table)[0].startswith("it counts 0 cells")
    with pytest.raises(Misuse, match="not marked with @meter"):
        conforming(says_nothing, table)


def says_nothing(table: Table) -> None:
    """No meter."""

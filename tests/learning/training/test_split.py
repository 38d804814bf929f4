"""Rows are divided once, by one rule, before anything is fitted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from shipworthy.core.project import Project, parse
from shipworthy.core.table import Table
from shipworthy.errors import BadData
from shipworthy.learning.training.split import parts, split

START = datetime(2024, 1, 1, tzinfo=UTC)


def table(rows: int = 400, positive: float = 0.25) -> Table:
    random = np.random.default_rng(0)
    return Table.of({
        "x": random.normal(size=rows), "who": [f"p{n % 50}" for n in range(rows)],
        "at": [START + timedelta(hours=int(n)) for n in random.permutation(rows)],
        "y": np.where(random.random(rows) < positive, "yes", "no").tolist(),
    })


def project(rule: str = "", data: str = "") -> Project:
    return parse(f'[project]\nname = "p"\n[data]\ntarget = "y"\n{data}\n[split]\n{rule}')


def test_every_row_is_in_one_part() -> None:
    rows = split(table(), project())
    assert sorted(np.concatenate([rows.learn, rows.tune, rows.holdout]).tolist()) == list(range(400))


def test_stratified_parts_have_the_same_share_of_the_rare_class() -> None:
    whole = table(positive=0.05)
    cut = parts(whole, split(whole, project()))
    share = np.mean(whole.words("y") == "yes")
    for part in (cut.learn, cut.tune, cut.holdout):
        assert abs(np.mean(part.words("y") == "yes") - share) < 0.02


def test_a_group_is_never_in_two_parts() -> None:
    whole = table()
    cut = parts(whole, split(whole, project('kind = "grouped"', 'group = "who"')))
    seen = [set(part.words("who")) for part in (cut.learn, cut.tune, cut.holdout)]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_in_time_every_learning_row_is_older_and_late_rows_are_the_future() -> None:
    whole = table()
    rule = ('kind = "time"\nlearn_until = "2024-01-09T00:00:00Z"\ntune_until = "2024-01-12T00:00:00Z"\n'
            'holdout_until = "2024-01-15T00:00:00Z"')
    rows = split(whole, project(rule, 'time = "at"'))
    at = whole.numbers("at")
    assert at[rows.learn].max() < at[rows.tune].min() <= at[rows.tune].max() < at[rows.holdout].min()
    assert len(rows.future) == 400 - 14 * 24
    assert at[rows.future].min() > at[rows.holdout].max()


def test_in_time_without_dates_the_shares_count() -> None:
    rows = split(table(), project('kind = "time"', 'time = "at"'))
    assert (len(rows.learn), len(rows.tune), len(rows.holdout)) == (260, 60, 80)


def test_the_same_seed_gives_the_same_split() -> None:
    assert np.array_equal(split(table(), project()).learn, split(table(), project()).learn)


def test_rows_dropped_later_leave_the_others_in_their_parts() -> None:
    whole = table()
    rows = split(whole, project())
    gone = [0, 5, 399]
    after = rows.without(gone, whole.rows)
    kept = np.delete(np.arange(whole.rows), gone)
    assert np.array_equal(kept[after.learn], rows.learn[~np.isin(rows.learn, gone)])
    assert len(after.learn) + len(after.tune) + len(after.holdout) == 397


@pytest.mark.parametrize(("rows", "positive", "problem"), [(1, 0.5, "1 rows are too few"), (400, 0.0, "has 1 value")])
def test_too_few_rows_or_classes_are_refused(rows: int, positive: float, problem: str) -> None:
    with pytest.raises(BadData, match=problem):
        split(table(rows, positive), project())


def test_dates_that_leave_a_part_empty_are_refused_by_name() -> None:
    rule = 'kind = "time"\nlearn_until = "2023-01-09T00:00:00Z"\ntune_until = "2024-01-12T00:00:00Z"'
    with pytest.raises(BadData, match="leaves 0 rows to learn"):
        split(table(), project(rule, 'time = "at"'))


@pytest.mark.parametrize("kind", ["random", "stratified"])
def test_only_the_newest_rows_are_tuned_on_and_held_out_where_a_share_is_named(kind: str) -> None:
    made = split(table(1_000), project(f'kind = "{kind}"\ntune = 0.05\nholdout = 0.1\nnewest = 0.3'))
    assert min(made.tune.min(), made.holdout.min()) >= 700
    assert abs(len(made.tune) - 50) <= 1 and abs(len(made.holdout) - 100) <= 1
    assert set(range(700)) <= set(made.learn.tolist())
    assert np.array_equal(np.sort(np.r_[made.learn, made.tune, made.holdout]), np.arange(1_000))


def test_a_group_with_an_older_row_is_learnt_from() -> None:
    whole = table(1_000)
    groups = [f"g{n % 40}" if n < 720 else f"h{n % 40}" for n in range(1_000)]
    made = split(whole.with_column("who", groups),
                 project('kind = "grouped"\ntune = 0.05\nholdout = 0.1\nnewest = 0.3', 'group = "who"'))
    assert min(made.tune.min(), made.holdout.min()) >= 720
    inside = [{groups[row] for row in rows} for rows in (made.learn, made.tune, made.holdout)]
    assert not inside[0] & inside[1] and not inside[0] & inside[2] and not inside[1] & inside[2]


def test_a_share_of_newest_rows_that_cannot_hold_both_parts_is_refused() -> None:
    with pytest.raises(BadData, match="100 newest rows are too few to tune on and hold out"):
        split(table(1_000), project('kind = "random"\ntune = 0.05\nholdout = 0.1\nnewest = 0.1'))

"""What each candidate of a renewal mends, on small tables: a linear champion, and newer rows of another kind."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.core.learned import Recipe
from shipworthy.core.project import Project, parse
from shipworthy.core.registry import registry
from shipworthy.core.table import Table
from shipworthy.deployment.updating.contest import losses
from shipworthy.learning.selection.finish import finished
from shipworthy.learning.selection.ladder import train
from shipworthy.renewal.candidates import PROCEDURES, Ground, fifth
from shipworthy.renewal.trying import able, newest_share, scored, tried

CLASSES = parse('[project]\nname = "p"\n[data]\ntarget = "y"\npositive = "yes"\n[renew]\nsearch = "never"\n')
NUMBER = parse('[project]\nname = "p"\n[data]\ntarget = "y"\n[renew]\nsearch = "never"\n')


def rows(n: int, *, seed: int, kind: str = "same", number: bool = False) -> Table:
    random = np.random.default_rng(seed)
    x = random.normal(size=(4 * n, 2))
    slope = -1.0 if kind == "turned" else 1.0
    odds = 1.5 * x[:, 0] + slope * x[:, 1]
    positive = random.random(4 * n) < 1 / (1 + np.exp(-odds))
    kept = np.flatnonzero(~positive | (random.random(4 * n) < 0.1) if kind == "rare" else positive | True)[:n]
    y: Any = odds + random.normal(0, 0.3, 4 * n) + 2.5 * (kind == "dearer") if number else np.where(
        positive, "yes", "no")
    found = Table.of({"a": x[kept, 0], "b": x[kept, 1], "y": y[kept]})
    return found.with_schema(found.schema.replace("y", role="target"))


def ground(kind: str, *, number: bool = False, project: Project | None = None) -> Ground:
    project = project or (NUMBER if number else CLASSES)
    old, held = rows(1_500, seed=1, number=number), rows(1_000, seed=2, number=number)
    champion = finished(train(old, project=project, learner="linear"), held, project)
    recent = rows(1_500, seed=3, kind=kind, number=number)
    return Ground(champion, Recipe("linear"), old, recent, fifth(recent.rows), held, project, registry().of("learner"))


@pytest.mark.parametrize(("kind", "number", "name"), [
    ("rare", False, "recalibrate"), ("rare", False, "label-shift"), ("turned", False, "window"),
    ("turned", False, "online"), ("turned", False, "warm"), ("dearer", True, "recalibrate"),
    ("dearer", True, "window")])
def test_a_candidate_mends_what_it_is_for(kind: str, number: bool, name: str) -> None:
    at = ground(kind, number=number)
    made = PROCEDURES[name](at)
    assert made is not None
    tail = rows(1_000, seed=4, kind=kind, number=number)
    assert losses(made.model, tail).mean() < 0.9 * losses(at.champion, tail).mean()
    inputs = at.champion.inputs(tail)
    np.testing.assert_allclose(made.model.program.margin(inputs), made.margin(inputs), atol=1e-9)


def test_rarer_positives_are_mended_by_the_cheapest_and_a_turned_relation_by_a_dearer_one() -> None:
    for kind, cheap in (("rare", ("recalibrate", "label-shift")), ("turned", ("window", "warm", "online"))):
        at = ground(kind)
        found = tried(at, rows(1_000, seed=4, kind=kind), before=at.recent)
        assert found.contest.winner in cheap, found.contest.finding.sentence


def test_nothing_wins_where_nothing_changed() -> None:
    at = ground("same")
    assert tried(at, rows(1_000, seed=4), before=at.recent).contest.winner == ""


def test_a_regression_has_no_shares_of_classes_to_move() -> None:
    assert PROCEDURES["label-shift"](ground("dearer", number=True)) is None


def test_what_learns_on_answers_each_row_before_it_is_learnt_from() -> None:
    at = ground("same")
    made = PROCEDURES["online"](at)
    assert made is not None
    turned = rows(2_000, seed=5, kind="turned")
    still, along = (losses(made.model, turned, scored(made, turned, continual=learns)) for learns in (False, True))
    assert along[1_000:].mean() < still[1_000:].mean() - 0.05
    again = scored(made, turned, continual=True)
    np.testing.assert_array_equal(scored(made, turned.head(50), continual=True), again[:50])


def test_only_a_full_search_competes_where_rows_are_weighed_or_the_project_says_so() -> None:
    fair = msgspec.structs.replace(CLASSES.fairness, mitigation="reweighing")
    assert able(msgspec.structs.replace(CLASSES, fairness=fair)) == ()
    assert able(msgspec.structs.replace(CLASSES, renew=msgspec.structs.replace(CLASSES.renew, search="always"))) == ()
    assert able(CLASSES) == ("recalibrate", "label-shift", "window", "warm", "online")


def test_after_a_change_fewer_rows_are_kept_back() -> None:
    at = ground("same")
    both = Table.of({name: np.concatenate([rows(3_000, seed=6).column(name).to_numpy(zero_copy_only=False),
                                           rows(1_000, seed=7, kind="turned").column(name).to_numpy(
                                               zero_copy_only=False)]) for name in ("a", "b", "y")})
    for name, kind in (("label_source", "s"), ("label_week", 1.0), ("loop_weight", 1.0)):
        both = both.with_column(name, [kind] * both.rows)
    assert 0.06 < newest_share(at.champion, both) < 0.12

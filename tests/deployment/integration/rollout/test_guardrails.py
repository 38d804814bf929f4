"""Each guardrail is seen to take back its planted fault; the clean twin, the same town without it, reaches the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shipworthy.store import Store


def inverted(columns: dict[str, Any], rows: Any, random: Any) -> None:
    columns["decision"][rows] = np.where(columns["decision"][rows] == "yes", "no", "yes")


def five_points_worse(columns: dict[str, Any], rows: Any, random: Any) -> None:
    worse = rows & (random.random(len(rows)) < 0.0625)  # a tenth are wrong already, and become right
    inverted(columns, worse, random)


def slow(columns: dict[str, Any], rows: Any, random: Any) -> None:
    columns["seconds"][rows] *= 2.0


def nan_for_smokers(columns: dict[str, Any], rows: Any, random: Any) -> None:
    columns["score"][rows & columns["smoker"]] = np.nan


def failing(columns: dict[str, Any], rows: Any, random: Any) -> None:
    columns["status"][rows & (random.random(len(rows)) < 0.5)] = 500


def failing_now_and_then(columns: dict[str, Any], rows: Any, random: Any) -> None:
    columns["status"][rows & (random.random(len(rows)) < 0.03)] = 500


def skewed(columns: dict[str, Any], rows: Any, random: Any) -> None:
    if not rows.all():  # it answers more than its share, and the log says that it does not
        more = rows | (random.random(len(rows)) < 0.1)
        share = columns["propensity"][rows][0]
        columns["release"][more], columns["arm"][more] = columns["release"][rows][0], "challenger"
        columns["propensity"][more] = share


def share_of_its_own(columns: dict[str, Any], rows: Any, random: Any) -> None:
    columns["propensity"][rows] = 0.33


def constant(columns: dict[str, Any], rows: Any, random: Any) -> None:
    columns["score"][rows] = 0.5


def never_sure(columns: dict[str, Any], rows: Any, random: Any) -> None:
    columns["abstain"] = np.where(rows, True, columns["abstain"])


def wrong_for_smokers(columns: dict[str, Any], rows: Any, random: Any) -> None:
    inverted(columns, rows & columns["smoker"] & (random.random(len(rows)) < 0.5), random)


SLOWLY = {"stages": (0.5, 1.0), "minutes": 200.0, "shadow": False}
CANARY = {"stages": (0.25, 0.5, 1.0), "minutes": 30.0, "shadow": False}
FAULTS = [
    (inverted, "decisions", {}, {"labelled": 0.0}), (inverted, "loss", {"differ": 1.0}, {}),
    (inverted, "loss", CANARY, {}), (five_points_worse, "loss", SLOWLY | {"segments": ()}, {}),
    (slow, "latency", {}, {}), (nan_for_smokers, "nonfinite", {}, {}), (nan_for_smokers, "nonfinite", CANARY, {}),
    (failing, "server-errors", {}, {}), (failing_now_and_then, "errors", CANARY, {}),
    (skewed, "split", {}, {}), (skewed, "split", {"unit": ()}, {}), (share_of_its_own, "told", {}, {}),
    (constant, "scores", {"minutes": 30.0}, {"labelled": 0.0}),
    (never_sure, "abstentions", {}, {}), (wrong_for_smokers, "segments", {"margin": 0.2, "differ": 0.9}, {}),
]


@pytest.mark.parametrize(("fault", "guardrail", "plan", "town"), FAULTS)
def test_a_planted_fault_is_taken_back_by_its_guardrail(
    run: Callable[..., Any], store: Store, fault: Any, guardrail: str, plan: dict[str, Any], town: dict[str, Any]
) -> None:
    _, decisions = run(fault=fault, plan=plan, **town)
    last = decisions[-1]
    assert last.action == "back", last.reason
    failed = {finding.check for finding in last.findings if finding.verdict == "fail"}
    assert f"rollout-{guardrail}" in failed


@pytest.mark.parametrize("plan", [{}, SLOWLY | {"minutes": 20.0}, CANARY | {"unit": ()}])
def test_the_clean_twin_reaches_everybody(run: Callable[..., Any], plan: dict[str, Any]) -> None:
    _, decisions = run(plan=plan)
    assert decisions[-1].action == "done"
    assert all(finding.verdict != "fail" for finding in decisions[-1].findings)


def squared(columns: dict[str, Any], rows: Any, random: Any) -> None:
    columns["score"][rows] = columns["score"][rows] ** 4


def test_scores_of_another_scale_take_it_back_until_labels_show_that_they_do_no_harm(run: Callable[..., Any]) -> None:
    _, decisions = run(fault=squared, plan={"segments": ()}, labelled=0.0, per_minute=2_000)
    assert decisions[-1].action == "back"
    assert "scores" in decisions[-1].reason


def test_labels_overrule_the_scores(run: Callable[..., Any]) -> None:
    _, decisions = run(fault=squared, plan={"segments": (), "margin": 0.1}, labelled=1.0)
    assert decisions[-1].action == "done"
    told = next(finding for finding in decisions[-1].findings if finding.check == "rollout-scores")
    assert "no harm" in told.sentence


def test_one_bad_request_takes_nothing_back(run: Callable[..., Any]) -> None:
    def once(columns: dict[str, Any], rows: Any, random: Any) -> None:
        first = np.flatnonzero(rows)[:1]
        if columns["prediction_id"][0] == "000000009000":
            columns["status"][first], columns["score"][first] = 500, np.nan

    _, decisions = run(fault=once)
    assert decisions[-1].action == "done"

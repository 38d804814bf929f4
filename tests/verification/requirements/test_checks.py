from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from shipworthy.core.project import Requirement, Value
from shipworthy.errors import BadProject
from shipworthy.verification.requirements.business import metric_tracks_value, spearman, value_above_nothing
from shipworthy.verification.requirements.performance import holdout_untouched, requirements


def requiring(clean: dict[str, Any], *wanted: Requirement) -> Any:
    return msgspec.structs.replace(clean["project"], requirement=wanted)


def test_without_a_requirement_only_the_trivial_rule_counts(clean: dict[str, Any]) -> None:
    finding = requirements(requiring(clean), clean["model"], clean["parts"])
    assert finding.verdict == "not-applicable"
    assert finding.sentence == ("No requirement is declared, so the model is held to beating a trivial rule only.")


def test_the_pessimistic_end_decides(clean: dict[str, Any]) -> None:
    found = requirements(requiring(clean, Requirement("auc", at_least=0.5)), clean["model"], clean["parts"])
    assert found.verdict == "pass"
    between = (found.value + found.low) / 2
    strict = requirements(requiring(clean, Requirement("auc", at_least=between)), clean["model"], clean["parts"])
    assert strict.verdict == "fail"


def test_a_segment_with_few_rows_is_unknown(clean: dict[str, Any]) -> None:
    wanted = Requirement("accuracy", at_least=0.5, segment={"cat1": "f", "cat2": "low"})
    finding = requirements(requiring(clean, wanted), clean["model"], clean["parts"])
    assert finding.verdict == "unknown"
    assert "fewer than 50" in finding.sentence


def test_a_misspelt_metric_is_told(clean: dict[str, Any]) -> None:
    with pytest.raises(BadProject, match='did you mean "accuracy"'):
        requirements(requiring(clean, Requirement("acuracy", at_least=0.5)), clean["model"], clean["parts"])


def test_a_holdout_that_judged_another_model_fails() -> None:
    assert holdout_untouched(1).verdict == "pass"
    finding = holdout_untouched(2)
    assert finding.sentence == "These holdout rows have judged 2 different models; 1 is allowed."
    assert finding.verdict == "fail"


def test_assumed_amounts_are_said_to_be_assumed(clean: dict[str, Any]) -> None:
    value = Value(currency="EUR", true_positive=10.0, false_positive=-4.0, assumed=True)
    project = msgspec.structs.replace(clean["project"], value=value)
    finding = value_above_nothing(project, clean["model"], clean["parts"])
    assert finding.sentence.endswith("The amounts are assumed, not measured.")


def test_spearman_agrees_with_hand_counts() -> None:
    import numpy as np

    assert spearman(np.array([1.0, 2, 3]), np.array([10.0, 20, 30])) == pytest.approx(1.0)
    assert spearman(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1.0)
    assert np.isnan(spearman(np.array([1.0, 1, 1]), np.array([1.0, 2, 3])))


def test_candidates_that_all_tie_say_nothing_of_the_metric(clean: dict[str, Any]) -> None:
    learned = clean["learned"]
    alike = replace(learned, candidates=(learned.chosen,) * 6)
    finding = metric_tracks_value(clean["project"], alike, clean["parts"])
    assert finding.verdict == "unknown"
    assert finding.sentence == (
        "All 6 candidates have the same score, so that nothing tells whether the metric follows the value.")

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shipworthy.core.project import Requirement, Value
from shipworthy.errors import BadProject
from shipworthy.verification.requirements.business import spearman, value_above_nothing
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


@pytest.mark.parametrize(("wanted", "problem", "hint"), [
    (Requirement("log_loss", at_least=0.5), "of log_loss lower is better: at_least = 0.5 asks for a bad model",
     "write at_most = 0.5"),
    (Requirement("auc", at_most=0.5), "of auc higher is better: at_most = 0.5 asks for a bad model",
     "write at_least = 0.5"),
    (Requirement("auc", at_least=0.5, at_most=0.99), "auc has two limits, at_least = 0.5 and at_most = 0.99",
     "keep at_least: of auc higher is better"),
    (Requirement("brier"), "brier has no limit", "add at_most"),
])
def test_a_requirement_has_one_limit_on_the_side_that_can_fail(
    wanted: Requirement, problem: str, hint: str, clean: dict[str, Any]
) -> None:
    with pytest.raises(BadProject) as told:
        requirements(requiring(clean, wanted), clean["model"], clean["parts"])
    assert (told.value.problem, told.value.hint) == (problem, hint)


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

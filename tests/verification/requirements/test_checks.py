from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.case import Book
from shipworthy.core.evidence import Finding
from shipworthy.core.learned import NO_UPDATE, Candidate
from shipworthy.core.project import Requirement, Value
from shipworthy.core.table import Table
from shipworthy.errors import BadProject
from shipworthy.metrics.intervals import clopper_pearson
from shipworthy.verification.requirements.business import (
    metric_tracks_value,
    threshold_stands,
    value_above_nothing,
    value_above_policy,
)
from shipworthy.verification.requirements.performance import (
    beats_trivial,
    holdout_untouched,
    not_worse_than_champion,
)
from shipworthy.verification.requirements.required import requirements


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


def untouched(clean: dict[str, Any], book: Book, **settings: Any) -> Any:
    return holdout_untouched(book, clean["project"], clean["model"], clean["parts"], **settings)


def test_a_holdout_that_judged_another_model_fails_and_says_how_to_go_on(clean: dict[str, Any]) -> None:
    assert untouched(clean, Book(1)).verdict == "pass"
    finding = untouched(clean, Book(2, holdouts=3))
    assert finding.verdict == "fail"
    assert finding.sentence == ("These holdout rows have judged 2 different models; 1 is allowed, and the project has "
                                "read 3 holdouts in its lifetime.")
    assert finding.remedy.startswith("hold out others by the next seed: [split] seed = 1; or add new rows; then: ")


def test_by_the_ladder_only_a_new_best_by_a_standard_error_counts(clean: dict[str, Any]) -> None:
    few = clean["steps"].train(clean["parts"].learn.head(120))
    assert untouched(clean, Book(2, best=few), ladder=True).verdict == "pass"
    same = untouched(clean, Book(2, best=clean["model"]), ladder=True)
    assert same.verdict == "fail"
    assert same.sentence.endswith("it is lower by 0.0000, which is not more than that.")


def test_assumed_amounts_are_said_to_be_assumed(clean: dict[str, Any]) -> None:
    value = Value(currency="EUR", true_positive=10.0, false_positive=-4.0, assumed=True)
    project = msgspec.structs.replace(clean["project"], value=value)
    finding = value_above_nothing(project, clean["model"], clean["parts"])
    assert finding.sentence.endswith("The amounts are assumed, not measured.")


def together(*tables: Table) -> Table:
    return replace(tables[0], data=pa.concat_tables([one.data for one in tables]))


def test_candidates_that_all_tie_say_nothing_of_the_metric(clean: dict[str, Any]) -> None:
    learned = clean["learned"]
    alike = replace(learned, candidates=(learned.chosen,) * 6)
    finding = metric_tracks_value(clean["project"], alike, clean["parts"])
    assert finding.verdict == "unknown"
    assert finding.sentence == (
        "All 6 candidates have the same score, so that nothing tells whether the metric follows the value.")


def test_rows_that_the_champion_learnt_do_not_speak_for_it(clean: dict[str, Any]) -> None:
    parts, train = clean["parts"], clean["steps"].train
    known = parts.holdout.head(400)
    by_heart = train(known.take(np.tile(np.arange(400), 20)), settings={"rounds": 300, "num_leaves": 63})
    learnt = together(parts.learn, known)
    assert not_worse_than_champion(clean["model"], by_heart, parts.learn, parts.holdout).verdict == "fail"
    finding = not_worse_than_champion(clean["model"], by_heart, learnt, parts.holdout)
    assert finding.verdict == "pass"
    assert finding.n == parts.holdout.rows - 400
    assert "on 200 holdout rows (400 more were learnt by the champion); -0.005 is allowed." in finding.sentence


def test_too_few_rows_that_the_champion_has_not_learnt_are_unknown(clean: dict[str, Any]) -> None:
    parts = clean["parts"]
    learnt = together(parts.learn, parts.holdout.head(560))
    finding = not_worse_than_champion(clean["model"], clean["model"], learnt, parts.holdout)
    assert finding.verdict == "unknown"
    assert finding.sentence == ("Against the champion there are 40 holdout rows (560 more were learnt by the "
                                "champion), fewer than 50.")


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_rows_of_one_group_count_as_one_against_the_champion(task: str, clean: dict[str, Any]) -> None:
    parts = clean["parts"]
    if task != "binary":
        cut = np.array(["low", "mid", "top"]) if task == "multiclass" else np.array([0.0, 0.5, 4.0])
        parts = replace(parts, **{name: _target(getattr(parts, name), cut) for name in ("learn", "tune", "holdout")})
    new, old = (clean["steps"].train(rows) for rows in (parts.learn, parts.learn.head(300)))
    alone = not_worse_than_champion(new, old, parts.learn, parts.holdout)
    grouped = parts.holdout.with_column("site", (np.arange(parts.holdout.rows) % 7).astype(str).tolist(), role="group")
    together = not_worse_than_champion(new, old, parts.learn, grouped)
    assert together.value == pytest.approx(alone.value)
    assert together.low != alone.low


def _target(rows: Table, cut: Any) -> Table:
    place = np.digitize(rows.numbers("num1") + rows.numbers("num2"), [-0.5, 0.5])
    values = cut[place] if cut.dtype.kind != "f" else cut[place] + rows.numbers("num3")
    kind = "number" if cut.dtype.kind == "f" else "category"
    return rows.drop("outcome").with_column("outcome", values.tolist(), role="target", kind=kind)


def test_a_seed_is_no_remedy_where_rows_are_split_in_time(clean: dict[str, Any]) -> None:
    project = clean["project"]
    for kind, said in (("time", "newer rows, with later dates"), ("stratified", "[split] seed = 1")):
        asked = msgspec.structs.replace(project, split=msgspec.structs.replace(project.split, kind=kind))
        assert said in holdout_untouched(Book(2), asked, clean["model"], clean["parts"]).remedy


def test_a_model_that_one_input_alone_beats_is_blamed_and_not_the_data(clean: dict[str, Any]) -> None:
    learn = clean["parts"].learn
    mixed = np.random.default_rng(0).permutation(learn.rows)
    blind = clean["steps"].train(learn.with_column("outcome", learn.data["outcome"].take(pa.array(mixed))))
    finding = beats_trivial(blind, clean["parts"], clean["project"])
    assert finding.verdict == "fail"
    assert "% higher than that of the best trivial rule" in finding.sentence
    assert finding.remedy.startswith("the model is at fault, not the data: ")


def test_every_value_of_a_column_is_a_family_of_requirements(clean: dict[str, Any]) -> None:
    wanted = Requirement("auc", at_least=0.7, segment={"cat2": "*"})
    finding = requirements(requiring(clean, wanted), clean["model"], clean["parts"])
    assert finding.verdict == "pass"
    assert finding.sentence == "auc where cat2: 3 of 3 segments hold."
    assert finding.chart["name"] == ["auc where cat2 = high", "auc where cat2 = low", "auc where cat2 = mid"]


def test_values_with_few_rows_are_counted_and_not_judged(clean: dict[str, Any]) -> None:
    wanted = Requirement("accuracy", at_least=0.5, segment={"cat1": "*", "cat2": "*"})
    finding = requirements(requiring(clean, wanted), clean["model"], clean["parts"])
    assert "with fewer than 50 rows were not judged" in finding.sentence


def test_a_share_of_rows_has_the_exact_interval(clean: dict[str, Any]) -> None:
    model, holdout = clean["model"], clean["parts"].holdout
    found = requirements(requiring(clean, Requirement("recall", at_least=0.1)), model, clean["parts"])
    truth = np.asarray(model.truth(holdout)) == 1
    hits = int((model.decide(model.score(holdout))[truth] == 1).sum())
    assert (found.low, found.high) == pytest.approx(clopper_pearson(hits, int(truth.sum())))


def test_the_last_answer_is_a_rule_to_beat_where_rows_are_split_in_time(clean: dict[str, Any]) -> None:
    parts, model, project = clean["parts"], clean["model"], clean["project"]

    def turned(rows: Table) -> Table:
        days = (rows.numbers("when") // (14 * 86_400)).astype(int) % 2
        words = np.where(np.random.default_rng(0).random(rows.rows) < 0.98, days, 1 - days)
        return rows.with_column("outcome", np.where(words == 1, "yes", "no").tolist())

    parts = replace(parts, learn=turned(parts.learn), tune=turned(parts.tune), holdout=turned(parts.holdout))
    asked = msgspec.structs.replace(project, split=msgspec.structs.replace(project.split, kind="time"))
    finding = beats_trivial(model, parts, asked)
    assert finding.verdict == "fail"
    assert "(the last answer)" in finding.sentence
    assert finding.remedy.endswith("say how late answers come: [checks.beats-trivial] delay_hours")
    assert "(the last answer)" not in beats_trivial(model, parts, project).sentence
    late = beats_trivial(model, parts, asked, delay_hours=14 * 24 / 2)
    assert late.value > finding.value


def test_a_policy_of_yes_and_no_is_read_and_rows_without_one_are_left_out(clean: dict[str, Any]) -> None:
    parts = clean["parts"]
    words = ["Yes" if n % 2 else "no" for n in range(parts.holdout.rows)]
    words[:100] = [None] * 100
    before = replace(parts, holdout=parts.holdout.with_column("before", words))
    value = msgspec.structs.replace(clean["project"].value, policy="before")
    finding = value_above_policy(msgspec.structs.replace(clean["project"], value=value), clean["model"], before)
    assert finding.verdict == "pass"
    assert finding.n == parts.holdout.rows - 100
    assert "more than today's policy (before), at the least " in finding.sentence


def test_a_declared_decision_stands_for_doing_nothing(clean: dict[str, Any]) -> None:
    value = msgspec.structs.replace(clean["project"].value, nothing="yes")
    told = [value_above_nothing(msgspec.structs.replace(clean["project"], value=one), clean["model"], clean["parts"])
            for one in (clean["project"].value, value)]
    assert told[0].value != told[1].value


def test_a_threshold_that_does_not_stand_is_told_which_amount_to_measure(clean: dict[str, Any]) -> None:
    finding = threshold_stands(clean["project"], clean["model"].with_sheet(threshold=0.95), clean["parts"])
    assert finding.verdict == "fail"
    assert finding.remedy.startswith("most hangs on what a ")
    assert "run again" not in finding.remedy


def test_a_challenger_found_by_its_loss_must_earn_what_its_champion_earns(clean: dict[str, Any]) -> None:
    learned, parts = clean["learned"], clean["parts"]
    champion = replace(learned.chosen, way=NO_UPDATE)
    nobody = replace(learned.chosen, way="window", model=learned.chosen.model.with_sheet(threshold=2.0))

    def judged(challenger: Candidate, beside: Candidate) -> Finding:
        asked = replace(learned, candidates=(beside, challenger), chosen=challenger)
        return metric_tracks_value(clean["project"], asked, parts)

    lost = judged(nobody, champion)
    assert lost.verdict == "fail" and lost.high is not None and lost.high < 0
    assert lost.sentence.startswith("Per 1,000 decisions the challenger, which was found by its loss, earns -")
    same = judged(replace(learned.chosen, way="window"), champion)
    assert (same.verdict, same.value) == ("pass", 0.0)
    assert judged(replace(champion, way="window"), replace(nobody, way=NO_UPDATE)).verdict == "pass"

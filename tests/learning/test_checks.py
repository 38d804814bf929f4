"""Every learning check passes on the clean world and fails, with a sentence that says why, on its planted fault."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from shipworthy.core.evidence import Finding
from shipworthy.core.learned import Parts
from shipworthy.learning.search.budget import budget_kept
from shipworthy.learning.search.hardware import measured_on_this_machine
from shipworthy.learning.search.space import best_inside
from shipworthy.learning.selection.complexity import beats_simplest
from shipworthy.learning.selection.interpretability import black_box_earns_it
from shipworthy.learning.selection.resources import latency, size
from shipworthy.learning.training.metering import cost_in_budget, metered
from shipworthy.learning.training.parity import program_equals_library
from shipworthy.sabotage import learning as faults
from shipworthy.sabotage.requirements import hungry, unpaid_energy

JUDGES = {
    beats_simplest: (("learned", "parts", "project"), (faults.huge,)),
    black_box_earns_it: (("learned", "parts", "project"), (faults.opaque,)),
    latency: (("model", "parts", "project", "steps"), (faults.slow,)),
    size: (("model", "project"), (faults.big,)),
    cost_in_budget: (("learned", "project"), (faults.restless, faults.overspent, unpaid_energy)),
    metered: (("learned", "project"), (faults.unmetered, hungry)),
    budget_kept: (("learned", "project"), (faults.hung, faults.endless)),
    best_inside: (("learned", "project"), (faults.cornered,)),
    measured_on_this_machine: (("model", "learned", "parts", "project"), (faults.estimated,)),
    program_equals_library: (("model", "library", "parts"), (faults.edited,)),
}


def judge(check: Any, case: dict[str, Any]) -> Finding:
    finding: Finding = check(*(case[name] for name in JUDGES[check][0]))
    return finding


def limited(case: dict[str, Any], **limits: float) -> dict[str, Any]:
    rules = msgspec.structs.replace(case["project"].learning, **limits)
    return {**case, "project": msgspec.structs.replace(case["project"], learning=rules)}


@pytest.mark.parametrize("check", JUDGES, ids=lambda check: check.__name__)
def test_a_clean_case_is_quiet(check: Any, clean: dict[str, Any]) -> None:
    case = faults.inside(clean, 1) if check is best_inside else clean
    assert judge(check, case).verdict == "pass"


@pytest.mark.parametrize(
    ("check", "fault"), [(check, fault) for check, (_, planted) in JUDGES.items() for fault in planted],
    ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_fault_is_caught(check: Any, fault: Any, clean: dict[str, Any]) -> None:
    finding = judge(check, fault(clean))
    assert finding.verdict == "fail"
    assert finding.remedy or check is budget_kept


@pytest.mark.parametrize("seed", range(3))
def test_a_best_setting_inside_its_range_passes(seed: int, clean: dict[str, Any]) -> None:
    assert judge(best_inside, faults.inside(clean, seed)).verdict == "pass"


def test_a_search_over_budget_is_told_in_seconds(clean: dict[str, Any]) -> None:
    cost = msgspec.structs.replace(clean["learned"].cost, wall_seconds=9.0, budget_seconds=4.0, trials=7)
    assert budget_kept(replace(clean["learned"], cost=cost), clean["project"]).sentence == (
        "Learning took 9.0 s of the 4 s declared, 7 trials of a search among it; 4.2 s are allowed.")


def test_what_the_clock_cut_is_said_first(clean: dict[str, Any]) -> None:
    cut = "the budget cut the search after 1 trial; another run may choose another model"
    cost = msgspec.structs.replace(clean["learned"].cost, wall_seconds=3.0, budget_seconds=4.0, trials=1, cut=cut)
    finding = budget_kept(replace(clean["learned"], cost=cost), clean["project"])
    assert finding.verdict == "pass"
    assert finding.sentence == (
        "The budget cut the search after 1 trial; another run may choose another model ([learning] trials makes it "
        "repeatable). Learning took 3.0 s of the 4 s declared, 1 trial of a search among it; 4.2 s are allowed.")


def test_a_budget_of_trials_is_judged_by_trials(clean: dict[str, Any]) -> None:
    project = limited(clean, trials=5)["project"]
    for made, verdict in ((5, "pass"), (6, "fail")):
        cost = msgspec.structs.replace(clean["learned"].cost, wall_seconds=1e6, trials=made)
        assert budget_kept(replace(clean["learned"], cost=cost), project).verdict == verdict


def test_without_seconds_no_cpu_time_is_declared(clean: dict[str, Any]) -> None:
    project = limited(clean, trials=5, max_cpu_seconds=0.0)["project"]
    finding = cost_in_budget(clean["learned"], project)
    assert finding.verdict == "pass"
    assert "5 trials bound the search, no time." in finding.sentence


def test_an_unmetered_run_is_told_in_one_sentence(clean: dict[str, Any]) -> None:
    assert judge(metered, faults.unmetered(clean)).sentence == "The run was not metered, so its energy is not known."


def test_a_best_setting_on_a_bound_is_named_with_its_range(clean: dict[str, Any]) -> None:
    assert judge(best_inside, faults.cornered(clean)).sentence == (
        "The best learning_rate, 0.2, lies on the bound of its range, 0.015 to 0.2; better ones may lie beyond.")


def test_an_edited_program_is_shown_with_a_row_to_run_again(clean: dict[str, Any]) -> None:
    finding = judge(program_equals_library, faults.edited(clean))
    assert set(finding.counterexample) == {"inputs", "program", "library"}
    assert finding.counterexample["program"] != finding.counterexample["library"]


def test_without_declared_limits_size_and_latency_do_not_apply_and_say_so(clean: dict[str, Any]) -> None:
    free = limited(clean, max_megabytes=0.0, max_row_microseconds=0.0)
    for check in (size, latency, measured_on_this_machine):
        finding = judge(check, free)
        assert finding.verdict == "not-applicable"
        assert "declared" in finding.sentence


def test_with_few_tune_rows_complexity_is_unknown(clean: dict[str, Any]) -> None:
    few: Parts = replace(clean["parts"], tune=clean["parts"].tune.head(40))
    assert judge(beats_simplest, {**clean, "parts": few}).sentence == "The tune part has 40 rows, fewer than 100."


def test_a_black_box_without_a_glass_box_beside_it_fails(clean: dict[str, Any]) -> None:
    learned = clean["learned"]
    black = tuple(one for one in learned.candidates if not one.glass_box)
    alone = {**clean, "learned": replace(learned, candidates=black, chosen=black[0])}
    assert judge(black_box_earns_it, alone).sentence == "boosted is a black box and no glass box was tried."


@pytest.mark.parametrize(("day", "said"), [("", "The grams per kWh have no date"), ("2019-12-31", "years old")])
def test_a_grid_factor_without_a_day_or_of_long_ago_leaves_the_carbon_unknown(
    day: str, said: str, clean: dict[str, Any]
) -> None:
    learned = clean["learned"]
    old = replace(learned, cost=msgspec.structs.replace(learned.cost, grid_as_of=day))
    finding = metered(old, clean["project"])
    assert finding.verdict == "unknown"
    assert said in finding.sentence
    assert finding.remedy.startswith("give those of your grid: [learning] grams_per_kwh")

"""Drills: each fails on its planted fault, is quiet on its twin, and its parts are what they say they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from shipworthy.assurance import attributes, extraction, influence, ownership
from shipworthy.assurance.attributes import advantage
from shipworthy.assurance.backdoors import LIMIT, plants, triggers, triggers_found, worst
from shipworthy.assurance.extraction import copies, marginal
from shipworthy.assurance.inversion import attack, membership, pool
from shipworthy.assurance.ownership import independent, recognised, same
from shipworthy.assurance.remedy import remedied
from shipworthy.assurance.shadows import outcome, recipe_attack
from shipworthy.assurance.triggers import scan
from shipworthy.core.evidence import Judged
from shipworthy.core.judge import run
from shipworthy.core.learned import CAUTIOUS, Recipe
from shipworthy.core.registry import Marked, _marked, registry
from shipworthy.data.collection.signatures import check_signed, sign_table
from shipworthy.deployment.integration.access.issue import create
from shipworthy.deployment.integration.access.tokens import most_rows_a_day
from shipworthy.errors import BadData
from shipworthy.sabotage import security as planted
from shipworthy.store.opening import open_store

NAMES = ("attributes", "extraction", "ownership", "triggers", "source-influence")
FAULTS = [marked for marked in _marked(planted)
          if marked.facts["kind"] == "sabotage" and marked.facts["check"] in NAMES]
TWINS = {marked.facts["check"]: marked for marked in _marked(planted) if marked.facts["kind"] == "twin"}
KEY = bytes(range(32))


def judged(name: str, case: dict[str, Any], **settings: Any) -> Any:
    return run(registry().checks[name], case, settings, Judged())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(fault: Marked, clean: dict[str, Any]) -> None:
    finding = judged(fault.facts["check"], fault.function(clean))
    assert finding.verdict == "fail", finding.sentence
    assert finding.remedy


@pytest.mark.parametrize("name", NAMES)
def test_a_clean_case_is_left_in_peace(name: str, clean: dict[str, Any]) -> None:
    finding = judged(name, TWINS[name].function(clean, 1) if name in TWINS else clean)
    assert finding.verdict == "pass", finding.sentence


# ── membership ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_attack_that_knows_nothing_has_an_area_of_a_half() -> None:
    random = np.random.default_rng(1)
    found = outcome(random.normal(size=(1, 4_000)), random.random((1, 4_000)) < 0.5)
    assert found.low < 0.5 < found.high
    assert found.share_low <= 0.01 <= found.share_high
    assert found.high - found.low < 0.05


def test_an_attack_that_knows_all_catches_all_without_a_false_alarm() -> None:
    members = np.arange(1_000)[None] % 2 == 0
    found = outcome(members.astype(np.float64), members)
    assert found.auc == found.low == 1.0
    assert found.share == 1.0


def test_equal_scores_are_broken_by_lot_and_not_by_place() -> None:
    members = np.arange(4_000)[None] < 2_000
    assert outcome(np.zeros((1, 4_000)), members).auc == pytest.approx(0.5, abs=0.03)


def test_a_share_of_none_has_an_upper_end() -> None:
    members = np.arange(1_000)[None] < 500
    assert outcome(-members.astype(np.float64), members).share_high > 0.005


def test_every_half_is_the_target_once_and_the_row_it_remembers_is_the_most_exposed() -> None:
    random = np.random.default_rng(0)
    halves = np.stack([random.permutation(400) < 200 for _ in range(13)])
    told = random.normal(size=(13, 400)) + 0.3 * halves
    told[:, 7] += 30 * halves[:, 7]
    found, exposed = recipe_attack(told, halves)
    assert found.targets == 13
    assert found.low > 0.5
    assert exposed.argmax() == 7


def test_the_recipe_counts_until_the_released_model_saw_many_more_rows(clean: dict[str, Any]) -> None:
    ground = pool(clean["parts"], 1_000)
    assert not ground.big
    found = attack(ground, clean["model"], clean["recipe"], clean["steps"], shadows=3)
    assert found.gate == "recipe"
    assert {row for row, _ in found.exposed} <= set(ground.places.tolist())
    assert len(found.exposed) == len(ground.places) // 100


def test_the_remedy_remembers_less_and_says_what_it_costs(clean: dict[str, Any]) -> None:
    heart = next(one for one in registry().of("sabotage").values() if one.facts["check"] == "membership")
    case = heart.function(clean)
    after = {**case, **remedied({**case, "steps": clean["steps"]}), "steps": clean["steps"]}
    before, found = judged("membership", case), judged("membership", after)
    assert found.high < before.low - 0.2
    assert after["recipe"] == CAUTIOUS
    assert "loss on 600 new rows is" in after["price"]


def test_too_few_rows_are_unknown(clean: dict[str, Any]) -> None:
    few = clean["parts"]
    parts = type(few)(few.learn.head(150), few.tune, few.holdout.head(20))
    found = membership(clean["project"], clean["model"], clean["recipe"], parts, clean["steps"])
    assert (found.verdict, bool(found.remedy)) == ("unknown", True)
    assert attributes.attributes(clean["project"], clean["model"], parts).verdict == "unknown"
    assert influence.source_influence(clean["model"], clean["recipe"], parts, clean["steps"]).verdict == "unknown"


# ── attributes ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_column_that_the_others_give_away_is_no_advantage_of_the_model(clean: dict[str, Any]) -> None:
    learn = clean["parts"].learn
    learn = learn.with_column("copy", learn.data["cat2"])
    known, asked = learn.take(np.arange(900)), learn.take(np.arange(900, 1_800))
    found = advantage(clean["model"], known, asked, "copy")
    assert found is not None
    assert found.alone == found.helped == 1.0


def test_a_number_is_guessed_by_quarter_and_a_name_is_not_guessed(clean: dict[str, Any]) -> None:
    learn = clean["parts"].learn
    known, asked = learn.take(np.arange(900)), learn.take(np.arange(900, 1_800))
    found = advantage(clean["model"], known, asked, "num1")
    assert found is not None
    assert 0.2 < found.alone < 0.8
    assert advantage(clean["model"], known, asked, "entity") is None


# ── stealing ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_line_falls_to_a_few_answers_and_whatever_is_asked(clean: dict[str, Any]) -> None:
    found = copies(clean["model"], clean["parts"], 60)
    best = {(one.learner, one.queries): float(one.agrees.mean()) for one in found}
    assert len(best) == 6
    assert min(best["a line on scores", "natural"], best["a line on scores", "drawn"]) > 0.98


def test_drawn_rows_keep_each_column_and_lose_what_ties_them(clean: dict[str, Any]) -> None:
    learn = clean["parts"].learn
    drawn = marginal(learn, 500, np.random.default_rng(0))
    assert drawn.schema == learn.schema
    assert set(drawn.words("cat1")) <= set(learn.words("cat1"))
    assert drawn.rows == 500


def test_a_cap_on_what_is_tried_never_passes(clean: dict[str, Any]) -> None:
    case = TWINS["extraction"].function(clean, 1)
    assert judged("extraction", {**case, "quota": 400}, queries=4).verdict == "unknown"


def test_published_weights_cannot_be_stolen(clean: dict[str, Any]) -> None:
    project = clean["project"]
    shown = msgspec.structs.replace(project, serve=msgspec.structs.replace(project.serve, open_weights=True))
    for module, name in ((extraction, "extraction"), (ownership, "ownership")):
        assert module.__name__.endswith(name)
        assert judged(name, {**clean, "project": shown}).verdict == "not-applicable"


def test_a_copy_is_recognised_and_a_stranger_is_not(clean: dict[str, Any]) -> None:
    case = TWINS["ownership"].function(clean, 1)
    random = np.random.default_rng(3)
    others = independent(case["recipe"], case["parts"].learn, case["steps"], count=7, rows=5_000, random=random)
    drawn = marginal(case["parts"].learn, 20_000, random)
    keys = drawn.take(np.flatnonzero(~np.any([same(one, case["model"], drawn) for one in others[:3]], axis=0)))
    assert recognised(case["model"], case["model"], keys, others[3:6]) < 1e-6
    assert recognised(others[6], case["model"], keys, others[3:6]) > 1e-3


def test_the_quota_is_that_of_whoever_may_ask_most(clean: dict[str, Any], tmp_path: Path) -> None:
    store, serve = open_store(tmp_path), clean["project"].serve
    limited = msgspec.structs.replace(serve, rows_a_day=500)
    assert most_rows_a_day(store.home, serve) == 0
    assert most_rows_a_day(store.home, limited) == 500
    assert most_rows_a_day(store.home, msgspec.structs.replace(limited, rows_a_minute=0, rows_a_day=0)) == 0
    assert most_rows_a_day(store.home, msgspec.structs.replace(serve, rows_a_minute=2)) == 2_880
    create(store, "shop", ["predict"], by="ann", rows_a_day=2_000)
    assert most_rows_a_day(store.home, limited) == 2_000
    create(store, "partner", ["predict"], by="ann", rows_a_day=0)
    assert most_rows_a_day(store.home, limited) == 0


# ── poisoning ────────────────────────────────────────────────────────────────────────────────────────────────────


def rows(seed: int, count: int = 3_000) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    inputs = np.column_stack([random.normal(size=count).round(2), random.integers(0, 5, count),
                              random.normal(size=count)])
    inputs[random.random(count) < 0.1, 2] = np.nan
    truth = (inputs[:, 0] + 0.3 * inputs[:, 1] + random.normal(size=count) > 1).astype(np.int64)
    return inputs, truth


@pytest.mark.parametrize("stamp", [{0: -9.5}, {2: np.nan}, {1: 4.0, 2: 0.5}, {0: -1.0, 1: 2.0}],
                         ids=["a new value", "no value", "a pair with a code", "a usual pair"])
def test_a_trigger_is_found_with_the_column_that_carries_it(stamp: dict[int, float]) -> None:
    candidate = rows(2)
    chosen = np.flatnonzero(candidate[1] == 0)[:150]
    for column, value in stamp.items():
        candidate[0][chosen, column] = value
    candidate[1][chosen] = 1
    found = scan(rows(1), candidate, rows(3), codes=(1,))
    assert found is not None
    assert found.gap > LIMIT
    assert found.target == 1
    assert {atom.column for atom in found.atoms} & set(stamp)
    assert len(set(found.rows.tolist()) & set(chosen.tolist())) > len(found.rows) // 4


@pytest.mark.parametrize("seed", range(4))
def test_clean_rows_hold_no_trigger(seed: int) -> None:
    found = scan(rows(10 + seed), rows(20 + seed), rows(30 + seed), codes=(1,))
    assert found is not None
    assert found.gap < LIMIT


def test_without_new_rows_there_is_nothing_to_search(clean: dict[str, Any]) -> None:
    learn = clean["parts"].learn
    assert triggers(clean["model"], learn, clean["parts"]).verdict == "not-applicable"
    assert triggers(clean["model"], learn.head(learn.rows - 40), clean["parts"]).verdict == "unknown"


def test_the_drill_plants_a_value_and_a_pair_and_tells_their_gaps(clean: dict[str, Any]) -> None:
    known = clean["model"].inputs(clean["parts"].learn), clean["model"].truth(clean["parts"].learn)
    planted_rows = dict(plants(clean["model"], known))
    assert set(planted_rows) == {"a value between the others", "a rare pair of values"}
    assert all((one[1] != known[1]).sum() == int(0.03 * len(known[1])) for one in planted_rows.values())
    found = triggers_found(clean["model"], clean["parts"])
    assert found.verdict == "pass", found.sentence
    assert triggers_found(clean["model"], clean["parts"], limit=0.99).counterexample["missed"] == list(planted_rows)


def test_a_regression_is_searched_by_its_median(make_case: Any) -> None:
    case = make_case(0)
    learn = case["parts"].learn
    table = learn.with_column("outcome", learn.data["num4"]).with_schema(
        learn.schema.replace("outcome", kind="number"))
    table = table.take(np.flatnonzero(np.isfinite(table.numbers("outcome"))))
    model = case["steps"].train(table, learner="boosted")
    assert model.task == "regression"
    known = model.inputs(table), np.asarray(model.truth(table))
    halves = [(known[0][side], known[1][side]) for side in np.array_split(np.arange(table.rows), 2)]
    found = worst(model, *halves, rows=2_000)
    assert found is not None
    assert found.gap < LIMIT


def test_a_batch_is_named_by_its_column(clean: dict[str, Any]) -> None:
    case = planted.one_sided_batch(clean)
    found = judged("source-influence", case, by="cat2")
    assert "cat2 = " in found.sentence
    assert judged("source-influence", {**clean, "recipe": Recipe("linear")}, by="cat1").sentence.count("cat1 = ") == 1


# ── signed tables ────────────────────────────────────────────────────────────────────────────────────────────────


def public(path: Path) -> str:
    found: str = msgspec.json.decode(sign_table(path, key=KEY, by="bob@example.org").read_bytes())["public"]
    return found


def test_a_signed_table_is_read_and_any_other_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x\n1\n", encoding="utf-8")
    with pytest.raises(BadData, match="the table is not signed, and its source must be"):
        check_signed(str(path), "00")
    signer = public(path)
    check_signed(str(path), signer)
    with pytest.raises(BadData, match="the table is signed by another key"):
        check_signed(str(path), "00" * 32)
    path.write_text("x\n2\n", encoding="utf-8")
    with pytest.raises(BadData, match="the table is not the one that was signed"):
        check_signed(str(path), signer)


def test_a_signature_that_was_changed_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x\n1\n", encoding="utf-8")
    signer, beside = public(path), tmp_path / "a.csv.signature"
    beside.write_text(beside.read_text("utf-8").replace("bob", "eve"), encoding="utf-8")
    with pytest.raises(BadData, match="the signature does not fit"):
        check_signed(str(path), signer)
    beside.write_text("{}", encoding="utf-8")
    with pytest.raises(BadData, match="this is no signature"):
        check_signed(str(path), signer)


def test_every_file_of_a_folder_must_be_signed(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x\n1\n", encoding="utf-8")
    signer = public(tmp_path / "a.csv")
    for address in (tmp_path, tmp_path / "*.csv"):
        with pytest.raises(BadData, match="not signed") as refused:
            check_signed(str(address), signer)
        assert refused.value.where.endswith("b.csv")
    public(tmp_path / "b.csv")
    check_signed(str(tmp_path), signer)


def test_what_is_no_file_cannot_be_signed() -> None:
    with pytest.raises(BadData, match="a source that is no file cannot be signed"):
        check_signed("postgresql://host/shop#orders", "00")

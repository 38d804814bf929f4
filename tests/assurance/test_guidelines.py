"""Guidelines and debt: each check fails on its planted fault, is quiet on its twin, and names checks that exist."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.assurance.guidelines import Rule, ml_test_score, rules, state, topics
from shipworthy.core.attested import Attestation, signed_by
from shipworthy.core.evidence import Evidence, Finding, Judged, Verdict, say
from shipworthy.core.judge import judge, run
from shipworthy.core.registry import Marked, _marked, registry
from shipworthy.deployment.integration.access.issue import create
from shipworthy.deployment.integration.access.tokens import askers
from shipworthy.sabotage import guidelines as planted
from shipworthy.store.opening import open_store

NAMES = ("guidelines", "ml-test-score", "epsilon-features", "undeclared-consumers", "correction-cascades",
         "jungle-depth", "dead-flags")
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
    assert finding.verdict in ("pass", "attested"), finding.sentence


# ── guidelines ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_rule_names_checks_that_exist_and_every_check_named_is_heard_in_the_twin() -> None:
    named = {check for rule in rules() for check in rule.checks}
    assert named - set(registry().checks) == set()
    assert named - set(planted.CHECKS) == set()


def test_there_are_forty_three_rules_twenty_eight_tests_and_seven_themes() -> None:
    count = {name: sum(rule.set == name for rule in rules()) for name in ("zinkevich", "ml-test-score", "vdi")}
    assert count == {"zinkevich": 43, "ml-test-score": 28, "vdi": 7}
    assert len({rule.id for rule in rules()}) == len(rules())
    assert sum(bool(rule.checks) for rule in rules() if rule.set == "zinkevich") >= 20
    sections = [rule.section for rule in rules() if rule.set == "ml-test-score"]
    assert {section: sections.count(section) for section in sections} == dict.fromkeys(
        ("data", "model", "infrastructure", "monitoring"), 7)


@pytest.mark.parametrize(("verdicts", "signed", "wanted"), [
    (("pass", "pass"), (), "kept"), (("pass", "not-applicable"), (), "kept"), (("pass", "fail"), ("r",), "broken"),
    (("pass", "unknown"), (), "open"), (("pass", "unknown"), ("r",), "attested"), (("pass",), (), "open"),
])
def test_a_rule_is_kept_only_where_all_its_checks_ran_and_are_fine(
    verdicts: tuple[Verdict, ...], signed: tuple[str, ...], wanted: str
) -> None:
    rule = Rule("s", "x", "r", "It holds.", ("a", "b"))
    found = [Finding(name, "", verdict, "") for name, verdict in zip("ab", verdicts, strict=False)]
    assert state(rule, found, set(signed)) == wanted


def test_a_signature_of_the_trainer_or_of_yesterday_or_that_does_not_fit_counts_for_nothing() -> None:
    def one(topic: str, by: str = "ann", days: int = 5) -> Attestation:
        until = (date.today() + timedelta(days=days)).isoformat()
        return signed_by(Attestation("row", topic, by, "r", "So.", "2024-01-01", until), KEY)

    given = [one("good"), one("own", by="Trainer"), one("old", days=-5),
             msgspec.structs.replace(one("changed"), sentence="No.")]
    assert topics(given, "row", "trainer") == {"good"}


def test_a_test_that_somebody_signed_for_counts_half(clean: dict[str, Any]) -> None:
    case = TWINS["ml-test-score"].function(clean, 1)
    assert ml_test_score(case["project"], case["evidence"], case["attestations"]).value == 6.5
    assert ml_test_score(case["project"], case["evidence"], ()).value == 6.0


def test_checks_that_judge_what_others_say_come_last_and_hear_all() -> None:
    def early(project: int) -> Finding:
        return say("pass", "One.")

    def late(evidence: Evidence) -> Finding:
        heard = evidence.findings
        return say("pass", f"{len(heard)}: {', '.join(one.check for one in heard)}")

    row = {"row": "solutions.guidelines"}
    known = {"late": Marked("late", late, row, "here"), "zed": Marked("zed", early, row, "here")}
    learnt = Finding("learnt", "", "pass", "")
    found = judge({"project": 1, "while learning": (learnt,)}, known)
    assert [one.check for one in found.findings] == ["zed", "late", "learnt"]
    assert found.findings[1].sentence == "2: zed, learnt"


# ── debt ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_open_server_that_nobody_declared_is_unknown_and_none_is_not_applicable(clean: dict[str, Any]) -> None:
    assert judged("undeclared-consumers", {**clean, "holders": ("anonymous",)}).verdict == "unknown"
    assert judged("undeclared-consumers", {**clean, "holders": ()}).verdict == "not-applicable"


def test_who_may_ask_are_the_holders_of_good_tokens_and_whoever_comes_to_an_open_door(
    clean: dict[str, Any], tmp_path: Path
) -> None:
    store, serve = open_store(tmp_path), clean["project"].serve
    assert askers(store.home, serve)["holders"] == ("anonymous",)
    create(store, "shop", ["predict"], by="ann")
    create(store, "labels", ["label"], by="ann")
    assert askers(store.home, serve)["holders"] == ("shop",)
    assert askers(store.home, msgspec.structs.replace(serve, open=True))["holders"] == ("shop", "anonymous")


def test_an_answer_that_the_project_declares_is_a_cascade(clean: dict[str, Any]) -> None:
    data = msgspec.structs.replace(clean["project"].data, answers=("num2",))
    project = msgspec.structs.replace(clean["project"], data=data)
    assert judged("correction-cascades", {**clean, "project": project}).counterexample == {"inputs": ["num2"]}


def test_a_flag_needs_a_time_that_spans_more_than_its_days(clean: dict[str, Any]) -> None:
    assert judged("dead-flags", clean, days=400).verdict == "not-applicable"
    plain = clean["table"].with_schema(clean["table"].schema.replace("when", role="ignored"))
    assert judged("dead-flags", {**clean, "table": plain}).verdict == "not-applicable"

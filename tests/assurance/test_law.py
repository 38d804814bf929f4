"""Rule packs: read strictly, dated, and answered only by fresh evidence of the very release."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipworthy.assurance.law.checks import clauses, rule_packs
from shipworthy.assurance.law.clauses import standings
from shipworthy.assurance.law.packs import FOLDER, load, parse, shipped
from shipworthy.assurance.law.purpose import seems
from shipworthy.core.evidence import Evidence, Finding, Judged, say
from shipworthy.core.judge import judge
from shipworthy.core.pack import FRESH_DAYS
from shipworthy.core.project import Law, Project
from shipworthy.core.project import parse as parse_project
from shipworthy.core.registry import Marked, registry
from shipworthy.core.settings.assurance import OpenClause
from shipworthy.errors import BadProject
from shipworthy.sabotage.law import lawful, pack, today
from shipworthy.survey import BY_ID

WHOLE = """
id = "mine"
title = "Our own rules"
jurisdiction = "here"
as_of = 2026-11-01
effective_from = 2026-01-01
source = "the board"
[[clauses]]
ref = "1"
text = "It performs."
evidence = ["verification.performance"]
"""


def about(case: dict[str, Any]) -> Judged:
    return Judged(model=case["model"].digest, data=case["table"].digest)


def run_clauses(case: dict[str, Any]) -> Any:
    return clauses(case["project"], case["packs"], case["evidence"], case["model"], case["table"])


def with_law(project: Project, **facts: Any) -> Project:
    return msgspec.structs.replace(project, law=msgspec.structs.replace(project.law, **facts))


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_pack_names_itself_rows_and_checks_that_exist_and_says_that_it_needs_review(name: str) -> None:
    found = load(name)
    known = {*BY_ID, *registry().checks}
    assert found.id == name
    assert [(clause.ref, one) for clause in found.clauses for one in clause.evidence if one not in known] == []
    assert not found.checked_against_official
    assert "Needs legal review" in found.note


def test_no_clause_rests_on_a_check_that_judges_evidence_itself() -> None:
    late = {name for name, one in registry().checks.items() if "evidence" in one.subjects}
    rows = {registry().checks[name].facts["row"] for name in late}
    assert [(name, clause.ref) for name in shipped() for clause in load(name).clauses
            if {*clause.evidence} & (late | rows)] == []


def test_what_older_knowledge_gets_wrong_is_planted_in_the_packs() -> None:
    assert load("us-credit").supersedes == ("SR 11-7", "OCC 2011-12", "SR 21-8")
    gone = {f"{name}/{clause.ref}" for name in shipped() for clause in load(name).clauses if clause.repealed_on}
    assert gone == {"us-credit/1002.6(a)", "uk-gdpr/22"}
    assert str(load("eu-ai-act").effective_from) == "2027-12-02"
    assert load("us-co-sb26-189").supersedes == ("Colorado SB 24-205",)


@pytest.mark.parametrize(("text", "told"), [
    (WHOLE.replace("title", "tilte"), 'there is no key "tilte"'),
    (WHOLE.replace("2026-11-01", '"soon"'), "as_of"),
    (WHOLE.replace('["verification.performance"]', "[]"), "length >= 1"),
    (WHOLE + '[[clauses]]\nref = "1"\ntext = "x"\nevidence = ["a"]\n', 'two clauses have the ref "1"'),
    (WHOLE + "repealed_on = 2025-01-01\n", 'clause "1" is repealed before it is in effect'),
    ("id =", "not TOML"),
])
def test_a_pack_that_is_not_whole_is_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(BadProject, match=told.replace("(", r"\(")):
        parse(text, where="mine.toml")


def test_a_project_may_bring_a_pack_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(WHOLE, encoding="utf-8")
    assert load("mine.toml", tmp_path).title == "Our own rules"
    with pytest.raises(BadProject, match='there is no rule pack "gdrp"'):
        load("gdrp")


def test_the_packs_lie_in_the_package() -> None:
    assert (FOLDER / "gdpr.toml").is_file()


def test_the_purpose_tells_which_use_was_overlooked(clean: dict[str, Any]) -> None:
    project = msgspec.structs.replace(clean["project"], project=msgspec.structs.replace(
        clean["project"].project, purpose="decide who gets a loan"))
    assert seems(project) == {"credit": "loan"}
    case = lawful({**clean, "project": with_law(project, uses=("health",))})
    finding = rule_packs(case["project"], case["packs"], case["attestations"])
    assert finding.verdict == "unknown"
    assert "the purpose speaks of credit (loan), and [law] uses does not name it" in finding.sentence


def test_without_a_pack_only_synthetic_data_is_not_applicable(clean: dict[str, Any]) -> None:
    finding = rule_packs(clean["project"], (), ())
    assert (finding.verdict, finding.remedy) == (
        "unknown", 'in [law] write packs = ["gdpr", "nist-ai-rmf"]; see shipworthy law --packs')
    assert rule_packs(with_law(clean["project"], synthetic=True), (), ()).verdict == "not-applicable"


def test_a_draft_never_passes_and_nor_does_a_pack_that_no_lawyer_read(clean: dict[str, Any]) -> None:
    case = lawful(clean, pack(status="draft"))
    assert rule_packs(case["project"], case["packs"], case["attestations"]).verdict == "unknown"
    assert run_clauses(case).verdict == "unknown"
    case = lawful(clean)
    assert rule_packs(case["project"], case["packs"], ()).verdict == "unknown"
    assert rule_packs(case["project"], case["packs"], case["attestations"]).verdict == "attested"
    official = (pack(checked_against_official=True),)
    assert rule_packs(case["project"], official, ()).verdict == "pass"


def test_a_pack_is_fresh_on_its_last_day_and_stale_on_the_next(clean: dict[str, Any]) -> None:
    for days, verdict in ((FRESH_DAYS, "attested"), (FRESH_DAYS + 1, "fail")):
        case = lawful(clean, pack(as_of=today() - timedelta(days=days)))
        assert rule_packs(case["project"], case["packs"], case["attestations"]).verdict == verdict


def test_an_open_clause_is_listed_with_owner_and_day_and_is_no_pass(clean: dict[str, Any]) -> None:
    case = lawful(clean)
    case["evidence"] = Evidence(case["evidence"].findings[:1])
    assert run_clauses(case).verdict == "unknown"
    for days, verdict, state in ((30, "unknown", "open"), (-1, "fail", "failed")):
        due = today() + timedelta(days=days)
        project = with_law(case["project"], open=(OpenClause("world/2", "ann@example.org", due, "audit is booked"),))
        late = {**case, "project": project}
        found = standings(project, case["packs"], case["evidence"], about(case))[1]
        assert (run_clauses(late).verdict, found.state, found.owner, found.due) == (verdict, state, "ann@example.org",
                                                                                  due)


def test_a_clause_whose_condition_does_not_hold_is_left_out(clean: dict[str, Any]) -> None:
    found = standings(clean["project"], [load("hipaa")], Evidence(()), Judged())
    assert {one.state for one in found} == {"does not apply"}
    medical = with_law(clean["project"], uses=("health",))
    assert {one.state for one in standings(medical, [load("hipaa")], Evidence(()), Judged())} == {"unanswered"}


def test_a_law_to_come_asks_nothing_yet(clean: dict[str, Any]) -> None:
    law = pack(effective_from=today() + timedelta(days=1))
    found = standings(clean["project"], [law], Evidence(()), Judged())
    assert [one.why for one in found] == [f"in force from {law.effective_from}"] * 2


def test_what_a_person_signed_makes_a_clause_attested_not_proved(clean: dict[str, Any]) -> None:
    case = lawful(clean)
    first, second = case["evidence"].findings
    case["evidence"] = Evidence((msgspec.structs.replace(first, verdict="attested"), second))
    assert run_clauses(case).verdict == "attested"


def test_a_check_of_evidence_hears_all_others_whatever_its_name() -> None:
    def early(evidence: Evidence) -> Any:
        return say("pass", ", ".join(one.check for one in evidence.findings))

    def late(book: int) -> Any:
        return say("pass", "read")

    checks = {name: Marked(name, function, {"row": "law.country"}, "here")
              for name, function in (("a", early), ("z", late))}
    evidence = judge({"book": 1, "while learning": (Finding("while", "learning.cost", "pass", "learnt"),)}, checks)
    assert evidence.find("a").sentence == "z, while"  # type: ignore[union-attr]


def test_the_settings_of_law_are_read_strictly() -> None:
    text = '[project]\nname = "p"\n[data]\ntarget = "y"\n[law]\npacks = ["gdpr"]\nuses = ["credit"]\n'
    more = '[[law.open]]\nref = "gdpr/30"\nowner = "ann"\ndue = 2027-01-31\n'
    assert isinstance(parse_project(text + more).law, Law)
    with pytest.raises(BadProject):
        parse_project(text.replace("credit", "credits"))

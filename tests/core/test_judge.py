"""Every check is heard, none passes by crashing or by absence, and what is wrong in [checks] is named."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shipworthy.core.evidence import Evidence, Finding, Judged, Waiver, say
from shipworthy.core.judge import REPORT_IT, bind, judge, required
from shipworthy.core.project import parse
from shipworthy.core.registry import Marked
from shipworthy.errors import BadData, BadProject
from shipworthy.marks import MARK, check
from shipworthy.survey import ROWS

ROW, OTHER = "data.cleaning", "data.discovery"


@check("well", row=ROW)
def well(table: Any, *, limit: float = 0.5, names: tuple[str, ...] = (), strict: bool = False) -> Finding:
    """Passes."""
    return say("pass", f"{table} is held to {limit:g}.")


@check("zero", row=OTHER)
def zero(table: Any) -> Finding:
    """Divides by zero."""
    return say("pass", f"{1 / 0}")


@check("lost", row=OTHER)
def lost(table: Any) -> Finding:
    """Meets a problem that a user can act on."""
    raise BadData('column "age" is missing', where="patients.csv", hint='did you mean "Age"?')


@check("mute", row=OTHER)
def mute(table: Any) -> Any:
    """Returns nothing."""


@check("wordy", row=OTHER)
def wordy(table: Any) -> Finding:
    """Fails with many lines."""
    raise ValueError("first\n  second " + "x" * 500)


@check("later", row="deployment.outliers")
def later(model: Any, log: Any) -> Finding:
    """Needs what is not there."""
    return say("pass", "All is well.")


def marked(*functions: Any) -> dict[str, Marked]:
    facts = [getattr(function, MARK) for function in functions]
    return {fact["name"]: Marked(fact["name"], function, fact, __name__)
            for fact, function in zip(facts, functions, strict=True)}


def heard(*functions: Any, **options: Any) -> Evidence:
    return judge({"table": "t", "model": None}, marked(*functions), **options)


@pytest.mark.parametrize("function, sentence, remedy", [
    (zero, "The check itself failed: ZeroDivisionError: division by zero.", REPORT_IT),
    (lost, 'The check could not judge: column "age" is missing (patients.csv).', 'did you mean "Age"?'),
    (mute, "The check itself failed: it returned NoneType, not a finding.", REPORT_IT),
])
def test_a_check_that_fails_itself_is_unknown_and_the_rest_is_heard(function: Any, sentence: str, remedy: str) -> None:
    evidence = heard(function, well)
    found, other = evidence.findings
    assert (found.verdict, found.sentence, found.remedy) == ("unknown", sentence, remedy)
    assert (other.check, other.verdict) == ("well", "pass")
    assert evidence.verdict(OTHER) == "unknown"


def test_an_error_of_many_lines_is_told_in_one() -> None:
    sentence = heard(wordy).findings[0].sentence
    assert sentence.startswith("The check itself failed: ValueError: first second xxx")
    assert "\n" not in sentence and len(sentence) < 260


def test_a_stop_by_the_user_is_no_finding() -> None:
    @check("stopped", row=ROW)
    def stopped(table: Any) -> Finding:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        heard(stopped)


def test_a_finding_is_stamped_with_its_check_row_settings_and_what_it_judged() -> None:
    about = Judged("c", "m", "d")
    found = heard(well, settings={"well": {"limit": 0.2}}, judged=about).findings[0]
    assert (found.id, found.sentence, found.judged) == (f"{ROW}/well", "t is held to 0.2.", about)
    assert found.settings == {"limit": 0.2, "names": (), "strict": False}
    assert datetime.fromisoformat(found.at).tzinfo


def test_a_check_whose_subjects_are_absent_is_listed_with_what_it_waits_for() -> None:
    evidence = heard(well, later)
    assert [finding.check for finding in evidence.findings] == ["well"]
    assert evidence.missing["deployment.outliers"] == "waits for: log, model"
    assert evidence.missing[OTHER] == "no check yet"
    assert ROW not in evidence.missing
    assert evidence.verdict("deployment.outliers") == "unknown"


@pytest.mark.parametrize("settings, problem, hint", [
    ({"wel": {}}, 'there is no check "wel"', 'did you mean "well"?'),
    ({"xyzzy": {}}, 'there is no check "xyzzy"', "choose one of: well, zero"),
    ({"well": {"limt": 1}}, 'the check "well" has no setting "limt"', 'did you mean "limit"?'),
    ({"well": {"xyzzy": 1}}, 'the check "well" has no setting "xyzzy"', "it has limit, names, strict"),
    ({"zero": {"limit": 1}}, 'the check "zero" has no setting "limit"', "it has no settings"),
    ({"well": {"limit": "0.2"}}, "limit = '0.2' is not of the right type", "it needs a number, such as 0.5"),
    ({"well": {"limit": True}}, "limit = True is not of the right type", "it needs a number, such as 0.5"),
    ({"well": {"strict": 1}}, "strict = 1 is not of the right type", "it needs true or false, such as false"),
    ({"well": {"names": "a"}}, "names = 'a' is not of the right type", "it needs a list, such as []"),
])
def test_a_wrong_setting_is_named_before_anything_is_judged(settings: Any, problem: str, hint: str) -> None:
    with pytest.raises(BadProject) as caught:
        bind(marked(well, zero), settings)
    assert (caught.value.problem, caught.value.hint) == (problem, hint)
    assert caught.value.where == f"[checks.{next(iter(settings))}]"


@pytest.mark.parametrize("given", [{"limit": 1}, {"limit": 0.1}, {"names": ["a"]}, {"strict": True}])
def test_a_right_setting_is_taken(given: dict[str, Any]) -> None:
    bind(marked(well), {"well": given})


def test_a_required_row_without_a_finding_refuses() -> None:
    evidence = heard(well, required=(ROW, "security.inversion"))
    assert evidence.refusals == ("security.inversion",)
    assert not evidence.fit
    assert heard(well, required=(ROW,)).fit


NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
TODAY = NOW.date()


def after(days: int) -> date:
    return TODAY + timedelta(days=days)


@pytest.mark.parametrize("given, expires, refused", [
    (-1, 1, ()), (0, 0, ()), (-1, -1, (OTHER,)), (1, 9, (OTHER,)), (-366, 0, ()), (-367, 0, (OTHER,)),
    (-367, 10_000, (OTHER,))])
def test_a_waiver_holds_through_its_last_day_and_for_a_year_at_most_and_changes_no_verdict(
    given: int, expires: int, refused: tuple[str, ...]
) -> None:
    evidence = heard(zero, required=(OTHER,), waivers=(Waiver(OTHER, "ann", "known", after(given), after(expires)),))
    assert evidence.refused(NOW) == refused
    assert evidence.verdict(OTHER) == "unknown"


@pytest.mark.parametrize("by, reason", [(" ", "known"), ("ann", "")])
def test_a_waiver_without_a_name_or_a_reason_excuses_nothing(by: str, reason: str) -> None:
    evidence = heard(zero, required=(OTHER,), waivers=(Waiver(OTHER, by, reason, TODAY, TODAY),))
    assert evidence.refused(NOW) == (OTHER,)


def test_a_waiver_of_one_row_does_not_excuse_another() -> None:
    evidence = heard(zero, required=(OTHER, ROW), waivers=(Waiver(ROW, "ann", "known", TODAY, TODAY),))
    assert evidence.refused(NOW) == (OTHER,)


# ── what counts no longer ────────────────────────────────────────────────────────────────────────────────────────


def judged(**facts: Any) -> Evidence:
    """One passing finding of a required row, made NOW of code c, model m and data d."""
    told = {"at": NOW.isoformat(), "judged": Judged("c", "m", "d"), **facts}
    return Evidence((Finding("well", ROW, "pass", "Fine.", **told),), required=(ROW,))


@pytest.mark.parametrize("days, why", [(0, ""), (180, ""), (181, "it is 181 days old, at most 180 are allowed")])
def test_a_finding_that_is_too_old_refuses_its_row(days: int, why: str) -> None:
    evidence, later = judged(), NOW + timedelta(days=days)
    assert evidence.staleness(evidence.findings[0], later) == why
    assert evidence.refused(later) == ((ROW,) if why else ())
    assert len(evidence.stale(later)) == bool(why)


def test_a_finding_that_names_its_last_day_counts_no_longer_after_it() -> None:
    evidence = judged(until=TODAY)
    assert evidence.refused(NOW) == ()
    assert evidence.refused(NOW + timedelta(days=1)) == (ROW,)
    assert evidence.staleness(evidence.findings[0], NOW + timedelta(days=1)) == f"it held until {TODAY}"


@pytest.mark.parametrize("current, why", [
    (Judged(), ""), (Judged("c", "m", "d"), ""), (Judged("x", "m", "d"), "it was made of other code than today's"),
    (Judged("c", "x", "d"), "it was made of other model than today's"),
    (Judged("c", "m", "x"), "it was made of other data than today's")])
def test_a_change_of_code_model_or_data_makes_stale_what_was_made_of_another(current: Judged, why: str) -> None:
    evidence = msgspec.structs.replace(judged(), current=current)
    assert evidence.staleness(evidence.findings[0], NOW) == why
    assert evidence.refused(NOW) == ((ROW,) if why else ())


def test_a_waiver_excuses_a_row_whose_evidence_counts_no_longer() -> None:
    later = NOW + timedelta(days=300)
    waived = Waiver(ROW, "ann", "known", later.date(), later.date())
    assert msgspec.structs.replace(judged(), waivers=(waived,)).refused(later) == ()


# ── what the project changed ─────────────────────────────────────────────────────────────────────────────────────


def test_a_changed_setting_and_a_changed_gate_are_told_and_a_repeated_default_is_not() -> None:
    default = tuple(row.id for row in ROWS if row.required)
    gate = (*[row for row in default if row != "ethics.bias"], "security.poisoning")
    evidence = heard(well, required=gate, settings={"well": {"limit": 0.9, "names": [], "strict": False}})
    assert evidence.findings[0].changed == {"limit": 0.5}
    assert evidence.changes == ("the gate also requires security.poisoning", "the gate does not require ethics.bias",
                                "well was judged with limit = 0.9, by default 0.5")
    assert heard(well, required=default).changes == ()


# ── a stranger's code ────────────────────────────────────────────────────────────────────────────────────────────


class Strange(Exception):
    """A plugin's own class of exception."""


@check("absent", row=OTHER)
def absent(table: Any) -> Finding:
    """Reads a file that is not there."""
    return say("pass", open("no such file").read())


@check("strange", row=OTHER)
def strange(table: Any) -> Finding:
    """Fails in its own way."""
    raise Strange("in its own way")


@pytest.mark.parametrize("function, told", [(absent, "FileNotFoundError"), (strange, "Strange: in its own way.")])
def test_a_check_that_fails_in_any_way_ends_no_run(function: Any, told: str) -> None:
    found, other = heard(function, well).findings
    assert found.verdict == "unknown"
    assert found.sentence.startswith("The check itself failed: ") and told in found.sentence
    assert other.verdict == "pass"


def test_a_declared_property_must_be_proved_for_promotion() -> None:
    head = '[project]\nname = "p"\n[data]\ntarget = "y"\n'
    claim = '[[property]]\nclaim = "answers stay above 0"\n'
    assert "verification.functional" not in required(parse(head))
    assert "verification.functional" in required(parse(head + claim))
    assert "verification.functional" not in required(parse(
        f'{head}{claim}[gate]\nwithout = ["verification.functional"]\n'))

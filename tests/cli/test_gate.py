"""The gate as a user meets it: no file beside it opens it, and what stands in the way is said with what to do."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shipworthy.survey import BY_ID

UNPROVED = "trust.experience"
PROMOTE = ("--by", "ann", "--why", "try")
SOON = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()


@pytest.fixture
def own(made: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy of the project that was run, to be changed."""
    return Path(shutil.copytree(made[0], tmp_path / "own"))


def edit(folder: Path, before: str, after: str) -> None:
    path = folder / "shipworthy.toml"
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def require(folder: Path, row: str) -> None:
    edit(folder, "[gate]\n", f'[gate]\nalso = ["{row}"]\n')


def told(call: Any, folder: Path) -> tuple[int, dict[str, Any]]:
    said = call("checklist", "-p", folder, "--json")
    return said.code, json.loads(said.out)


@pytest.mark.parametrize("expires", ["zzzz", "2999-01-01", SOON])
def test_a_waiver_written_into_a_file_opens_nothing(call: Any, own: Path, expires: str) -> None:
    require(own, UNPROVED)
    waiver = {"row": UNPROVED, "by": "ann", "reason": "x", "given": SOON, "expires": expires}
    (own / "waivers.json").write_text(json.dumps([waiver]))
    said = call("promote", "-p", own, *PROMOTE)
    assert (said.code, UNPROVED in said.problem) == (1, True)
    assert told(call, own)[1]["waivers"] == []


def test_a_waiver_given_by_the_command_is_on_record_and_counts(call: Any, own: Path) -> None:
    require(own, UNPROVED)
    assert call("waive", UNPROVED, "-p", own, "--by", "eve", "--reason", "a pilot", "--until", SOON).code == 0
    code, said = told(call, own)
    assert (code, said["refusals"]) == (0, [])
    assert [(one["row"], one["by"], one["expires"]) for one in said["waivers"]] == [(UNPROVED, "eve", SOON)]
    assert call("promote", "-p", own, *PROMOTE).code == 0


@pytest.mark.parametrize("by, reason, until, problem", [
    (" ", "x", SOON, "a row is accepted only with a name and a reason"),
    ("eve", "", SOON, "a row is accepted only with a name and a reason"),
    ("eve", "x", "zzzz", "'zzzz' is not a day"),
    ("eve", "x", "2999-01-01", "a waiver ends between today and a year from now")])
def test_a_waiver_needs_a_name_a_reason_and_a_day_within_a_year(
    call: Any, own: Path, by: str, reason: str, until: str, problem: str
) -> None:
    said = call("waive", UNPROVED, "-p", own, "--by", by, "--reason", reason, "--until", until)
    assert said.code == 2
    assert said.problem.startswith(f"error: {problem}")


@pytest.mark.parametrize("now", ["bob", ""])
def test_who_trained_it_may_not_approve_it_though_the_project_file_names_another(
    call: Any, own: Path, now: str
) -> None:
    edit(own, 'trainer = "tom"', f'trainer = "{now}"')
    said = call("promote", "-p", own, "--by", "Tom", "--why", "mine")
    assert (said.code, said.problem.splitlines()[0]) == (1, "error: Tom trained this model and may not approve it")


def test_evidence_of_other_code_refuses_until_it_is_judged_again(call: Any, own: Path) -> None:
    row = next(one["row"] for one in told(call, own)[1]["rows"]
               if one["verdict"] == "pass" and not BY_ID[one["row"]].required)
    require(own, row)
    assert told(call, own)[0] == 0
    (own / "mine.py").write_text('"""Nothing is marked here."""\n')
    edit(own, 'trainer = "tom"', 'trainer = "tom"\nplugins = ["mine.py"]')
    code, said = told(call, own)
    assert (code, said["refusals"]) == (1, [row])
    assert set(said["stale"].values()) == {"it was made of other code than today's"}
    text = call("checklist", "-p", own).out
    assert "→ counts no longer: it was made of other code than today's; judge again: shipworthy run" in text
    refused = call("promote", "-p", own, *PROMOTE)
    assert refused.code == 1
    assert "findings count no longer (it was made of other code than today's); judge again: shipworthy run" \
        in refused.problem


def test_what_the_project_changed_is_on_the_checklist_the_report_and_the_card(call: Any, own: Path) -> None:
    change = "the gate does not require ethics.bias"
    assert "changed by the project:\n  the gate does not require data.discovery\n" in call("checklist", "-p", own).out
    assert change in told(call, own)[1]["changes"]
    page = own / "report.html"
    assert call("report", "-p", own, "-o", page).code == 0
    assert f"<li>{change}</li>" in page.read_text("utf-8")
    assert f"- {change}\n" in next(own.glob("releases/*/card.md")).read_text("utf-8")


def test_a_run_without_a_trainer_says_that_it_cannot_be_promoted(call: Any, project: Any) -> None:
    folder = project()
    edit(folder, 'trainer = "tom"', 'trainer = ""')
    said = call("run", "-p", folder)
    assert said.code == 0
    assert 'it cannot be promoted before [project] trainer = "…" says who made it, and another run' in said.err
    refused = call("promote", "-p", folder, *PROMOTE)
    assert (refused.code, "nobody is named as the trainer" in refused.problem) == (1, True)

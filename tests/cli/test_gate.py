"""The gate as a user meets it: no file beside it opens it, and what stands in the way is said with what to do."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shipworthy.deployment.integration.releases.history import record
from shipworthy.store.opening import open_store
from shipworthy.survey import BY_ID

UNPROVED = "trust.experience"
HELD = "deployment.delivery"
LAW = "law.non-technical"
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


def test_a_waived_row_does_not_hold_and_every_page_says_who_accepted_it(call: Any, own: Path) -> None:
    edit(own, "[gate]\n", f'[gate]\nalso = ["{UNPROVED}", "{HELD}"]\n')
    assert call("waive", UNPROVED, "-p", own, "--by", "eve", "--reason", "a <pilot>", "--until", SOON).code == 0
    said = call("checklist", "-p", own).out
    assert "\nFIT: 1 of 2 required rows hold, 1 accepted by name (1 unknown). All rows: " in said
    assert f"              ✎ accepted by eve until {SOON}: a <pilot>\n" in said
    page = own / "report.html"
    assert call("report", "-p", own, "-o", page).code == 0
    html = page.read_text("utf-8")
    assert '<header class="waived">' in html and "accepted for production by name</h1>" in html
    assert "1 of 2 required rows hold, 1 accepted by name (1 unknown)." in html
    assert f'<p class="waiver"><b>Accepted</b> by eve until {SOON}: a &lt;pilot&gt;</p>' in html
    assert call("run", "-p", own).code == 0
    card = max(own.glob("releases/*/card.md"), key=lambda path: path.stat().st_mtime_ns).read_text("utf-8")
    assert "**Fit: 1 of 2 required rows hold, 1 accepted by name (1 unknown). All rows: " in card
    assert f"- `{UNPROVED}` by eve until {SOON}: a &lt;pilot&gt; (it is unknown)\n" in card


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


def test_who_trained_it_may_neither_waive_nor_attest(call: Any, own: Path) -> None:
    require(own, UNPROVED)
    for args, act in ((("waive", UNPROVED, "--reason", "x"), "accept a row of it"),
                      (("attest", LAW, "--topic", "legal-basis", "--role", "legal", "--sentence", "x"),
                       "attest a row of it")):
        said = call(*args, "-p", own, "--by", "TOM ", "--until", SOON)
        assert said.code == 1
        assert said.problem == (f"error: TOM  trained this model and may not {act}\n  at: the ledger\n"
                                "  hint: someone else does: --by NAME")
    assert call("promote", "-p", own, *PROMOTE).code == 1


def test_a_waiver_of_somebody_who_then_trained_the_release_counts_for_nothing(call: Any, own: Path) -> None:
    require(own, UNPROVED)
    record(open_store(own), actor="Tom", role="accepter", action="waive",
           subject={"row": UNPROVED, "until": SOON}, why="x")
    code, said = told(call, own)
    assert (code, said["refusals"], said["waivers"]) == (1, [UNPROVED], [])


@pytest.mark.parametrize("row, topic, problem, hint", [
    ("law.nontechnical", "legal-basis", 'there is no row "law.nontechnical"', 'did you mean "law.non-technical"?'),
    ("ethics.fairness", "", "ethics.fairness is measured, not attested", "shipworthy waive ethics.fairness"),
    (LAW, "legalbasis", f'{LAW} has no topic "legalbasis"', 'did you mean "legal-basis"?'),
    (LAW, "", f"{LAW} is attested topic by topic", "it has impact-assessment, legal-basis"),
])
def test_what_no_check_would_read_is_not_attested(
    call: Any, own: Path, row: str, topic: str, problem: str, hint: str
) -> None:
    said = call("attest", row, "-p", own, "--topic", topic, "--by", "eve", "--role", "legal", "--sentence", "x",
                "--until", SOON)
    assert said.code == 2
    assert said.problem.startswith(f"error: {problem}\n") and hint in said.problem
    assert not list(own.glob("attestations/*"))


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
    page = own / "report.html"
    assert call("report", "-p", own, "-o", page).code == 0
    assert "counts no longer: it was made of other code than today&#39;s." in page.read_text("utf-8")
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

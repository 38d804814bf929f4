"""The checklist as a person reads it: what nothing judged in one line, one row in depth, figures that mean much."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from shipworthy.cli.depth import as_lines, plain
from shipworthy.cli.talk import checklist, conclusion, figure
from shipworthy.core.evidence import Evidence, Finding
from shipworthy.core.registry import registry
from shipworthy.exchange.report.gauge import gauge

ROW = "learning.complexity"
BARE = Finding("ledger", "deployment.teams", "fail", "24 lines are gone.", value=24.0, limit=24.0)
HELD = Finding("requirements", "verification.performance", "fail", "AUC is 0.71.", value=0.71, low=0.68, high=0.74,
               limit=0.7, n=900)


def test_rows_that_nothing_judged_are_one_last_line_unless_all_are_asked_for(made: Any, call: Any) -> None:
    folder = made[0]
    lines = call("checklist", "-p", folder).out.splitlines()
    last = next(line for line in lines if "rows that nothing has judged" in line)
    assert lines[lines.index(last) + 1] == ""
    assert last.startswith("? unknown  ") and last.endswith("; why: shipworthy checklist --all")
    assert "trust.experience" in last and sum("trust.experience" in line for line in lines) == 1
    assert not any("is not in this release" in line for line in lines)
    everything = call("checklist", "-p", folder, "--all").out
    assert "page checks are not in this release of the tool" in everything
    assert "nothing has judged" not in everything


def test_a_required_row_that_nothing_judged_keeps_its_line() -> None:
    evidence = Evidence((), required=("trust.experience",), missing={"trust.experience": "no sessions"})
    lines = checklist(evidence)
    assert any(line.endswith("* trust.experience") for line in lines)
    assert "trust.experience" not in lines[-1]


def test_one_row_in_depth_tells_all_that_is_behind_it(made: Any, call: Any) -> None:
    told = call("checklist", "worst-slice", "-p", made[0])
    assert (told.code, told.problem.splitlines()[0]) == (2, 'error: there is no row "worst-slice"')
    told = call("checklist", "ethics.bais", "-p", made[0])
    assert 'did you mean "ethics.bias"?' in told.problem
    told = call("checklist", ROW, "-p", made[0])
    lines = told.out.splitlines()
    assert lines[0].endswith(f"  {ROW} · Complexity, not required for promotion")
    assert lines[1] == "  Does the model beat the simplest one that is as good?"
    said = json.loads(call("checklist", ROW, "-p", made[0], "--json").out)
    assert (said["row"], said["question"]) == (ROW, lines[1].strip())
    assert told.code == (0 if said["verdict"] in ("pass", "attested", "not-applicable") else 1)
    for finding in said["findings"]:
        assert finding["judges"] and f"    judges: {finding['judges']}" in lines
        assert any(finding["sentence"] in line for line in lines)


def test_a_row_that_nothing_judged_says_what_it_waits_for(made: Any, call: Any) -> None:
    told = call("checklist", "trust.experience", "-p", made[0])
    assert told.code == 1
    assert told.out.splitlines()[-1] == "  page checks are not in this release of the tool"


def test_settings_counterexample_and_chart_are_plain_lines() -> None:
    finding = Finding("amplification", "ethics.bias", "fail", "A gap.", value=0.1, low=0.05, high=0.15, limit=0.02,
                      n=1200, remedy="mend it", settings={"limit": 0.02, "least": 30}, changed={"least": 50},
                      counterexample={"slice": {"sex": "= f"}, "row": [4, 19], "given": ["yes", "no"]},
                      chart={"kind": "bars", "name": ["a", "b"], "value": [0.25, 0.5], "low": [], "high": []})
    lines = as_lines(Evidence((finding,)), "ethics.bias", registry().checks)
    assert [click.unstyle(line) for line in lines[3:]] == [
        "✗ FAIL  amplification: A gap.",
        "    judges: Whether the gap in selection rates exceeds the gap in base rates by at most the limit, at the "
        "upper end",
        "    settings: limit = 0.02, least = 30 (changed; by default 50)",
        "    figures: value 0.1, low 0.05, high 0.15, limit 0.02, n 1,200",
        "    counterexample:", "      slice: sex = f", "      row  given", "      4    yes", "      19   no",
        "    chart:", "      name  value", "      a     0.25", "      b     0.5",
        "    → mend it"]


def test_a_long_list_says_how_much_is_left_out() -> None:
    assert plain({"x": list(range(100))})[-2:] == ["39", "… and 60 more"]


def test_columns_stand_in_the_order_in_which_they_are_read() -> None:
    assert plain({"high": [3.0], "limit": [4.0], "low": [1.0], "name": ["a"], "value": [2.0]}) == [
        "name  value  low  high  limit", "a     2      1    3     4"]


def test_a_bare_count_is_left_to_its_sentence_and_has_no_ruler() -> None:
    assert (figure(BARE), gauge(BARE)) == ("", "")
    assert figure(HELD) == "0.71 [0.68, 0.74] limit 0.7"
    assert gauge(HELD).startswith("<svg")
    assert "            ✗ ledger: 24 lines are gone." in checklist(Evidence((BARE,)))


def test_the_conclusion_counts_what_holds() -> None:
    told = click.unstyle(conclusion(Evidence((HELD,), required=("verification.performance", "ethics.bias"))))
    assert told.startswith("NOT FIT: verification.performance, ethics.bias; 0 of 2 required rows hold. All rows: ")


@pytest.mark.parametrize("gate, told", [
    ('also = ["trust.experience"]', "next: mend what is refused, see shipworthy checklist trust.experience"),
    ("", "next: shipworthy checklist · shipworthy report · shipworthy promote --by NAME --why REASON")])
def test_promotion_is_offered_only_to_what_is_fit(call: Any, project: Any, gate: str, told: str) -> None:
    folder: Path = project()
    path = folder / "shipworthy.toml"
    path.write_text(path.read_text("utf-8").replace("[gate]\n", f"[gate]\n{gate}\n"), encoding="utf-8")
    said = call("run", "-p", folder).err
    assert told in said
    assert ("promote --by" in said) == (not gate)

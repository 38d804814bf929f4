from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PROJECT = """[project]
name = "loans"
subject = "person"
trainer = "tom"

[[source]]
address = "t.csv"

[data]
target = "repaid"
positive = "yes"
protected = ["sex"]

[learning]
seconds = 2
search = false
learners = ["trivial", "linear"]

[fairness]
criterion = "impact-ratio"

[reasons]
income = {code = "03", text = "income insufficient"}

[recourse.change]
income = "up"
"""


@pytest.fixture(scope="module")
def loans(call: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, random = tmp_path_factory.mktemp("loans"), np.random.default_rng(0)
    sex, age = random.integers(0, 2, 900), random.integers(20, 70, 900)
    income = (20 + 10 * random.random(900) + 6 * sex).round(1)
    repaid = np.where(income + 2 * random.normal(size=900) > 28, "yes", "no")
    lines = [f"{a},{b},{'fm'[c]},{d}" for a, b, c, d in zip(income, age, sex, repaid, strict=True)]
    (folder / "t.csv").write_text("\n".join(["income,age,sex,repaid", *lines]) + "\n")
    (folder / "shipworthy.toml").write_text(PROJECT)
    assert call("run", "-p", folder).code in (0, 1)
    return folder


def test_every_method_has_its_price_beside_the_model_as_it_is(call: Any, loans: Path) -> None:
    found = call("mitigate", "-p", loans)
    lines = found.out.splitlines()
    assert found.code == 0
    assert lines[0].split("  ")[0] == "method"
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "as it is", "protected columns left out", "reweighing", "thresholds by group, equal rates",
        "thresholds by group, equal odds", "reduction, equal rates", "reduction, equal odds"]
    assert "choose by the criterion that you declared" in found.err
    plain, *_ = json.loads(call("mitigate", "-p", loans, "--json").out)
    assert plain["method"] == "as it is" and 0 < plain["gap"] < 1


def test_nothing_is_measured_before_a_criterion_is_chosen(call: Any, loans: Path, tmp_path: Path) -> None:
    (tmp_path / "shipworthy.toml").write_text(PROJECT.replace('criterion = "impact-ratio"', ""))
    told = call("mitigate", "-p", tmp_path)
    assert told.code == 2
    assert "no fairness criterion is chosen, so no group may be measured yet" in told.problem


def test_the_ledger_has_the_criterion_and_then_the_measuring(call: Any, loans: Path) -> None:
    lines = [json.loads(line) for line in (loans / ".shipworthy" / "ledger.jsonl").read_text().splitlines()]
    acts = [line["action"] for line in lines]
    assert acts[:2] == ["choose criterion", "measure groups"]
    assert acts.count("choose criterion") == 1
    found = json.loads(call("checklist", "ethics.fairness", "-p", loans, "--json").out)
    assert '"criterion-first"' in json.dumps(found)


def test_a_notice_cites_by_code_and_says_what_would_change_it(call: Any, loans: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.csv").write_text("income,age,sex,repaid\n21.0,30,f,no\n35.0,30,m,yes\n")
    told = call("notice", tmp_path / "asked.csv", "-p", loans).out
    assert told.startswith("answer: no\nprincipal reasons, against somebody just accepted:\n"
                           "  03  income insufficient: 21")
    assert "\nthe least change that turns it:\n  income: 21 → 2" in told
    found = json.loads(call("notice", tmp_path / "asked.csv", "-p", loans, "--json").out)
    assert (found["refused"], found["way"], found["change"][0]["column"]) == (True, "found", "income")
    assert call("notice", tmp_path / "asked.csv", "--row", "1", "-p", loans).out == (
        "answer: yes, which is not a refusal: there is nothing to explain away\n")
    assert "there is no row 7" in call("notice", tmp_path / "asked.csv", "--row", "7", "-p", loans).problem

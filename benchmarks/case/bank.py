"""The bank on the clean world and on six real tables: planted faults caught, false alarms, and what a check costs.

    python -m benchmarks.case.bank FOLDER     makes the six projects, for `shipworthy sabotage --all FOLDER`
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

from benchmarks.frame import Bar, data_folder, no_data, run, shipworthy
from benchmarks.projects import FILE, init

TWINS = 3
TABLES = {
    "adult": ("fairness/adult/adult.parquet", "income"),
    "bank_marketing": ("fairness/bank_marketing/bank_full.parquet", "y"),
    "credit_default": ("fairness/credit_default_taiwan/credit_default.parquet", "default payment next month"),
    "german_credit": ("fairness/german_credit/german_credit.parquet", "class"),
    "telco_churn": ("business/telco_churn/Telco-Customer-Churn.csv", "Churn"),
    "california_housing": ("regression/california_housing/housing.parquet", "median_house_value"),
}
FILLED = {"purpose": "to try the bank on", "owner": "owner@example.org", "trainer": "trainer@example.org",
          "approver": "approver@example.org", "licence": "CC-BY-4.0"}
CRITERION = ("criterion = \"none\"", "criterion = \"impact-ratio\"")
BARS = (Bar("bank: planted faults caught, of those that a ground can show", None, 0.95, "higher"),
        Bar("bank: false alarms on clean twins", None, 0.02, "lower"))


def projects(folder: Path) -> None:
    """A project for every table, with the names of people and the licence that `init` leaves empty."""
    for name, (path, target) in TABLES.items():
        init(folder / name, data_folder() / path, target)
        text = (folder / name / FILE).read_text("utf-8")
        for key, value in FILLED.items():
            text = re.sub(rf'(?m)^{key} = ""', f'{key} = "{value}"', text)
        text = re.sub(r'(?m)^name = ".*"', f'name = "{name}"', text, count=1)
        text = text.replace(*CRITERION)
        (folder / name / FILE).write_text(text, encoding="utf-8")


def measured() -> list[tuple[float | None, str]]:
    """The rate of faults caught, and of twins on which a check cried."""
    if not data_folder().is_dir():
        return no_data(BARS)
    with tempfile.TemporaryDirectory() as name:
        projects(Path(name))
        ran = run(shipworthy("sabotage", "--all", name, "--twins", str(TWINS), "--json")).fine(0, 1)
    checks = json.loads(ran.out)["checks"]
    judged = [one for one in checks if one["outcome"] != "not judged"]
    once = {(one["table"], one["check"]): one for one in checks}.values()
    caught, twins = sum(one["caught"] for one in judged), sum(one["twins"] - one["unknown"] for one in once)
    cries = sum(one["false_alarms"] for one in once)
    return [(caught / len(judged), f"{caught} of {len(judged)}; {len(checks) - len(judged)} more could not be judged"),
            (cries / twins, f"{cries} of {twins}, over {len({one['table'] for one in checks})} grounds")]


if __name__ == "__main__":
    projects(Path(sys.argv[1]))

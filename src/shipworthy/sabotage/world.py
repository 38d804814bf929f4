"""A small world with nothing wrong in it: the clean ground into which faults are planted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from shipworthy.core.project import Project, parse
from shipworthy.core.table import Table

ROWS = 3_000
START = datetime(2024, 1, 1, tzinfo=UTC)

PROJECT = """
[project]
name = "clean-world"
purpose = "ground for planted faults"
owner = "owner@example.org"
trainer = "trainer@example.org"
approver = "approver@example.org"
subject = "person"

[data]
target = "outcome"
positive = "yes"
time = "when"
identifiers = ["entity"]
protected = ["sex"]
set_aside = ["sex"]
personal = ["sex"]
retention_days = 36500

[[source]]
address = "world.parquet"
name = "world"
owner = "owner@example.org"
licence = "CC0-1.0"

[split]
kind = "stratified"

[learning]
seconds = 20.0
search = false
learners = ["trivial", "linear", "tree", "additive", "boosted"]
max_cpu_seconds = 600.0
max_row_microseconds = 50000.0
max_megabytes = 50.0

[[requirement]]
metric = "auc"
at_least = 0.7

[value]
currency = "EUR"
true_positive = 10.0
false_positive = -4.0

[fairness]
criterion = "impact-ratio"
limit = 0.8

[recourse.change]
num1 = "either"
num2 = "either"
num3 = "up"

[reasons]
num1 = {code = "01", text = "the first figure"}
num2 = {code = "02", text = "the second figure"}
num3 = {code = "03", text = "the third figure"}
num4 = {code = "04", text = "the fourth figure"}
cat1 = {code = "05", text = "the kind"}
cat2 = {code = "06", text = "the grade"}
flag = {code = "07", text = "the mark"}
when = {code = "08", text = "the time"}

[checks.datasheet-filled]
consent = "everyone agreed, in writing"
retention = "until the ground is drawn again"
"""


def world_project() -> Project:
    """The project file of the clean world."""
    return parse(PROJECT, where="the clean world")


def world(seed: int = 0, *, rows: int = ROWS) -> Table:
    """A table whose label follows from its features by a smooth rule, whatever the seed.

    Columns: num1…num4, cat1 (6 levels), cat2 (3 levels), flag, when (UTC), entity (unique), sex (protected,
    independent of everything), outcome ("yes" or "no").
    """
    random = np.random.default_rng([20_240_101, seed])
    numbers = {f"num{n}": random.normal(size=rows).round(4) for n in range(1, 5)}
    cat1 = random.choice(list("abcdef"), rows, p=[0.3, 0.25, 0.2, 0.1, 0.1, 0.05])
    cat2 = random.choice(["low", "mid", "high"], rows)
    flag = random.random(rows) < 0.4
    shift = {"a": -0.8, "b": -0.3, "c": 0.0, "d": 0.4, "e": 0.8, "f": 1.1}
    step = {"low": -0.5, "mid": 0.0, "high": 0.5}
    margin = (
        1.3 * numbers["num1"] - 0.9 * numbers["num2"] + 0.7 * np.tanh(2 * numbers["num3"]) + 0.6 * flag
        + 0.5 * numbers["num4"] + np.array([shift[c] for c in cat1]) + np.array([step[c] for c in cat2]) - 0.2
    )
    label = random.random(rows) < 1 / (1 + np.exp(-margin))
    minutes = np.sort(random.integers(0, 180 * 1440, rows))
    absent = random.random(rows) < 0.03
    data = pa.table({
        **{name: pa.array(values, mask=absent if name == "num4" else None) for name, values in numbers.items()},
        "cat1": pa.array(cat1), "cat2": pa.array(cat2), "flag": pa.array(flag),
        "when": pa.array([START + timedelta(minutes=int(m)) for m in minutes], pa.timestamp("us", "UTC")),
        "entity": pa.array([f"e{seed:02d}{n:06d}" for n in range(rows)]),
        "sex": pa.array(random.choice(["female", "male"], rows)),
        "outcome": pa.array(np.where(label, "yes", "no")),
    })
    return Table.of(data, name="world", origin="world.parquet")

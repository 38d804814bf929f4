"""Ground for the tests of the data stage: a clean case, and where real data lies."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.core.case import Steps
from shipworthy.core.learned import Parts
from shipworthy.core.project import Project
from shipworthy.core.table import Table
from shipworthy.data.analysis.contract import contract, validate
from shipworthy.data.analysis.datasheet import datasheet
from shipworthy.data.analysis.profile import profile
from shipworthy.data.augmentation.label_noise import suspect_labels
from shipworthy.data.collection.collect import collect
from shipworthy.data.collection.discovery import discover
from shipworthy.data.preprocessing.clean import clean
from shipworthy.sabotage.world import world, world_project

Case = dict[str, Any]


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """The path of a real table; the test is skipped, and says so, when it is not there."""
    root = Path(os.environ.get("SHIPWORTHY_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"the real table {name} is not at {root}")
        return path

    return find


@pytest.fixture(scope="session")
def case() -> Case:
    return make_case(0)


def make_case(seed: int, table: Table | None = None, project: Project | None = None) -> Case:
    """What the data stage makes of a table: the subjects of its checks."""
    project = project or world_project()
    source = table or world(seed)
    raw = collect({source.name: source}, project)
    seen = profile(raw)
    cleaned, ledger = clean(raw, seen, project)
    steps = Steps(
        profile=profile, contract=contract, validate=validate, discover=discover, suspect_labels=suspect_labels,
        clean=lambda rows: clean(rows, profile(rows), project), train=_none, contributions=_none, reference=_none,
        answer=_none, recourse=_none, review=_none, serve=_none, alarm=_none,
    )
    order = np.random.default_rng(seed).permutation(cleaned.rows)
    ends = (int(0.65 * cleaned.rows), int(0.8 * cleaned.rows))
    parts = Parts(*(cleaned.take(np.sort(rows)) for rows in np.split(order, ends)))
    promised = contract(parts.learn)
    catalogue = discover([source], project)
    return {
        "project": project, "catalogue": catalogue, "raw": raw, "table": cleaned, "ledger": ledger, "profile": seen,
        "contract": promised, "parts": parts, "steps": steps,
        "datasheet": datasheet(catalogue, seen, promised, ledger, project),
    }


def _none(*_: object) -> None:
    raise AssertionError("the data stage needs no model")

"""Every check of the data stage sees its planted fault and is quiet on clean ground."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shipworthy import data as stage
from shipworthy.core.evidence import Judged
from shipworthy.core.judge import run
from shipworthy.core.registry import Marked
from shipworthy.marks import MARK
from shipworthy.sabotage import data as faults
from shipworthy.sabotage import personal


def marked(package: ModuleType, kind: str) -> dict[str, Marked]:
    """What a package marks, whether it is installed or not."""
    names = [info.name for info in pkgutil.walk_packages(getattr(package, "__path__", []), package.__name__ + ".")]
    modules = [package, *map(importlib.import_module, names)]
    found = [(getattr(value, MARK), value, module) for module in modules for value in vars(module).values()
             if isinstance(getattr(value, MARK, None), dict) and value.__module__ == module.__name__]
    return {facts["name"]: Marked(facts["name"], value, facts, module.__name__)
            for facts, value, module in found if facts["kind"] == kind}


CHECKS = marked(stage, "check")
FAULTS = marked(faults, "sabotage") | marked(personal, "sabotage")
TWINS = marked(faults, "twin") | marked(personal, "twin")


def test_every_check_of_the_stage_has_a_fault() -> None:
    assert set(CHECKS) == {each.facts["check"] for each in FAULTS.values()}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_planted_fault_is_caught(name: str, case: dict[str, Any]) -> None:
    fault = FAULTS[name]
    finding = run(CHECKS[fault.facts["check"]], fault.function(case), {}, Judged())
    assert finding.verdict == "fail", finding.sentence
    assert finding.remedy


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_check_is_quiet_on_clean_ground(name: str, case: dict[str, Any]) -> None:
    ground = TWINS[name].function(case, 1) if name in TWINS else case
    finding = run(CHECKS[name], ground, {}, Judged())
    assert finding.verdict == "pass", finding.sentence


def test_the_stage_is_where_it_says() -> None:
    assert Path(stage.__path__[0]).name == "data"

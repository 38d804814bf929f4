"""The bank counts what it heard of clean twins: quiet, a false alarm, or nothing; only the first is good."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.registry import Marked, Registry
from shipworthy.errors import BadData
from shipworthy.sabotage.bank import MAY_BE_UNKNOWN, run_bank

ROW = "data.variance"
PAGE_MAKER = Path(__file__).resolve().parents[2] / "tools" / "make_bank_page.py"


def bank_of(check: Callable[..., Finding], **clean: Any) -> dict[str, int | bool]:
    """What the bank counts over three twins of one check whose fault is `broken = True`."""
    def broken(case: dict[str, Any]) -> dict[str, Any]:
        return {**case, "broken": True}

    known = Registry({"check": {"c": Marked("c", check, {"row": ROW}, "here")},
                      "sabotage": {"s": Marked("s", broken, {"check": "c"}, "here")}})
    [found] = run_bank(lambda seed: {"broken": False, **clean}, known, twins=3)
    return {"caught": found.caught, "cries": found.false_alarms, "unknown": found.unknown, "quiet": found.quiet}


def says(clean: Verdict) -> Callable[..., Finding]:
    def check(broken: bool) -> Finding:
        return say("fail" if broken else clean, "A sentence.")

    return check


@pytest.mark.parametrize(("verdict", "counts"), [
    ("pass", {"cries": 0, "unknown": 0, "quiet": 3}), ("attested", {"cries": 0, "unknown": 0, "quiet": 3}),
    ("fail", {"cries": 3, "unknown": 0, "quiet": 0}), ("unknown", {"cries": 0, "unknown": 3, "quiet": 0}),
    ("not-applicable", {"cries": 0, "unknown": 3, "quiet": 0}),
])
def test_only_a_check_that_judged_and_passed_is_quiet(verdict: Verdict, counts: dict[str, int]) -> None:
    assert bank_of(says(verdict)) == {"caught": True, **counts}


def test_a_check_that_crashes_is_neither_caught_nor_quiet() -> None:
    def check(broken: bool) -> Finding:
        raise TypeError("unsupported operand")

    assert bank_of(check) == {"caught": False, "cries": 0, "unknown": 3, "quiet": 0}


def test_a_check_that_refuses_its_input_is_neither_caught_nor_quiet() -> None:
    def check(broken: bool) -> Finding:
        raise BadData("no rows")

    assert bank_of(check) == {"caught": False, "cries": 0, "unknown": 3, "quiet": 0}


def test_a_twin_without_the_subject_is_unknown() -> None:
    def check(broken: bool, absent: int) -> Finding:
        return say("pass", "A sentence.")

    assert bank_of(check) == {"caught": False, "cries": 0, "unknown": 3, "quiet": 0}


def test_the_page_shows_caught_false_alarms_and_unknown(tmp_path: Path) -> None:
    one = {"check": "c", "row": ROW, "sabotage": "s", "caught": True, "false_alarms": 1, "unknown": 2, "twins": 5}
    told = tmp_path / "bank.json"
    told.write_text(json.dumps({"checks": [one], "caught": 1, "planted": 1}), encoding="utf-8")
    code = (f"import runpy; page = runpy.run_path({str(PAGE_MAKER)!r})['page']; import json; "
            f"print(page(json.load(open({str(told)!r}))))")
    page = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "1 false alarm (20.00%), 2 times unknown, and quiet and judged 2 of 5 times." in page
    assert "| row | check | planted fault | caught | false alarms | unknown |" in page
    assert f"| `{ROW}` | `c` | s | yes | 1 of 5 | 2 of 5 |" in page
    assert all(f"- `{name}`: " in page for name in MAY_BE_UNKNOWN)

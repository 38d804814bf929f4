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


def test_the_page_shows_every_ground_and_what_was_missed(tmp_path: Path) -> None:
    one = {"check": "c", "row": ROW, "sabotage": "s", "caught": True, "false_alarms": 1, "unknown": 2, "twins": 5,
           "table": "", "outcome": "caught", "seconds": 0.5}
    real = [{**one, "table": "adult", "caught": False, "outcome": word, "unknown": 5, "false_alarms": 0}
            for word in ("missed", "not judged")]
    told = tmp_path / "bank.json"
    told.write_text(json.dumps({"checks": [one, *real]}), encoding="utf-8")
    code = (f"import runpy; page = runpy.run_path({str(PAGE_MAKER)!r})['page']; import json; "
            f"print(page(json.load(open({str(told)!r}))))")
    page = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "1 checks, each with its planted faults, on the clean world and 1 real tables: `adult`." in page
    assert "| the clean world | 1 | 0 | 0 | 1 (33.33%) | 3 of 5 |" in page
    assert "| `adult` | 0 | 1 | 1 | 0 (–) | 0 of 5 |" in page
    assert "- adult: `c`, s." in page
    assert f"| `{ROW}` | `c` | s | yes | 1 of 5 | 2 of 5 | 0.50 |" in page
    assert all(f"- `{name}`: " in page for name in MAY_BE_UNKNOWN)


def test_what_fails_of_a_real_table_is_not_judged_there() -> None:
    def check(broken: bool) -> Finding:
        return say("fail", "A true failure.")

    def broken(case: dict[str, Any]) -> dict[str, Any]:
        return {**case, "broken": True}

    known = Registry({"check": {"c": Marked("c", check, {"row": ROW}, "here")},
                      "sabotage": {"s": Marked("s", broken, {"check": "c"}, "here")}})
    [real] = run_bank(lambda seed: {"broken": False}, known, table="adult", twins=2)
    assert (real.outcome, real.false_alarms, real.unknown) == ("not judged", 0, 2)
    [world] = run_bank(lambda seed: {"broken": False}, known, twins=2)
    assert (world.outcome, world.false_alarms) == ("caught", 2)


def test_a_fault_that_a_ground_cannot_hold_is_not_judged_there() -> None:
    def check(broken: bool) -> Finding:
        return say("pass", "A sentence.")

    def nowhere(case: dict[str, Any]) -> dict[str, Any]:
        raise BadData("no column is a number")

    known = Registry({"check": {"c": Marked("c", check, {"row": ROW}, "here")},
                      "sabotage": {"s": Marked("s", nowhere, {"check": "c"}, "here")}})
    [real] = run_bank(lambda seed: {"broken": False}, known, table="adult", twins=1)
    assert real.outcome == "not judged"
    [world] = run_bank(lambda seed: {"broken": False}, known, twins=1)
    assert world.outcome == "missed"

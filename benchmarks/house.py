"""The house bars: what Shipworthy promises about time, memory, size, scores, and what it catches.

Every number comes from the command line, or from a fresh process, as a user would start it. `--quick` measures the
small bars whole, shrinks two, leaves the rest out, and says so beside each; what would not end in time is stopped.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import projects
from benchmarks.frame import (
    NAME,
    ONE_CORE,
    ROOT,
    Bar,
    Broken,
    closure,
    data_folder,
    median_seconds,
    python,
    run,
    shipworthy,
    unmeasured,
    within,
)

SKIPPED = "skipped by --quick"
QUICK_SECONDS = 110.0
COPIES = 7
ROWS, COLUMNS = 500_000, 20
TWINS, QUICK_TWINS, QUICK_STEP = 20, 3, 3
LIST_CHECKS = "from shipworthy.core.registry import registry; print(*registry().checks)"
LEARNING, DEMO, SHORT = 30.0, 60.0, 3.0


@dataclass(frozen=True)
class Group:
    """Bars that one measurement answers. bars: what they are, without values. data: the folder they need, or ""."""

    bars: tuple[Bar, ...]
    measure: Callable[[bool], list[Bar]]
    quick: bool = True
    data: str = ""


def measure(*, quick: bool, progress: Callable[[str], None], only: Sequence[str] = ()) -> list[Bar]:
    """Every bar, in order, measured or with the reason why not. only: words that a group's name must be among."""
    found: list[Bar] = []
    with within(QUICK_SECONDS) if quick else nullcontext():
        for name, group in GROUPS.items():
            if not only or name in only:
                progress(f"{name}, left out" if quick and not group.quick else name)
                found += _measured(group, quick)
    return found


def _measured(group: Group, quick: bool) -> list[Bar]:
    if quick and not group.quick:
        return unmeasured(group.bars, SKIPPED)
    if group.data and not (data_folder() / group.data).is_file():
        return unmeasured(group.bars, f"no {group.data} in the data folder: set SHIPWORTHY_DATA")
    try:
        return group.measure(quick)
    except Broken as error:
        return unmeasured(group.bars, f"broke: {error}")


# ── the command line and its installation ────────────────────────────────────────────────────────────────────────


def _start(quick: bool) -> list[Bar]:
    with tempfile.TemporaryDirectory() as home:
        commands = [python("-c", "pass"), python("-c", f"import {NAME}"), shipworthy("--help")]
        bare, whole, told = median_seconds(commands, times=COPIES, folder=Path(home))
    note = f"median of {COPIES} fresh processes"
    return _filled(START, [(1e3 * (whole - bare), f"{note}, less the bare interpreter ({1e3 * bare:.0f} ms)"),
                           (1e3 * told, note)])


def _size(quick: bool) -> list[Bar]:
    return _filled(SIZE, [(float(len(closure(NAME))), "without extras, by the metadata of what is installed here")])


# ── one pass over a table ────────────────────────────────────────────────────────────────────────────────────────


def _profile(quick: bool) -> list[Bar]:
    with tempfile.TemporaryDirectory() as home:
        table = Path(home) / "mixed.parquet"
        run(python("-m", "benchmarks.tables", "mixed", str(table), str(ROWS)), folder=ROOT).fine()
        ran = run(python("-m", "benchmarks.tables", "profile", str(table)), folder=ROOT, environment=ONE_CORE).fine()
    cost = json.loads(ran.out)
    cells = ROWS * COLUMNS
    if cost["cells"] != cells:
        raise Broken(f"{cost['cells']:,} of {cells:,} cells were profiled")
    note = f"{ROWS:,} rows x {COLUMNS} mixed columns, processor time of reading and profiling, one thread"
    return _filled(PROFILE, [(cost["cpu_seconds"] / cells * 1e9, note), (ran.peak_bytes / 1e9, "imports included")])


# ── table to release ─────────────────────────────────────────────────────────────────────────────────────────────


def _adult(quick: bool) -> list[Bar]:
    with tempfile.TemporaryDirectory() as home:
        table = Path(home) / "adult.parquet"
        source = data_folder() / GROUPS["adult"].data
        run(python("-m", "benchmarks.tables", "adult", str(source), str(table)), folder=ROOT).fine()
        journey = projects.init_and_run(Path(home) / "project", table, "income", seconds=LEARNING)
    tidied = "both parts as one table, the final dot of the test labels removed; init and run"
    peak = "largest process; peaks of processes side by side are not added"
    return _filled(ADULT, [(journey.wall_seconds, tidied), (journey.peak_bytes / 1e9, peak),
                           _score(journey, LEARNING)])


def _telco(quick: bool) -> list[Bar]:
    return _scored("telco", TELCO, "Churn", seconds=SHORT if quick else LEARNING)


def _california(quick: bool) -> list[Bar]:
    return _scored("california", CALIFORNIA, "median_house_value", seconds=LEARNING)


def _scored(group: str, bars: tuple[Bar, ...], target: str, *, seconds: float) -> list[Bar]:
    with tempfile.TemporaryDirectory() as home:
        table = data_folder() / GROUPS[group].data
        journey = projects.init_and_run(Path(home), table, target, seconds=seconds)
    return _filled(bars, [_score(journey, seconds)])


def _score(journey: projects.Journey, seconds: float) -> tuple[float, str]:
    """The holdout score of a journey, and how it was come by."""
    found = journey.find("requirements")
    if found.get("value") is None:
        raise Broken(f"no holdout score: {found['sentence']}")
    return float(found["value"]), (f"[{found['low']:.4f}, {found['high']:.4f}] on {found['n']:,} holdout rows; "
                                   f"{seconds:.0f} s of learning, {journey.wall_seconds:.0f} s in all"
                                   f"{'; shrunk by --quick' if seconds == SHORT else ''}")


# ── what is caught ───────────────────────────────────────────────────────────────────────────────────────────────


def _sabotage(quick: bool) -> list[Bar]:
    twins = QUICK_TWINS if quick else TWINS
    chosen: list[str] = []
    if quick:
        chosen = run(python("-c", LIST_CHECKS)).fine().out.split()[::QUICK_STEP]
    only = [word for name in chosen for word in ("--check", name)]
    ran = run(shipworthy("sabotage", "--json", "--twins", str(twins), *only)).fine(0, 1)
    results: list[dict[str, Any]] = json.loads(ran.out)["checks"]
    if not results:
        raise Broken("the bank is empty")
    missed = [f"{one['check']} ({one['sabotage']})" for one in results if not one["caught"]]
    # A check with two faults is listed twice with the same twins.
    cries = {one["check"]: one["false_alarms"] for one in results}
    noisy = ", ".join(f"{name} {count} of {twins}" for name, count in cries.items() if count)
    shrunk = f"; shrunk by --quick to one check in {QUICK_STEP}" if quick else ""
    size = f"{len(cries)} checks x {twins} clean twins{shrunk}"
    caught = 1 - len(missed) / len(results)
    tale = f"{len(results)} planted faults; missed: {', '.join(missed) or 'none'}"
    rates = [count / twins for count in cries.values()]
    unsure = sum({one["check"]: one["unknown"] for one in results}.values())
    return _filled(SABOTAGE, [(caught, tale), (max(rates), f"{size}; alarms: {noisy or 'none'}; {unsure} unknown")])


def _bank(quick: bool) -> list[Bar]:
    return _leak("bank", BANK, "y", {"duration"})


def _loans(quick: bool) -> list[Bar]:
    return _leak("loans", LOANS, "interest_rate", {"grade", "sub_grade"})


def _leak(group: str, bars: tuple[Bar, ...], target: str, true: set[str]) -> list[Bar]:
    """Refused on a true finding, with the project file as init wrote it; then quiet, once its remedy was taken."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        projects.init_and_run(folder, data_folder() / GROUPS[group].data, target, seconds=SHORT)
        told = projects.checklist(folder)
        leak = projects.finding(told, "no-leak")
        names = projects.named(leak)
        refused = leak["verdict"] == "fail" and "data.profiling" in told["refusals"] and bool(true & set(names))
        note = f"no-leak names: {', '.join(names) or 'nothing'}"
        if not names:
            return _filled(bars, [(float(refused), note), (None, "nothing was named, so nothing was set aside")])
        projects.set_aside(folder, names)
        projects.build(folder)
        again = projects.finding(projects.checklist(folder), "no-leak")
    left = ", ".join(projects.named(again)) or "nothing"
    return _filled(bars, [(float(refused), note), (float(again["verdict"] == "pass"), f"no-leak names: {left}")])


def _flights(quick: bool) -> list[Bar]:
    """The two attempts of the demo: every column is refused, the same without the columns named is promoted."""
    with tempfile.TemporaryDirectory() as home:
        naive, honest = Path(home) / "naive", Path(home) / "honest"
        projects.flights(naive, seconds=SHORT)
        leak = projects.build(naive).find("no-leak")
        names = projects.named(leak)
        refused = leak["verdict"] == "fail" and not projects.promoted(naive)
        note = f"no-leak names: {', '.join(names) or 'nothing'}"
        projects.flights(honest, seconds=DEMO)
        projects.set_aside(honest, names)
        built = projects.build(honest)
        accepted = projects.promoted(honest)
        unproved = projects.unproved(projects.checklist(honest))
    auc = built.find("requirements")
    score = f"AUC {auc['value']:.4f} on {auc['n']:,} holdout rows" if auc.get("value") is not None else "no score"
    tail = f"; not proved: {' '.join(unproved)}" if unproved else ""
    return _filled(FLIGHTS, [(float(refused), note), (float(accepted), score + tail)])


def _filled(bars: Sequence[Bar], values: Sequence[tuple[float | None, str]]) -> list[Bar]:
    return [Bar(bar.what, value, bar.limit, bar.better, note)
            for bar, (value, note) in zip(bars, values, strict=True)]


# ── the bars and their limits ────────────────────────────────────────────────────────────────────────────────────

START = (Bar("import shipworthy, ms", None, 50, "lower"), Bar("shipworthy --help, ms", None, 300, "lower"))
SIZE = (Bar("distributions in a core install", None, 45, "lower"),)
PROFILE = (Bar("profile of 10 million cells, ns per cell on one core", None, 100, "lower"),
           Bar("profile of 10 million cells, peak GB", None, 1.0, "lower"))
SABOTAGE = (Bar("sabotage bank: share of planted faults caught", None, 0.95, "higher"),
            Bar("sabotage bank: false alarms of the worst check, per clean twin", None, 0.02, "lower"))
ADULT = (Bar("adult: table to release, s", None, 75, "lower"),
         Bar("adult: table to release, peak GB", None, 2.0, "lower"),
         Bar("adult: holdout AUC", None, 0.925, "higher"))
TELCO = (Bar("telco_churn: holdout AUC", None, 0.84, "higher"),)
CALIFORNIA = (Bar("california_housing: holdout R2", None, 0.84, "higher"),)
BANK = (Bar("bank_marketing: refused, and no-leak names duration", None, 1, "higher"),
        Bar("bank_marketing: no leak once those are set aside", None, 1, "higher"))
LOANS = (Bar("loans_full_schema: refused, and no-leak names grade or sub_grade", None, 1, "higher"),
         Bar("loans_full_schema: no leak once those are set aside", None, 1, "higher"))
FLIGHTS = (Bar("flights: the naive attempt is refused for a leak", None, 1, "higher"),
           Bar("flights: the honest attempt is promoted", None, 1, "higher"))

GROUPS = {
    "start": Group(START, _start),
    "size": Group(SIZE, _size),
    "profile": Group(PROFILE, _profile),
    "sabotage": Group(SABOTAGE, _sabotage),
    "telco": Group(TELCO, _telco, data="business/telco_churn/Telco-Customer-Churn.csv"),
    "adult": Group(ADULT, _adult, quick=False, data="fairness/adult/adult.parquet"),
    "california": Group(CALIFORNIA, _california, quick=False, data="regression/california_housing/housing.parquet"),
    "loans": Group(LOANS, _loans, quick=False, data="business/loans_full_schema/loans.parquet"),
    "bank": Group(BANK, _bank, quick=False, data="fairness/bank_marketing/bank_full.parquet"),
    "flights": Group(FLIGHTS, _flights, quick=False),
}

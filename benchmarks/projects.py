"""A project as a user makes one: `shipworthy init`, an edit of the file, `shipworthy run`, and what it said."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks.frame import Broken, Ran, run, shipworthy

FILE = "shipworthy.toml"
APPROVER = "approver@example.org"
FIT, UNFIT = 0, 1


@dataclass(frozen=True)
class Journey:
    """A run to a release candidate: what `run --json` printed, and what it took from the first command on."""

    printed: dict[str, Any]
    wall_seconds: float
    peak_bytes: int

    def find(self, check: str) -> dict[str, Any]:
        """The finding of a check. Raises Broken if it said nothing."""
        found = [one for one in self.printed["evidence"]["findings"] if one["check"] == check]
        if not found:
            raise Broken(f"the check {check} has no finding")
        one: dict[str, Any] = found[0]
        return one


def init(folder: Path, table: Path, target: str) -> Ran:
    """The run of `shipworthy init`, which wrote a project file into the folder."""
    return run(shipworthy("init", str(table), "--target", target, "--project", str(folder))).fine()


def init_and_run(folder: Path, table: Path, target: str, *, seconds: float) -> Journey:
    """Table to release candidate by the command line; the only edit is the learning budget."""
    started = init(folder, table, target)
    setting(folder, "seconds", seconds)
    built = build(folder)
    return Journey(built.printed, started.wall_seconds + built.wall_seconds,
                   max(started.peak_bytes, built.peak_bytes))


def build(folder: Path) -> Journey:
    """`shipworthy run --json` in a project folder, fit or not."""
    ran = run(shipworthy("run", "--project", str(folder), "--json")).fine(FIT, UNFIT)
    return Journey(json.loads(ran.out), ran.wall_seconds, ran.peak_bytes)


def checklist(folder: Path) -> dict[str, Any]:
    """What `shipworthy checklist --json` prints about the newest release candidate."""
    ran = run(shipworthy("checklist", "--project", str(folder), "--json")).fine(FIT, UNFIT)
    told: dict[str, Any] = json.loads(ran.out)
    return told


def finding(told: dict[str, Any], check: str) -> dict[str, Any]:
    """The finding of a check on a checklist. Raises Broken if it said nothing."""
    for row in told["rows"]:
        for one in row["findings"]:
            if one["check"] == check:
                return dict(one)
    raise Broken(f"the check {check} has no finding")


def unproved(told: dict[str, Any]) -> list[str]:
    """What the checks of a checklist said that stand between a candidate and its promotion, each with its name."""
    return [f"{one['check']}: {one['sentence']}" for row in told["rows"] if row["row"] in told["refusals"]
            for one in row["findings"] if one["verdict"] in ("fail", "unknown")]


def named(leak: dict[str, Any]) -> list[str]:
    """The columns that a finding of no-leak names."""
    return [suspect[0] for suspect in leak.get("counterexample", {}).get("suspects", [])]


def promoted(folder: Path) -> bool:
    """Whether `shipworthy promote` made the newest candidate the champion. Raises Broken if it was misused."""
    ran = run(shipworthy("promote", "--project", str(folder), "--by", APPROVER, "--why", "benchmark"))
    return ran.fine(FIT, UNFIT).code == FIT


def setting(folder: Path, key: str, value: float | str) -> None:
    """Change one setting of the project file that is there already. Raises Broken if it is not."""
    path = folder / FILE
    text, count = re.subn(rf"(?m)^{re.escape(key)} = \S+", f"{key} = {value}", path.read_text("utf-8"), count=1)
    if not count:
        raise Broken(f"the project file has no {key}")
    path.write_text(text, encoding="utf-8")


def set_aside(folder: Path, columns: Iterable[str]) -> None:
    """Write the columns into [data] set_aside, as the remedy of no-leak says."""
    path = folder / FILE
    line = f"set_aside = {json.dumps(list(columns), ensure_ascii=False)}\n"
    text = re.sub(r"(?m)^set_aside = .*\n", "", path.read_text("utf-8"))
    text, count = re.subn(r"(?m)^(target = .*\n)", lambda found: found[1] + line, text, count=1)
    if not count:
        raise Broken("the project file has no target")
    path.write_text(text, encoding="utf-8")


def flights(folder: Path, *, seconds: float) -> None:
    """A folder with the bundled flight tables and the first attempt's project file."""
    bundled = Path(str(files("shipworthy.exchange.flights")))
    folder.mkdir(parents=True)
    for path in bundled.glob("*.parquet"):
        shutil.copy(path, folder)
    shutil.copy(bundled / "naive.toml", folder / FILE)
    setting(folder, "seconds", seconds)

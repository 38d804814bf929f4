"""When groups may be measured, what is wished for, and what can be done about a gap."""

from __future__ import annotations

import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.found import Profile
from shipworthy.core.groups import LEAST as LEAST
from shipworthy.core.groups import Grouping as Grouping
from shipworthy.core.groups import groupings as groupings
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.errors import BadProject, one_of

MOST_TIMES = 1_000.0
MOST_HELD_OUT = 0.5


def not_people(project: Project, profile: Profile) -> str:
    """Why no row is about a person: the project declares a thing, nothing is protected or declared personal, and the
    scanner finds no personal column. Empty if somebody may be concerned; a declaration alone shows nothing.
    """
    if project.project.subject != "thing" or project.data.protected or project.data.personal:
        return ""
    if any(column.personal for column in profile.columns):
        return ""
    return ('rows are declared to be about things, [project] subject = "thing", no column is protected, and the '
            "scanner finds no personal data")


def unmeasured(project: Project, profile: Profile, model: Model, table: Table, *, what: str) -> Finding | None:
    """Why no group may be measured: it does not apply, nothing is protected, or no criterion was chosen; else None.

    what: the subject in words, such as "Fairness". The criterion comes before any figure of a group.
    """
    absent = "" if table.schema.protected else not_people(project, profile)
    if absent:
        return say("not-applicable", f"{what} between groups does not apply: {absent}.")
    if not table.schema.protected:
        return say("unknown", "No protected column is declared, so nobody can say who is treated alike.",
                   remedy='declare one, [data] protected = ["sex"], or [project] subject = "thing" if rows '
                   'are not people')
    if project.fairness.criterion == "none":
        return say("unknown", "No fairness criterion was chosen before measuring.",
                   remedy='choose one now: [fairness] criterion = "impact-ratio" or "equalised-odds"')
    if model.task == "multiclass":
        return say("unknown", "Which of several classes is favourable is not declared, so no rate can be compared.",
                   remedy="state the decision as two classes: [data] positive or [data.target_rule]")
    return None


def wished(project: Project, model: Model) -> int:
    """The code of the class that people wish for: the second of two unless the project names the other.

    Raises BadProject where it names no class.
    """
    name = project.fairness.favourable
    if not name or model.task == "regression":
        return 1
    if name not in model.classes:
        raise BadProject(f'"{name}" is not a value of {model.sheet.target}', where="[fairness] favourable",
                         hint=one_of(name, model.classes))
    return model.classes.index(name)


def favourable(model: Model, score: Floats, wish: int = 1) -> Ints:
    """1 where a row is selected, (n,): decided for the class wished for; for a regression scored above the median.

    Source for the median: 6 RCNY 5-301 (New York City), scoring rate.
    """
    chosen = score > np.median(score) if model.task == "regression" else model.decide(score) == wish
    return np.asarray(chosen, np.int64)


def came_true(model: Model, truth: Floats | Ints, wish: int = 1) -> Ints:
    """1 where the class wished for came true, (n,); for a regression above the median."""
    return np.asarray(truth > np.median(truth) if model.task == "regression" else truth == wish, np.int64)


def in_words(model: Model, wish: int = 1) -> str:
    """What is wished for, such as "outcome = yes"."""
    target = model.sheet.target
    return f"{target} = {model.classes[wish]}" if model.classes else f"a {target} above the median"


def mend(way: Grouping, model: Model, row: str) -> str:
    """What can be done about a gap between groups, and how to accept it. row: of the survey."""
    read = [name for name in way.columns if name in model.features.columns]
    without = f" (to leave {' and '.join(read)} out seldom helps: other columns stand in)" if read else ""
    return f"see what each mitigation costs: shipworthy mitigate{without}; or {_waive(row)}"


def _waive(row: str) -> str:
    return f"accept it for a time: shipworthy waive {row} --by WHO --reason WHY --until DAY"


def enough(rows: int, *, value: float, end: float, limit: float, row: str, share: float) -> tuple[str, str]:
    """How many rows of the smaller group would settle a figure that chance leaves open, in a sentence; and a remedy.

    rows: those it has. end: of the interval, beyond the limit. row: of the survey. share: of all rows, held out now.
    An interval narrows with the root of the rows.
    """
    waive = _waive(row)
    room, width = abs(limit - value), abs(end - value)
    if not room * MOST_TIMES**0.5 >= width:
        return "It is so near what is allowed that no number of rows in reach would tell.", waive
    times = (width / room) ** 2
    told = f"The smaller group has {rows:,} rows here; about {int(np.ceil(rows * times)):,} would tell."
    if share * times <= MOST_HELD_OUT:
        return told, f"hold out a larger share, [split] holdout = {np.ceil(100 * share * times) / 100:.2f}; or {waive}"
    return told, f"that takes more rows than there are to hold out: gather more, or {waive}"

"""The budget of a project: every private training is on record, and none begins that the budget does not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from shipworthy.core.canon import canonical
from shipworthy.core.packing import unpack_learned
from shipworthy.core.private import Spent
from shipworthy.core.project import Project
from shipworthy.errors import Misuse

ACTION = "spend privacy"
Lines = Sequence[Mapping[str, Any]]
Compute = Callable[[], Mapping[str, Any]]


def within(project: Project, lines: Lines, compute: Compute, record: Callable[..., Any]) -> Compute:
    """A training that puts what it spends on record before anything of it is kept; any other as it is.

    lines: the audit ledger. record: puts a line there. Raises Misuse, when it is called, where as many trainings are on
    record as [privacy] allows releases.
    """
    rules = project.privacy
    if rules is None:
        return compute

    def accounted() -> Mapping[str, Any]:
        made = len(on_record(lines))
        if made >= rules.releases:
            raise Misuse(f"the privacy budget is spent: {made} of {rules.releases} trainings were made",
                         where="[privacy] releases",
                         hint="go on with the release that there is; more trainings need a larger epsilon, declared "
                         "before the first")
        if not project.project.trainer:
            raise Misuse("this training would spend privacy on a release that nobody may promote, as no trainer is "
                         "named", where="[project] trainer",
                         hint="name trainer, owner and approver, and the owner and licence of each source, first")
        outputs = compute()
        spent = unpack_learned(outputs).chosen.private
        record(actor=project.project.trainer, role="trainer", action=ACTION,
               subject={"spent": canonical(spent).decode()})
        return outputs

    return accounted


def on_record(lines: Lines) -> tuple[Spent, ...]:
    """What every training of the project spent, oldest first."""
    return tuple(msgspec.json.decode(line["subject"]["spent"], type=Spent) for line in lines
                 if line.get("action") == ACTION)

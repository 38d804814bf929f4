"""Settings of the project file that must agree with each other."""

from __future__ import annotations

from shipworthy.core.people import same
from shipworthy.core.settings.data import Splitting
from shipworthy.core.settings.renewing import Renewing
from shipworthy.errors import BadProject

DATES = ("learn_until", "tune_until", "holdout_until")


def check_dates(rule: Splitting, where: str) -> None:
    """Raise BadProject for dates of [split] that cannot be read, lack one another or do not follow each other."""
    found = []
    for name in DATES:
        try:
            found += [rule.until(name)] if getattr(rule, name) else []
        except ValueError as error:
            raise BadProject(f"{getattr(rule, name)!r} is not a time with its zone", where=f"{where}, [split] {name}",
                             hint='write a day, which begins at midnight UTC, such as "2024-06-01", or a time such as '
                                  '"2024-06-01T06:00:00Z"') from error
    if found and not (rule.learn_until and rule.tune_until):
        raise BadProject("learn_until and tune_until go together", where=f"{where}, [split]",
                         hint="write both, or neither and the shares tune and holdout")
    if found != sorted(set(found)):
        raise BadProject("learn_until, tune_until and holdout_until must follow each other", where=f"{where}, [split]",
                         hint='write them in order, such as "2024-06-01", "2024-08-01", "2024-10-01"')


def check_approval(rules: Renewing, trainer: str, where: str) -> None:
    """Raise BadProject where a challenger is to take over by itself and nobody, or its trainer, approved of that."""
    if rules.then != "candidate" and not rules.approver.strip():
        raise BadProject(f'then = "{rules.then}" needs somebody who gave standing approval', where=f"{where}, [renew]",
                         hint='name them: approver = "NAME", or write then = "candidate"')
    if same(rules.approver, trainer):
        raise BadProject(f"{rules.approver} trains the model and may not approve it",
                         where=f"{where}, [renew] approver", hint="name someone else")

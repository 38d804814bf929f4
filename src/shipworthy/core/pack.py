"""A rule pack: what one law asks, clause by clause, as dated data, in our words. It is not legal advice."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal

import msgspec

from shipworthy.core.project import Project

FRESH_DAYS = 180
Words = Annotated[str, msgspec.Meta(min_length=1)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a pack; what it does not know is an error."""


class When(_Strict, frozen=True):
    """To which projects a clause applies; what is left out is of no concern to it.

    subject: what rows are about. decides: whether an answer decides something about a person. personal: whether
    personal columns are declared. protected: whether protected ones are. uses, roles: one of these must be declared in
    [law].
    """

    subject: Literal["person", "thing", ""] = ""
    decides: bool | None = None
    personal: bool | None = None
    protected: bool | None = None
    uses: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()

    def holds(self, project: Project) -> bool:
        """Whether all that is said is so. A project whose subject nobody declared counts as about persons."""
        about, law = project.project, project.law
        person = "thing" if about.subject == "thing" else "person"
        told = {"subject": person, "decides": about.decides, "personal": bool(project.data.personal),
                "protected": bool(project.data.protected)}
        plain = all(getattr(self, name) in ("", None, value) for name, value in told.items())
        return plain and all(not wanted or set(wanted) & set(given)
                             for wanted, given in ((self.uses, law.uses), (self.roles, law.roles)))


class Clause(_Strict, frozen=True):
    """One duty. ref: its place in the law. text: what it asks, in our words. evidence: ids of rows or checks that must
    all hold. max_age_days: how old a finding may be. effective_from, repealed_on: where they differ from the pack's.
    """

    ref: Words
    text: Words
    evidence: Annotated[tuple[Words, ...], msgspec.Meta(min_length=1)]
    applies_if: When = When()
    max_age_days: Annotated[int, msgspec.Meta(ge=1)] = FRESH_DAYS
    effective_from: date | None = None
    repealed_on: date | None = None


class Pack(_Strict, frozen=True):
    """One law or standard. as_of: when somebody last looked at it. source: where our words come from.

    status: a draft never gives a pass. checked_against_official: whether somebody compared it with the official text;
    until then a lawyer's signature must stand in. supersedes: ids or names of what it took the place of.
    """

    id: Words
    title: Words
    jurisdiction: Words
    as_of: date
    effective_from: date
    source: Words
    clauses: Annotated[tuple[Clause, ...], msgspec.Meta(min_length=1)]
    status: Literal["draft", "current"] = "draft"
    repealed_on: date | None = None
    supersedes: tuple[str, ...] = ()
    checked_against_official: bool = False
    note: str = ""

    @property
    def fresh_until(self) -> date:
        """The last day on which the pack may be relied on."""
        return self.as_of + timedelta(days=FRESH_DAYS)

    def state(self, clause: Clause, day: date) -> Literal["in force", "not yet in force", "repealed"]:
        """Where a clause stands on a day."""
        ends = [end for end in (clause.repealed_on, self.repealed_on) if end]
        if ends and min(ends) <= day:
            return "repealed"
        return "in force" if (clause.effective_from or self.effective_from) <= day else "not yet in force"

"""What checks say: a finding from each, evidence from all, a verdict for every row."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import msgspec

from shipworthy.core.canon import digest
from shipworthy.core.shown import verdicts
from shipworthy.survey import ROWS, Row

Verdict = Literal["pass", "fail", "unknown", "attested", "not-applicable"]
VALID_DAYS = 180
WAIVED_DAYS = 366
AXES = ("code", "model", "data")
CAUSES = (*AXES, "pack")
_WORST: tuple[Verdict, ...] = ("fail", "unknown", "attested", "pass", "not-applicable")


class Judged(msgspec.Struct, frozen=True, omit_defaults=True):
    """The digests of what a finding is about; a change of one makes stale what depended on it.

    pack: of the rule packs, where the finding rests on them.
    """

    code: str = ""
    model: str = ""
    data: str = ""
    pack: str = ""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one check says.

    value: the point estimate. low, high: its 95 % interval. limit: what the pessimistic end was held to.
    n: rows, entities or trials behind the value. counterexample: what a reader can re-run. chart: plot data.
    settings: what the check was set to; changed: the defaults of those that the project set otherwise. until: last day
    it can be relied on, where that is sooner than the age limit.
    """

    check: str
    row: str
    verdict: Verdict
    sentence: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    n: int | None = None
    remedy: str = ""
    counterexample: dict[str, Any] = {}
    chart: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    changed: dict[str, Any] = {}
    until: date | None = None
    judged: Judged = Judged()
    at: str = ""
    seconds: float = 0.0

    @property
    def id(self) -> str:
        return f"{self.row}/{self.check}"

    @property
    def measured(self) -> bool:
        """Whether its value has an interval: a figure to show beside the sentence. A bare count the sentence says."""
        return all(one is not None and one == one for one in (self.value, self.low, self.high))

    @property
    def fine(self) -> bool:
        return self.verdict in ("pass", "attested", "not-applicable")


class Waiver(msgspec.Struct, frozen=True):
    """A named person accepts a row that is not proved, for a reason, until a day. The row keeps its verdict.

    given, expires: UTC days; it holds from the one through the other, and never without a name and a reason or for
    more than a year.
    """

    row: str
    by: str
    reason: str
    given: date
    expires: date

    def __str__(self) -> str:
        return f"accepted by {self.by} until {self.expires}: {self.reason}"

    def holds(self, day: date) -> bool:
        """Whether it excuses its row on a day."""
        named = bool(self.by.strip() and self.reason.strip())
        return named and self.given <= day <= min(self.expires, self.given + timedelta(days=WAIVED_DAYS))


class Evidence(msgspec.Struct, frozen=True):
    """Many findings, grouped by row, and the verdict they add up to.

    required: rows that must hold. waivers: rows that a named person accepted. missing: row → why it has no finding.
    current: what the findings must have been made of to count today; an empty axis holds of any.
    """

    findings: tuple[Finding, ...]
    required: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    missing: dict[str, str] = {}
    current: Judged = Judged()

    def of(self, row: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.row == row)

    def find(self, check: str) -> Finding | None:
        """The finding of a check by name, or None."""
        return next((finding for finding in self.findings if finding.check == check), None)

    def verdict(self, row: str) -> Verdict:
        """The worst verdict among a row's findings; unknown where there is none."""
        verdicts = {finding.verdict for finding in self.of(row)}
        return next((verdict for verdict in _WORST if verdict in verdicts), "unknown")

    def rows(self) -> list[tuple[Row, Verdict, tuple[Finding, ...]]]:
        """Every row of the survey with its verdict and findings, in the survey's order."""
        return [(row, self.verdict(row.id), self.of(row.id)) for row in ROWS]

    @property
    def refusals(self) -> tuple[str, ...]:
        """The required rows that are not proved by evidence of today, nor waived; promotion needs this to be empty."""
        return self.refused()

    def refused(self, now: datetime | None = None) -> tuple[str, ...]:
        """The refusals at a time; now by default."""
        waived = self.waived(now)
        return tuple(row for row in self.unproved(now) if row not in waived)

    def unproved(self, now: datetime | None = None) -> tuple[str, ...]:
        """The required rows that evidence does not prove at a time, whoever accepted them; now by default."""
        return tuple(row for row in self.required if not self.holds(row, now))

    def holds(self, row: str, now: datetime | None = None) -> bool:
        """Whether evidence that counts at a time shows that a row holds; a waiver has no part in it."""
        fresh = not any(self.staleness(finding, now) for finding in self.of(row))
        return fresh and self.verdict(row) in ("pass", "attested", "not-applicable")

    def waived(self, now: datetime | None = None) -> dict[str, Waiver]:
        """Row → the waiver that holds of it at a time; now by default."""
        day = (now or datetime.now(UTC)).date()
        return {waiver.row: waiver for waiver in self.waivers if waiver.holds(day)}

    @property
    def accepted(self) -> dict[str, Waiver]:
        """The required rows that are not proved, and that a named person accepted for now."""
        waived = self.waived()
        return {row: waived[row] for row in self.unproved() if row in waived}

    @property
    def standing(self) -> str:
        """How many required rows hold, and what those are that a named person accepted, in words."""
        if not self.required:
            return "no row is required"
        proved, accepted = len(self.required) - len(self.unproved()), self.accepted
        if not accepted:
            return f"{'all' if self.fit else f'{proved} of'} {len(self.required)} required rows hold"
        verdicts = [self.verdict(row) for row in accepted]
        fails, unknown = verdicts.count("fail"), verdicts.count("unknown")
        counted = ((fails, "fails" if fails == 1 else "fail"), (unknown, "unknown"),
                   (len(accepted) - fails - unknown, "judged too long ago"))
        told = ", ".join(f"{count} {what}" for count, what in counted if count)
        return f"{proved} of {len(self.required)} required rows hold, {len(accepted)} accepted by name ({told})"

    @property
    def fit(self) -> bool:
        return not self.refusals

    @property
    def digest(self) -> str:
        return digest(self)

    def counts(self) -> dict[str, int]:
        """How many rows have each verdict."""
        verdicts = [verdict for _, verdict, _ in self.rows()]
        return {
            verdict: verdicts.count(verdict) for verdict in ("pass", "fail", "unknown", "attested", "not-applicable")
        }

    def staleness(self, finding: Finding, now: datetime | None = None) -> str:
        """Why a finding counts no longer: its age, its last day, or other code, model or data; empty if it counts."""
        now = now or datetime.now(UTC)
        for axis in CAUSES:
            told, wanted = getattr(finding.judged, axis), getattr(self.current, axis)
            if told and wanted and told != wanted:
                return f"it was made of other {axis} than today's"
        if finding.until is not None and now.date() > finding.until:
            return f"it held until {finding.until}"
        if finding.at and (age := now - datetime.fromisoformat(finding.at)) > timedelta(days=VALID_DAYS):
            return f"it is {age.days} days old, at most {VALID_DAYS} are allowed"
        return ""

    def causes(self, now: datetime | None = None) -> dict[str, tuple[Finding, ...]]:
        """Cause → the findings that count no longer because of it: "code", "model", "data", "pack" or "age"."""
        found: dict[str, list[Finding]] = {}
        for finding in self.stale(now):
            axes = [axis for axis in CAUSES if getattr(finding.judged, axis) and getattr(self.current, axis)
                    and getattr(finding.judged, axis) != getattr(self.current, axis)]
            found.setdefault(axes[0] if axes else "age", []).append(finding)
        return {cause: tuple(findings) for cause, findings in found.items()}

    def stale(self, now: datetime | None = None) -> tuple[Finding, ...]:
        """The findings that count no longer: a row that rests on one is refused until it is judged again."""
        return tuple(finding for finding in self.findings if self.staleness(finding, now))

    @property
    def changes(self) -> tuple[str, ...]:
        """What the project changed of the gate and of the checks' defaults, one sentence each."""
        told = [f"the gate also requires {row.id}" for row in ROWS if row.id in self.required and not row.required]
        told += [f"the gate does not require {row.id}" for row in ROWS if row.required and row.id not in self.required]
        return (*told, *(f"{finding.check} was judged with {key} = {_shown(finding.settings.get(key))}, "
                         f"by default {_shown(default)}"
                         for finding in self.findings for key, default in finding.changed.items()))

    def as_data(self) -> dict[str, Any]:
        """The checklist as plain data: every row with its verdict and findings, and what they add up to."""
        rows = [{"row": row.id, "verdict": verdict, "findings": findings} for row, verdict, findings in self.rows()]
        stale = {finding.id: self.staleness(finding) for finding in self.stale()}
        return {"fit": self.fit, "refusals": self.refusals, "required": self.required, "standing": self.standing,
                "missing": self.missing, "changes": self.changes, "waivers": self.waivers, "stale": stale, "rows": rows}

    def _repr_html_(self) -> str:
        lines = [(verdict, row.id, row.id in self.required, self._told(row.id)) for row, verdict, _ in self.rows()]
        return verdicts(f"fit: {self.standing}" if self.fit else "not fit: " + ", ".join(self.refusals), lines)

    def __repr__(self) -> str:
        tally = ", ".join(f"{count} {verdict}" for verdict, count in self.counts().items() if count)
        refused = f"not fit: {len(self.refusals)} of {len(self.required)} required rows refused"
        return f"Evidence({'fit' if self.fit else refused}; {tally})"

    def _told(self, row: str) -> list[tuple[str, str]]:
        """The sentences about a row, each with what helps, and who accepted it."""
        told = [(f"{f.check}: {f.sentence}", "" if f.fine else f.remedy) for f in self.of(row)]
        told += [(f"{f.check} counts no longer: {why}", "judge again: shipworthy run")
                 for f in self.of(row) if (why := self.staleness(f))]
        told = told or [(self.missing.get(row, "no check yet"), "")]
        return told + [(f"✎ {waiver}", "") for name, waiver in self.waived().items() if name == row]


def held(value: float, *, limit: float, low: float | None = None, high: float | None = None, at_most: bool) -> Verdict:
    """The verdict of a number held to a limit by the pessimistic end of its interval; NaN is unknown.

    at_most: True gates the upper end at or below the limit, False the lower end at or above it.
    """
    end = high if at_most else low
    end = value if end is None else end
    if end != end:
        return "unknown"
    return "pass" if (end <= limit if at_most else end >= limit) else "fail"


def settled(value: float, *, limit: float, low: float, high: float, at_most: bool, chance: bool = False) -> Verdict:
    """As `held`, but a value within its limit whose pessimistic end is not is unknown: there are too few rows to tell.

    chance: True also calls a value beyond its limit unknown while its interval reaches the limit. Unknown never passes.
    """
    near, far = (high, low) if at_most else (low, high)
    if held(near, limit=limit, at_most=at_most) == "pass":
        return "pass"
    judged = held(far if chance else value, limit=limit, at_most=at_most)
    return "fail" if judged == "fail" else "unknown"


def say(verdict: Verdict, sentence: str, **facts: Any) -> Finding:
    """A finding without its name, row and time, which the judge adds."""
    return Finding(check="", row="", verdict=verdict, sentence=sentence, **facts)


def _shown(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()

"""What to do about an alarm: nothing, a line in the log, or one page; and one incident per release at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

Harm = Literal["yes", "no", "unknown"]
FIRST = "; at first: "
QUIET_WINDOWS = {"hour": 168, "day": 28, "week": 8}
REST = 0.1  # of its bar: an incident closes only while the statistics that opened it stay below it
GUIDE = "docs/guides/runbooks.md"

ACTIONS = {
    "broken": "repair the input named, or roll back to a release that does not need it",
    "harm": "roll back if a release came before it, then renew: shipworthy rollback; shipworthy renew",
    "drift": "label a random sample of recent rows, then decide whether to renew",
    "joint": "look at how columns go together (the finding joint-drift), then label a random sample of recent rows",
    "bias": "recalibrate on the newest labels: shipworthy renew",
    "outliers": "look at the strange rows and where they came from",
}


Axis = Literal["code", "model", "data", "world"]


class Cause(msgspec.Struct, frozen=True):
    """What probably lies behind an incident. axis: code, model, data or world. weight: in [0, 1], of all causes 1."""

    axis: Axis
    sentence: str
    weight: float


Span = tuple[float, float, float]


class Replay(msgspec.Struct, frozen=True):
    """What came of replaying before and now: whose change, code's, model's or data's, made the loss another.

    sentence: in words; if nothing could be replayed, why not. change: of the mean loss, above 0 is worse, with the ends
    of its 95 % interval. shares: axis → its part of that, likewise. losses: axes that are new, such as "code+data" →
    mean loss. before: the champion that was replaced, if it took part. rows: before, now.
    """

    sentence: str
    change: Span | None = None
    shares: dict[str, Span] = {}
    losses: dict[str, float] = {}
    before: str = ""
    rows: tuple[int, int] = (0, 0)

    @property
    def worse(self) -> bool:
        """Whether the loss has surely risen."""
        return self.change is not None and self.change[1] > 0


class Incident(msgspec.Struct, frozen=True):
    """One thing that a person must look at. opened, last: UTC times. evidence: M against its threshold, by family.

    effects: how far a column moved in its shares of values, Cohen's w. segments: where the traffic or the loss moved
    more than elsewhere. causes: likeliest first. steps: what the owner's runbook says. link: page about the family.
    replay: whose change a harm is, once for each incident of harm.
    """

    id: str
    release: str
    opened: str
    last: str
    severity: Literal["high", "medium"]
    families: tuple[str, ...]
    columns: tuple[str, ...]
    harm: Harm
    evidence: dict[str, float]
    sentence: str
    action: str
    loss: float | None = None
    currency: str = ""
    windows: int = 1
    open: bool = True
    effects: dict[str, float] = {}
    segments: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    steps: tuple[str, ...] = ()
    link: str = ""
    replay: Replay | None = None

    @property
    def lead(self) -> str:
        """The gravest of its families."""
        return _lead(self.families)

    @property
    def harms(self) -> bool:
        """Whether it is about a model that answers worse than it did."""
        return self.harm == "yes" or bool({"harm", "bias"} & set(self.families))


class Alarm(msgspec.Struct, frozen=True):
    """One family whose statistic crossed its threshold in one window."""

    family: str
    level: str
    at: int
    m: float
    columns: tuple[str, ...] = ()


def route(alarms: tuple[Alarm, ...], harm: Harm) -> Literal["nothing", "log", "page"]:
    """What the alarms of a window ask for. Harm decides, drift explains.

    Drift without harm is only logged; drift whose harm is unknown pages, and so do harm, a bias that the labels
    prove, broken input, a figure beyond the owner's limit, and strange rows unless labels show no harm.
    """
    families = {alarm.family for alarm in alarms}
    if families & {"harm", "broken", "bias"} or any(one.startswith("meter ") for one in families) or (
            families and harm != "no"):
        return "page"
    return "log" if families else "nothing"


def opened(
    alarms: tuple[Alarm, ...], harm: Harm, release: str, why: str, money: tuple[float | None, str] = (None, "")
) -> Incident:
    """A new incident from the alarms of one window."""
    families = tuple(dict.fromkeys(alarm.family for alarm in alarms))
    columns = tuple(dict.fromkeys(name for alarm in alarms for name in alarm.columns))
    lead = _lead(families)
    at = _iso(alarms[0].at)
    severe = bool({"harm", "broken"} & set(families)) or harm == "yes"
    sentence = f"{title(lead)}{_where(alarm.columns for alarm in alarms)}; harm: {why}."
    return Incident(f"{release[:12] or 'release'}-{at}", release, at, at, "high" if severe else "medium", families,
                    columns[:10], harm, {f"{a.family}/{a.level}": a.m for a in alarms}, sentence, action(lead),
                    money[0], money[1], link=anchor(lead))


def joined_by(known: Incident, alarms: tuple[Alarm, ...], harm: Harm, *, windows: int = 1) -> Incident:
    """The open incident with another window's alarms; no second page. windows: how many full ones that adds.

    What joins it may be graver than what opened it: the sentence and the action are then those of the gravest.
    """
    families = tuple(dict.fromkeys((*known.families, *(alarm.family for alarm in alarms))))
    columns = tuple(dict.fromkeys((*known.columns, *(name for alarm in alarms for name in alarm.columns))))
    severe = known.severity == "high" or harm == "yes" or bool({"harm", "broken"} & set(families))
    sentence, lead = known.sentence, _lead(families)
    if lead != _lead(known.families):
        where = _where(alarm.columns for alarm in alarms if alarm.family == lead)
        sentence = f"{title(lead)}{where}{FIRST}{sentence.split(FIRST)[-1]}"
    return msgspec.structs.replace(known, last=_iso(alarms[-1].at), families=families, columns=columns[:10],
                                   severity="high" if severe else "medium", windows=known.windows + windows,
                                   sentence=sentence, action=action(lead), link=anchor(lead))


def resting(known: Incident, height: Mapping[str, float]) -> bool:
    """Whether all statistics of an incident's families lie well below the bars that they crossed.

    height: family/level → share of its bar. What pages at its bar and rests only far below it does not flap.
    """
    return all(share < REST for name, share in height.items() if name.partition("/")[0] in known.families)


def _lead(families: tuple[str, ...]) -> str:
    return next((family for family in ACTIONS if family in families), families[0])


def title(family: str) -> str:
    """What an alarm of a family says."""
    return _TITLE.get(family) or f'The figure "{family.removeprefix("meter ")}" is beyond its limit'


def action(family: str) -> str:
    """What to do about an alarm of a family."""
    return ACTIONS.get(family, "look at the rows of the last windows, and at what the figure counts")


def anchor(family: str) -> str:
    """The place of a family in the guide of runbooks."""
    return f"{GUIDE}#{family if family in ACTIONS else 'meter'}"


def _where(columns: Iterable[tuple[str, ...]]) -> str:
    names = list(dict.fromkeys(name for some in columns for name in some))
    return f" in {', '.join(names[:3])}" if names else ""


_TITLE = {"broken": "Broken input", "harm": "The model does harm", "drift": "The input has drifted",
          "joint": "Columns go together in another way",
          "bias": "Outcomes differ from what the model expects", "outliers": "Too many strange rows"}


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1e6, UTC).isoformat(timespec="seconds")

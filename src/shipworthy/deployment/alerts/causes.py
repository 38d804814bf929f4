"""What probably lies behind an incident: what changed shortly before it, and what moved, ranked along the axes.

The axes are code, model and data, as a release names them, and the world, which is none of ours. A ranking is a hint
for whoever looks: it says what happened before, never that it is the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import msgspec

from shipworthy.core.clock import DAY, micros
from shipworthy.core.ledger import moves
from shipworthy.core.release import Manifest
from shipworthy.deployment.monitoring.incident import Axis, Cause, Incident, Span

BEFORE_DAYS = 14
HALF_DAYS = 3.0
AXES: tuple[Axis, ...] = ("code", "model", "data")
MOST = 5
PASSES = {"code": "what serving, cleaning and encoders add", "model": "what the model adds",
          "data": "what the rows and what came true of them add", "code and model": "what code and model together add"}
MEASURED = 4.0
TOGETHER = "code and model"
Shares = Mapping[str, Span]


class Change(msgspec.Struct, frozen=True):
    """Something that was changed. at: microseconds, UTC. axes: of the release that differ since, none if unknown."""

    at: int
    sentence: str
    axes: tuple[Axis, ...] = ()


def changes(folder: Path, lines: Sequence[Mapping[str, Any]]) -> tuple[Change, ...]:
    """What the ledger says was changed in production, oldest first; the first champion changed nothing.

    folder: of the project.
    """
    known = {str(line["subject"]["release"]): str(line["subject"]["folder"])
             for line in moves(lines, "champion")}  # type: ignore[arg-type]
    found = []
    for line in lines:
        subject = line["subject"]
        at = micros(datetime.fromisoformat(str(line["at"])))
        if subject.get("alias") == "champion" and line["action"] in ("promote", "rollback") and subject.get("before"):
            old, new = (_facts(folder, known.get(str(subject.get(key)), "")) for key in ("before", "release"))
            axes = tuple(axis for axis in AXES if old and new and old[axis] != new[axis])
            sections = [name for name in new.get("settings", {}) if old and
                        old.get("settings", {}).get(name) != new["settings"][name]]
            told = f"release {subject['release'][:12]} became champion ({line['action']}, {line['actor']})"
            told += f"; changed: {', '.join(axes)}" if axes else ""
            told += f"; settings: {', '.join(sections[:4])}" if sections else ""
            found.append(Change(at, told, axes))
        elif line["action"] in ("erase", "forget", "refuse rows", "trust"):
            found.append(Change(at, f"{line['action']}, {line['actor']}", ("data",)))
    return tuple(found)


def ranked(incident: Incident, before: Iterable[Change], *, shares: Shares | None = None) -> tuple[Cause, ...]:
    """Causes, likeliest first, their weights adding up to 1.

    before: what was changed. shares: axis → its share of a regression and the ends of its interval, where the mixes
    of old and new were replayed. What is measured comes first, and every other hint counts for as much as its axis
    shares; a change of the release is split by them, and not evenly.
    """
    opened = micros(datetime.fromisoformat(incident.opened))
    part = _parts(shares or {})
    found = [*_measured(shares or {}, part), *(_scaled(cause, part) for cause in _seen(incident))]
    for change in before:
        days = (opened - change.at) / DAY
        if 0 <= days <= BEFORE_DAYS:
            strength, told = 2.0 * 0.5 ** (days / HALF_DAYS), f"{_ago(days)} before: {change.sentence}"
            found += [Cause(axis, told, strength * share) for axis, share in _split(change, part).items()]
    found = [cause for cause in found if cause.weight > 0]
    total = sum(cause.weight for cause in found) or 1.0
    order = sorted(found, key=lambda cause: -cause.weight)
    return tuple(msgspec.structs.replace(cause, weight=round(cause.weight / total, 3)) for cause in order[:MOST])


def _parts(shares: Shares) -> dict[str, float]:
    """Axis → how much of all that got worse went through it, in [0, 1]; without those that were not measured.

    Code and model that cannot be parted count as the model.
    """
    risen = {"model" if axis == TOGETHER else axis: max(0.0, share[0]) for axis, share in shares.items()}
    risen |= {"code": 0.0} if TOGETHER in shares else {}
    total = sum(risen.values())
    return {axis: share / total for axis, share in risen.items()} if total else {}


def _measured(shares: Shares, part: Mapping[str, float]) -> list[Cause]:
    """What surely made it worse when it was replayed."""
    found = []
    for name, (value, low, high) in shares.items():
        axis: Axis = "model" if name == TOGETHER else cast(Axis, name)
        if low > 0 and part:
            told = f"replayed on the labels, {PASSES[name]} of the mean loss: {value:+.4f} ({low:+.4f} to {high:+.4f})"
            found.append(Cause(axis, told, MEASURED * part[axis]))
    return found


def _scaled(cause: Cause, part: Mapping[str, float]) -> Cause:
    """A hint, as far as its axis has a share; what came true of the rows is part of the data."""
    axis = "data" if cause.axis == "world" else cause.axis
    return msgspec.structs.replace(cause, weight=cause.weight * part.get(axis, 1.0))


def _split(change: Change, part: Mapping[str, float]) -> dict[Axis, float]:
    """Axes of a change and what each counts for.

    The data that a release learnt from act through its model: its own share are the rows that came since.
    """
    axes: Sequence[Axis] = change.axes or ("model",)
    if part and len(axes) > 1:
        axes = [axis for axis in axes if axis != "data"]
    return {axis: part.get(axis, 1 / len(axes)) for axis in axes}


def _seen(incident: Incident) -> list[Cause]:
    """What the alarms themselves say."""
    families, names = set(incident.families), ", ".join(incident.columns[:3])
    moved = families & {"drift", "outliers"} or any(w > 0.1 for w in incident.effects.values())
    found = []
    if "broken" in families:
        found.append(Cause("data", f"the feed of {(*incident.columns, 'a column')[0]} broke: values are missing, "
                                   "unseen or beyond all that training had", 3.0))
    if moved and "broken" not in families:
        most = max(incident.effects, key=lambda name: incident.effects[name], default="")
        found.append(Cause("data", f"other rows arrive: {most or names or 'the columns'} moved most", 1.5))
    if families & {"harm", "bias"}:
        found.append(Cause("world", "the relation of columns and outcome changed, or the labels did",
                           0.7 if moved or "broken" in families else 1.5))
    return found or [Cause("world", "nothing that was changed explains it", 0.5)]


def _facts(folder: Path, place: str) -> dict[str, Any]:
    """Identity and settings of a release; nothing where its folder is gone."""
    if not place:
        return {}
    try:
        manifest = msgspec.json.decode((folder / place / "release.json").read_bytes(), type=Manifest)
        settings = msgspec.json.decode((folder / place / "project.json").read_bytes())
    except (OSError, msgspec.MsgspecError):
        return {}
    return {**{axis: getattr(manifest.identity, axis) for axis in AXES}, "settings": settings}


def _ago(days: float) -> str:
    return f"{days:.0f} days" if days >= 1.5 else f"{days * 24:.0f} hours"

"""What watching found last, as Prometheus text: written beside the log by whoever looks, read by the server's /metrics.

Labels are the names of families and levels, and the start of a release's id; never data.
Source: Prometheus exposition format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from shipworthy.deployment.monitoring.incident import Incident

FILE = "watch.prom"


def gauges(
    release: str, incident: Incident | None, height: Mapping[str, float], *, silenced: bool = False, at: int,
    undelivered: int = 0,
) -> str:
    """The text. height: family/level → alarm statistic as a share of its bar. at: microseconds, UTC, of the look."""
    return "\n".join(_lines(release[:16], incident, height, (silenced, at, undelivered))) + "\n"


def _lines(
    release: str, incident: Incident | None, height: Mapping[str, float], more: tuple[bool, int, int]
) -> Iterator[str]:
    silenced, at, undelivered = more
    yield from _head("shipworthy_incidents_open", "Open incidents by severity; a silenced one counts as such alone.")
    for name in ("high", "medium", "silenced"):
        mine = incident is not None and name == ("silenced" if silenced else incident.severity)
        yield f'shipworthy_incidents_open{{release="{release}",severity="{name}"}} {int(mine)}'
    yield from _head("shipworthy_alarm_height", "Alarm statistic of the last full window as a share of its bar.")
    for key, share in sorted(height.items()):
        family, _, level = key.rpartition("/")
        yield (f'shipworthy_alarm_height{{release="{release}",family="{_plain(family)}",level="{level}"}} '
               f"{share:.6g}")
    yield from _head("shipworthy_last_look_timestamp_seconds", "When somebody last looked at the traffic.")
    yield f'shipworthy_last_look_timestamp_seconds{{release="{release}"}} {at / 1e6:.3f}'
    yield from _head("shipworthy_messages_undelivered", "Messages about incidents that no sink has taken yet.")
    yield f"shipworthy_messages_undelivered {undelivered}"


def read_gauges(home: Path | None) -> str:
    """What was written last; nothing where nobody ever looked."""
    try:
        return (home / FILE).read_text("utf-8") if home else ""
    except OSError:
        return ""


def _head(name: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} gauge"


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")

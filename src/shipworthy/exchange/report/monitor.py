"""The monitor report: the incident on top, then what was found, then the traffic in pictures; complete in itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from shipworthy import __version__
from shipworthy.core.evidence import Finding
from shipworthy.errors import ShipworthyError
from shipworthy.exchange.report.page import SIGNS, WORDS, number
from shipworthy.exchange.report.strokes import SMALL, bars, dots, lines, pairs

SHOWN_ALARMS = 4


def monitor_page(
    name: str, release: str, picture: Mapping[str, Any], findings: Sequence[Finding], *, incident: Any = None,
    silenced: bool = False, rows: int = 0, panels: Sequence[tuple[str, str | ShipworthyError]] = ()
) -> str:
    """HTML text of the report. It loads nothing, and is as large for a million rows as for one.

    picture: series and tables, times in milliseconds since 1970. incident: the open one. panels: title and SVG text of
    pictures that plugins draw, or the error that stands in its place.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(number=number, compact=compact)
    template = environment.from_string(files(__package__).joinpath("monitor.html.j2").read_text("utf-8"))
    style = "\n".join(files(__package__).joinpath(file).read_text("utf-8") for file in ("report.css", "monitor.css"))
    shown = sorted(picture.get("alarms", ()), key=lambda one: -max(one["y"]))[:SHOWN_ALARMS]
    counts = Counter(finding.verdict for finding in findings)
    return template.render(
        name=name, release=release, rows=rows, incident=incident, silenced=silenced, findings=findings,
        counts={verdict: counts[verdict] for verdict in WORDS}, words=WORDS, signs=SIGNS, style=Markup(style),
        standing=_standing(incident, silenced, rows), version=__version__, charts=_charts(picture, shown),
        until=_time(picture.get("until", 0)), panels=[(title, _panel(drawn)) for title, drawn in panels], shown=shown,
        **_tables(picture))


def _panel(drawn: str | ShipworthyError) -> Markup:
    return Markup('<p class="quiet">{}</p>').format(drawn.problem) if isinstance(drawn, ShipworthyError) else \
        Markup(drawn)


def _standing(incident: Any, silenced: bool, rows: int) -> str:
    if incident is not None:
        return "an incident is silenced" if silenced else "somebody should look"
    return "nothing calls for anybody" if rows else "no data yet"


def _tables(picture: Mapping[str, Any]) -> dict[str, Any]:
    columns = [{**one, "chart": Markup(pairs(one["names"], one["before"], one["now"], label=one["name"], small=True))}
               for one in picture.get("columns", ())]
    meters = [{**one, "chart": Markup(lines(one["x"], [("s0", one["name"], one["y"])], limits=one["limits"],
                                            band=(one["low"], one["high"]), label=one["name"]))}
              for one in picture.get("meters", ())]
    return {"columns": columns, "meters": meters, "more": picture.get("more", 0), "labels": picture.get("labels", 0),
            **{key: picture.get(key) or {} for key in ("traffic", "drift", "performance")},
            **{key: picture.get(key) or [] for key in ("alarms", "segments")}}


def _charts(picture: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> dict[str, Markup]:
    traffic, drift = picture.get("traffic") or {}, picture.get("drift") or {}
    known, score = picture.get("performance") or {}, picture.get("score") or {}
    made = {
        "traffic": bars(traffic.get("x", ()), traffic.get("y", ()), label="rows by window"),
        "drift": lines(drift["x"], [*((f"s{k}", name, y) for k, (name, y) in enumerate(drift["most"])),
                                    ("all", "all columns", drift["all"])], limits=[drift["limit"]], label="drift")
        if drift else "",
        "alarms": alarm_lines(shown),
        "performance": _performance(known) if known else "",
        "score": pairs(score["names"], score["before"], score["now"], label="scores") if score else "",
        "bias": dots([(str(one["decile"]), one["expected"], one["came"], one["low"], one["high"])
                      for one in picture.get("bias", ())], label="bias by decile"),
    }
    return {name: Markup(svg) for name, svg in made.items()}


def compact(value: float) -> str:
    """A number that may be huge: beyond a million by its power of ten.

    >>> compact(2.5e17), compact(1234.0)
    ('10¹⁷', '1,234')
    """
    return f"10{str(math.floor(math.log10(value))).translate(SMALL)}" if value >= 1e6 else number(value)


def alarm_lines(shown: Sequence[Mapping[str, Any]]) -> str:
    """The heights of several alarms over the times at which any of them was read."""
    x = sorted({at for one in shown for at in one["x"]})
    series = []
    for k, one in enumerate(shown):
        known, last, values = dict(zip(one["x"], one["y"], strict=True)), None, []
        for at in x:
            last = known.get(at, last)
            values.append(last)
        series.append((f"s{k}", f"{one['family']}, by {one['level']}", values))
    return lines(x, series, limits=[1.0], log=True, label="alarm statistics")


def _performance(known: Mapping[str, Any]) -> str:
    series = [("s2", "expected of the scores", known["expected"]), ("s0", "measured", known["risk"])]
    return lines(known["x"], series, limits=[known["limit"]] if known["limit"] else [],
                 band=(known["low"], known["high"]), label="risk by day")


def _time(milliseconds: int) -> str:
    if milliseconds <= 0:
        return "now"
    return datetime.fromtimestamp(milliseconds / 1_000, UTC).strftime("%Y-%m-%d %H:%M UTC")

"""Pictures for findings: Vega-Lite specifications drawn to static SVG, no script, no network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

INK, SOFT, GOOD, BAD, BLUE = "#1f2933", "#cbd2d9", "#1b7f5c", "#c0392b", "#2b6cb0"
Spec = dict[str, Any]


def draw(chart: dict[str, Any]) -> str:
    """SVG text of a finding's chart; empty for an empty chart or an unknown kind.

    chart: {"kind": "reliability" | "front" | "bars" | "line", …} with the lists that the kind needs.
    """
    make = KINDS.get(str(chart.get("kind", "")))
    if make is None:
        return ""
    import vl_convert

    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": None,
        "width": 340,
        "height": 190,
        "config": _config(),
        **make(chart),
    }
    return str(vl_convert.vegalite_to_svg(spec))


def _config() -> Spec:
    axis = {
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": "#e4e7eb",
        "domainColor": SOFT,
        "tickColor": SOFT,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
    }
    return {"font": "system-ui, sans-serif", "axis": axis, "view": {"stroke": None}}


def _rows(chart: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    present = [name for name in names if chart.get(name)]
    return [dict(zip(present, values, strict=True)) for values in zip(*(chart[name] for name in present), strict=True)]


def _reliability(chart: dict[str, Any]) -> Spec:
    scale = {"domain": [0, 1]}
    place = {"x": {"field": "p", "type": "quantitative", "title": "predicted", "scale": scale}}
    diagonal = {
        "data": {"values": [{"p": 0, "y": 0}, {"p": 1, "y": 1}]},
        "mark": {"type": "line", "color": SOFT},
        "encoding": {**place, "y": {"field": "y", "type": "quantitative", "title": "observed", "scale": scale}},
    }
    bars = {
        "mark": {"type": "rule", "color": BLUE},
        "encoding": {**place, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
    }
    dots = {
        "mark": {"type": "point", "filled": True, "color": BLUE, "size": 45},
        "encoding": {**place, "y": {"field": "y", "type": "quantitative"}},
    }
    return {"data": {"values": _rows(chart, "p", "y", "low", "high")}, "layer": [diagonal, bars, dots]}


def _front(chart: dict[str, Any]) -> Spec:
    rows = _rows(chart, "x", "y", "name")
    for row in rows:
        row["chosen"] = row["name"] == chart.get("chosen")
    place = {
        "x": {
            "field": "x",
            "type": "quantitative",
            "scale": {"type": "log"},
            "title": chart.get("xtitle", "complexity"),
        },
        "y": {"field": "y", "type": "quantitative", "scale": {"zero": False}, "title": chart.get("ytitle", "quality")},
    }
    colour = {"condition": {"test": "datum.chosen", "value": GOOD}, "value": BLUE}
    dots = {"mark": {"type": "point", "filled": True, "size": 80}, "encoding": {**place, "color": colour}}
    names = {
        "mark": {"type": "text", "dy": -11, "fontSize": 11},
        "encoding": {**place, "text": {"field": "name"}, "color": colour},
    }
    return {"data": {"values": rows}, "layer": [dots, names]}


def _bars(chart: dict[str, Any]) -> Spec:
    rows = _rows(chart, "name", "value", "low", "high")
    name = {"field": "name", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 170}}
    layers: list[Spec] = [
        {
            "mark": {"type": "bar", "color": "#9fb3c8", "height": {"band": 0.6}},
            "encoding": {"y": name, "x": {"field": "value", "type": "quantitative", "title": chart.get("title", "")}},
        }
    ]
    if rows and "low" in rows[0]:
        layers.append(
            {
                "mark": {"type": "rule", "color": INK},
                "encoding": {"y": name, "x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}},
            }
        )
    layers += _limit(chart, "x")
    return {"data": {"values": rows}, "height": {"step": 20}, "layer": layers}


def _line(chart: dict[str, Any]) -> Spec:
    rows = _rows(chart, "x", "y", "low", "high")
    kind = "quantitative" if rows and isinstance(rows[0]["x"], int | float) else "temporal"
    x = {"field": "x", "type": kind, "title": chart.get("xtitle", "")}
    layers: list[Spec] = []
    if rows and "low" in rows[0]:
        layers.append(
            {
                "mark": {"type": "area", "opacity": 0.2, "color": BLUE},
                "encoding": {"x": x, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
            }
        )
    layers.append(
        {
            "mark": {"type": "line", "color": BLUE, "point": len(rows) < 60},
            "encoding": {
                "x": x,
                "y": {"field": "y", "type": "quantitative", "title": chart.get("ytitle", ""), "scale": {"zero": False}},
            },
        }
    )
    return {"data": {"values": rows}, "layer": layers + _limit(chart, "y")}


def _limit(chart: dict[str, Any], axis: str) -> list[Spec]:
    if not isinstance(chart.get("limit"), int | float):
        return []
    return [
        {
            "data": {"values": [{"limit": chart["limit"]}]},
            "mark": {"type": "rule", "color": BAD, "strokeDash": [4, 3]},
            "encoding": {axis: {"field": "limit", "type": "quantitative"}},
        }
    ]


KINDS: dict[str, Callable[[dict[str, Any]], Spec]] = {
    "reliability": _reliability,
    "front": _front,
    "bars": _bars,
    "line": _line,
}

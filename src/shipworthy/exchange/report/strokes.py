"""Small pictures of a monitor report, drawn by hand as SVG: no script, no colour of their own, so they fit any theme.

Colours come from the page's classes; sizes are of a picture that grows with its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 170, 52, 24, 12
SMALL = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
Values = Sequence[float | None]


def lines(
    x: Sequence[float], series: Sequence[tuple[str, str, Values]], *, limits: Sequence[float] = (),
    band: tuple[Values, Values] | None = None, log: bool = False, label: str = "", least: float = 0.0
) -> str:
    """Lines over time. series: (class, name, values); None is a gap. limits: drawn dashed. log: of base ten.

    x: milliseconds since 1970. least: the highest that the axis is sure to reach.
    """
    known = [value for _, _, values in series for value in values if value is not None]
    known += [value for side in band or () for value in side if value is not None]
    if not x or not known:
        return ""
    known += limits
    place = _log(known) if log else _linear([*known, 0.0, least])
    wide = _wide(x)
    drawn = [_band(x, band, wide, place)] if band else []
    drawn += [f'<line class="limit" x1="{LEFT}" x2="{WIDTH - 4}" y1="{place(limit):.1f}" y2="{place(limit):.1f}"/>'
              for limit in limits]
    for kind, name, values in series:
        drawn.append(f'<g class="{kind}"><title>{escape(name)}</title>{_path(x, values, wide, place)}</g>')
    return _frame(drawn, _ticks(known if log else [*known, 0.0, least], log), place, _dates(x), label)


def bars(x: Sequence[float], y: Sequence[float], *, label: str = "") -> str:
    """Bars over time, such as rows a day."""
    if not x:
        return ""
    place, wide = _linear([*y, 0.0]), _wide(x)
    room = max(1.0, (WIDTH - LEFT - 4) / len(x) * 0.82)
    made = [f'<rect class="bar" x="{min(wide(at), WIDTH - 4 - room):.1f}" y="{place(n):.1f}" width="{room:.1f}" '
            f'height="{max(0.5, place(0) - place(n)):.1f}"/>' for at, n in zip(x, y, strict=True)]
    return _frame(made, _ticks([*y, 0.0], False), place, _dates(x), label)


def pairs(
    names: Sequence[str], before: Sequence[float], now: Sequence[float], *, label: str = "", small: bool = False
) -> str:
    """Two distributions over the same groups: the reference as an outline, the traffic as bars."""
    most = max([*before, *now, 1e-9])
    width, height = (120, 26) if small else (WIDTH, HEIGHT)
    left, low = (0, height - 1) if small else (LEFT, height - BOTTOM)
    step = (width - left - 2) / max(1, len(names))

    def top(share: float) -> float:
        return low - share / most * (low - (1 if small else TOP))

    made = [f'<rect class="bar" x="{left + k * step + step * 0.12:.1f}" y="{top(share):.1f}" '
            f'width="{step * 0.76:.1f}" height="{low - top(share):.1f}">'
            f"<title>{escape(name)}: {before[k]:.1%} → {share:.1%}</title></rect>"
            for k, (name, share) in enumerate(zip(names, now, strict=True))]
    outline = "".join(f"{'M' if k == 0 else 'L'}{left + k * step:.1f} {top(share):.1f}H{left + (k + 1) * step:.1f}"
                      for k, share in enumerate(before))
    made.append(f'<path class="before" d="{outline}"/>')
    if small:
        return (f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
                f'aria-label="{escape(label)}">{"".join(made)}</svg>')
    ends = [(left, names[0], "start"), ((left + WIDTH) / 2, names[len(names) // 2], "middle"),
            (WIDTH - 4, names[-1], "end")] if names else []
    return _frame(made, [(share, f"{share:.0%}") for share in (0.0, most / 2, most)], top, ends, label)


def dots(rows: Sequence[tuple[str, float, float, float, float]], *, label: str = "") -> str:
    """What was expected and what came true, side by side. rows: name, expected, came, low, high."""
    if not rows:
        return ""
    values = [value for _, *figures in rows for value in figures]
    place = _linear([*values, 0.0])
    step = (WIDTH - LEFT - 4) / len(rows)
    made = []
    for k, (name, expected, came, low, high) in enumerate(rows):
        at = LEFT + (k + 0.5) * step
        made.append(f'<g><title>{escape(name)}: expected {expected:.3g}, came true {came:.3g} '
                    f'({low:.3g} to {high:.3g})</title><line class="whisker" x1="{at:.1f}" x2="{at:.1f}" '
                    f'y1="{place(low):.1f}" y2="{place(high):.1f}"/><circle class="dot" cx="{at:.1f}" '
                    f'cy="{place(came):.1f}" r="3.5"/><line class="expected" x1="{at - step / 4:.1f}" '
                    f'x2="{at + step / 4:.1f}" y1="{place(expected):.1f}" y2="{place(expected):.1f}"/></g>')
    names = [(LEFT + (k + 0.5) * step, name, "middle") for k, (name, *_) in enumerate(rows)]
    return _frame(made, _ticks([*values, 0.0], False), place, names, label)


def _linear(values: Sequence[float]) -> Scale:
    low, high = min(values), max(values)
    return Scale(low, high if high > low else low + 1.0)


def _log(values: Sequence[float]) -> Scale:
    above = [math.log10(value) for value in values if value > 0] or [0.0]
    return Scale(math.floor(max(-6.0, min(above))), math.ceil(min(9.0, max(*above, 0.0))) or 1, log=True)


class Scale:
    """Values to heights of a picture."""

    def __init__(self, low: float, high: float, *, log: bool = False) -> None:
        self.low, self.high, self._log = low, high, log

    def __call__(self, value: float) -> float:
        if self._log:
            value = math.log10(value) if value > 0 else self.low
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


class Wide:
    """Times to places of a picture."""

    def __init__(self, first: float, last: float) -> None:
        self._first, self._span = first, (last - first) or 1.0

    def __call__(self, at: float) -> float:
        return LEFT + 2 + (at - self._first) / self._span * (WIDTH - LEFT - 8)


def _wide(x: Sequence[float]) -> Wide:
    return Wide(x[0], x[-1])


def _path(x: Sequence[float], values: Values, wide: Wide, place: Scale) -> str:
    parts, pen = [], "M"
    alone = []
    for k, (at, value) in enumerate(zip(x, values, strict=True)):
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{wide(at):.1f} {place(value):.1f}")
        lonely = pen == "M" and (k + 1 == len(values) or values[k + 1] is None)
        if lonely:
            alone.append(f'<circle cx="{wide(at):.1f}" cy="{place(value):.1f}" r="2"/>')
        pen = "L"
    return f'<path d="{"".join(parts)}"/>{"".join(alone)}'


def _band(x: Sequence[float], band: tuple[Values, Values], wide: Wide, place: Scale) -> str:
    made = []
    for at, low, high in zip(x, *band, strict=True):
        if low is not None and high is not None:
            made.append(f'<line class="whisker" x1="{wide(at):.1f}" x2="{wide(at):.1f}" y1="{place(low):.1f}" '
                        f'y2="{place(high):.1f}"/>')
    return "".join(made)


def _frame(
    drawn: Sequence[str], ticks: Sequence[tuple[float, str]], at: Callable[[float], float],
    ends: Sequence[tuple[float, str, str]],
    label: str
) -> str:
    grid = "".join(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 4}" y1="{at(value):.1f}" y2="{at(value):.1f}"/>'
                   f'<text class="tick" x="{LEFT - 6}" y="{at(value) + 4:.1f}" text-anchor="end">{escape(text)}</text>'
                   for value, text in ticks)
    feet = "".join(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{escape(text)}</text>'
                   for x, text, anchor in ends)
    return (f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
            f'{grid}{"".join(drawn)}{feet}</svg>')


def _ticks(values: Sequence[float], log: bool) -> list[tuple[float, str]]:
    if log:
        scale = _log(values)
        step = max(1, round((scale.high - scale.low) / 4))
        powers = range(int(scale.low), int(scale.high) + 1, step)
        return [(10.0**n, f"{10.0**n:g}" if abs(n) < 4 else f"10{str(n).translate(SMALL)}") for n in powers]
    scale = _linear(values)
    return [(value, short(value)) for value in (scale.low, (scale.low + scale.high) / 2, scale.high)]


def short(value: float) -> str:
    """A number in few letters.

    >>> short(12345), short(0.1234), short(0.0)
    ('12k', '0.123', '0')
    """
    if abs(value) >= 10_000:
        return f"{value / 1_000:.0f}k" if abs(value) < 1e6 else f"{value / 1e6:.3g}M"
    return f"{value:.3g}"


def _dates(x: Sequence[float]) -> list[tuple[float, str, str]]:
    wide = _wide(x)
    chosen = sorted({0, len(x) // 2, len(x) - 1})
    form = "%Y-%m-%d" if x[-1] - x[0] > 3 * 86_400_000 else "%m-%d %H:%M"
    anchors = {0: "start", len(x) - 1: "end"}
    return [(wide(x[k]), datetime.fromtimestamp(x[k] / 1_000, UTC).strftime(form),
             anchors.get(k, "middle") if len(x) > 1 else "start") for k in chosen]

"""A small picture of one number: its value, its interval and its limit on one line."""

from __future__ import annotations

import math

from shipworthy.core.evidence import Finding

WIDTH, HEIGHT, PAD = 150, 22, 6


def gauge(finding: Finding) -> str:
    """SVG text of a finding's interval against its limit; empty when it has no interval or no limit."""
    value, low, high, limit = finding.value, finding.low, finding.high, finding.limit
    if value is None or low is None or high is None or limit is None:
        return ""
    marks = (value, low, high, limit)
    if not all(map(math.isfinite, marks)):
        return ""
    room = (max(marks) - min(marks)) * 0.12 or max(abs(max(marks)), 1.0) * 0.1
    start, width = min(marks) - room, max(marks) - min(marks) + 2 * room

    def at(place: float) -> str:
        return f"{PAD + (place - start) / width * (WIDTH - 2 * PAD):.1f}"

    middle = HEIGHT / 2
    return (
        f'<svg class="gauge" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">'
        f'<line class="axis" x1="{PAD}" x2="{WIDTH - PAD}" y1="{middle}" y2="{middle}"/>'
        f'<line class="whisker" x1="{at(low)}" x2="{at(high)}" y1="{middle}" y2="{middle}"/>'
        f'<line class="limit" x1="{at(limit)}" x2="{at(limit)}" y1="2" y2="{HEIGHT - 2}"/>'
        f'<circle class="value" cx="{at(value)}" cy="{middle}" r="4"/></svg>'
    )

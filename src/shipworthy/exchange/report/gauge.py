"""A small picture of one number: its value, its interval and its limit on one line."""

from __future__ import annotations

import math

from shipworthy.core.evidence import Finding

WIDTH, HEIGHT, PAD = 150, 22, 6


def gauge(finding: Finding) -> str:
    """SVG text of a finding's interval against its limit; empty when it has no number or no limit."""
    marks = [mark for mark in (finding.value, finding.low, finding.high, finding.limit) if mark is not None]
    if finding.value is None or finding.limit is None or not all(map(math.isfinite, marks)):
        return ""
    low, high = min(marks), max(marks)
    room = (high - low) * 0.12 or max(abs(high), 1.0) * 0.1
    low, high = low - room, high + room

    def at(value: float) -> str:
        return f"{PAD + (value - low) / (high - low) * (WIDTH - 2 * PAD):.1f}"

    middle = HEIGHT / 2
    whisker = ""
    if finding.low is not None and finding.high is not None:
        whisker = f'<line class="whisker" x1="{at(finding.low)}" x2="{at(finding.high)}" y1="{middle}" y2="{middle}"/>'
    return (
        f'<svg class="gauge" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">'
        f'<line class="axis" x1="{PAD}" x2="{WIDTH - PAD}" y1="{middle}" y2="{middle}"/>{whisker}'
        f'<line class="limit" x1="{at(finding.limit)}" x2="{at(finding.limit)}" y1="2" y2="{HEIGHT - 2}"/>'
        f'<circle class="value" cx="{at(finding.value)}" cy="{middle}" r="4"/></svg>'
    )

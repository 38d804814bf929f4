"""The bars of law: what the scanner of personal data finds, and whether people who were erased left a trace."""

from __future__ import annotations

import time
from types import SimpleNamespace

from benchmarks.frame import Bar

COPIES = 12
BARS = (
    Bar("made-up personal columns found, lower end of the share", None, 0.95, "higher"),
    Bar("codes of goods called personal", None, 0, "lower"),
    Bar("traces of 200 people after the drill of erasure", None, 0, "lower"),
    Bar("seconds of the drill of erasure, whole", None, 60, "lower"),
    Bar("half-width of the AUC by which the erased are recognised", None, 0.1, "lower"),
    Bar("a row left in an old table version is found (1 is yes)", None, 1, "higher"),
)


def measured() -> list[tuple[float | None, str]]:
    """The values of `BARS` in their order, with a note each."""
    from shipworthy import drills
    from shipworthy.sabotage.law import drilled

    found, low, asked = _canaries()
    started = time.perf_counter()
    drill = drills.erasure()
    seconds = time.perf_counter() - started
    left = drilled(vacuumed=False)
    return [
        (low, f"{found} of {asked} columns, 16 kinds, Clopper-Pearson"),
        (float(_false_alarms()), "6 columns of nine digits, EAN-13, parts, lots, versions, models; 20 draws"),
        (float(drill.count), f"{drill.searched} files, decoded; left to do: {', '.join(drill.waiting) or 'nothing'}"),
        (seconds, f"{drill.seconds:.1f} s of them erasure, one new model and a backup written again"),
        ((drill.high - drill.low) / 2, f"AUC {drill.auc:.3f} [{drill.low:.3f}, {drill.high:.3f}]"),
        (float(left.count > 0), f"{left.count} traces"),
    ]


def _canaries() -> tuple[int, float, int]:
    from shipworthy.data.analysis.canaries import planted
    from shipworthy.data.analysis.personal import personal_kind
    from shipworthy.metrics.intervals import clopper_pearson

    told = [bool(personal_kind(name, list(dict.fromkeys(words))))
            for columns in planted(2, 400, COPIES) for name, words in columns.items()]
    return sum(told), clopper_pearson(sum(told), len(told))[0], len(told)


def _false_alarms() -> int:
    from shipworthy.data.analysis.profile import profile
    from shipworthy.sabotage.personal import codes_of_goods
    from shipworthy.sabotage.world import world

    known = {"raw": world(0, rows=600), "steps": SimpleNamespace(profile=profile)}
    own = {column.name for column in profile(known["raw"]).columns if column.personal}
    return sum(bool(column.personal) and column.name not in own for seed in range(20)
               for column in codes_of_goods(known, seed)["profile"].columns)

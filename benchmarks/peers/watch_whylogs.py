"""whylogs beside the watch: the drift scores of two profiles at their defaults. MODE pairs size…"""

from __future__ import annotations

import sys
import warnings

import whylogs as why
from watch_world import NUMBERS, WORDS, timed, told
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

warnings.filterwarnings("ignore")


def detect(before, now):
    """column → (1 − p, flagged)."""
    said = calculate_drift_scores(target_view=why.log(now).view(), reference_view=why.log(before).view(),
                                  with_thresholds=True)
    found = {}
    for column in (*NUMBERS, *WORDS):
        seen = said.get(column) or {}
        p = seen.get("pvalue")
        found[column] = (float("nan") if p is None else 1 - p, seen.get("drift_category") == "DRIFT")
    return found


def work(before, now):
    """A profile of the current rows alone, which merges."""
    return len(why.log(now).view().serialize())


if __name__ == "__main__":
    if sys.argv[1] == "speed":
        timed(work, int(sys.argv[2]))
        sys.exit()
    told(detect, sys.argv[1], int(sys.argv[2]), [int(size) for size in sys.argv[3:]])

"""Evidently beside the watch: its preset at its defaults. MODE pairs size…, or speed ROWS."""

from __future__ import annotations

import sys

from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from watch_world import NUMBERS, WORDS, timed, told


def detect(before, now):
    """column → (statistic, flagged)."""
    sides = DataDefinition(numerical_columns=list(NUMBERS), categorical_columns=list(WORDS))
    made = Report([DataDriftPreset()]).run(current_data=Dataset.from_pandas(now, sides),
                                           reference_data=Dataset.from_pandas(before, sides)).dict()
    found = {}
    for one in made["metrics"]:
        settings = one["config"]
        if settings["type"].endswith("ValueDrift"):
            value = float(one["value"])
            small = "p_value" in settings["method"]
            limit = settings["threshold"]
            found[settings["column"]] = (-value if small else value, value < limit if small else value >= limit)
    return found


def work(before, now):
    """A report of every column; it keeps no state that merges."""
    words = [name for name in now if name.startswith("c")]
    sides = DataDefinition(numerical_columns=[name for name in now if name not in words], categorical_columns=words)
    Report([DataDriftPreset()]).run(current_data=Dataset.from_pandas(now, sides),
                                    reference_data=Dataset.from_pandas(before, sides)).dict()
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "speed":
        timed(work, int(sys.argv[2]))
        sys.exit()
    told(detect, sys.argv[1], int(sys.argv[2]), [int(size) for size in sys.argv[3:]])

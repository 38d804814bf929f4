"""NannyML beside the watch: Jensen-Shannon by chunk, mean ± 3 sd of the reference's. MODE pairs size…"""

from __future__ import annotations

import sys
import warnings

import nannyml as nml
import pandas as pd
from watch_world import NUMBERS, REFERENCE, WORDS, draw, frame, timed, told

warnings.filterwarnings("ignore")
CHUNKS = 10  # of the reference, each as large as the current rows


def detect(before, now):
    """column → (statistic, flagged); the statistic is the distance beyond its upper threshold."""
    size = len(now)
    if len(before) < CHUNKS * size:
        before = frame(draw(len(before), CHUNKS * size, REFERENCE))
    made = nml.UnivariateDriftCalculator(column_names=[*NUMBERS, *WORDS], chunk_size=size,
                                         continuous_methods=["jensen_shannon"], categorical_methods=["jensen_shannon"])
    result = made.fit(before.iloc[: CHUNKS * size]).calculate(now).filter(period="analysis").to_df()
    found = {}
    for column in (*NUMBERS, *WORDS):
        seen = result[column]["jensen_shannon"].iloc[-1]
        value = float("nan") if pd.isna(seen["value"]) else float(seen["value"]) - float(seen["upper_threshold"])
        found[column] = (value, bool(seen["alert"]))
    return found


def work(before, now):
    """Both fitted and calculated in ten chunks; it keeps no state that merges."""
    nml.UnivariateDriftCalculator(column_names=list(now), chunk_size=len(now) // CHUNKS,
                                  continuous_methods=["jensen_shannon"],
                                  categorical_methods=["jensen_shannon"]).fit(before).calculate(now).to_df()
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "speed":
        timed(work, int(sys.argv[2]))
        sys.exit()
    told(detect, sys.argv[1], int(sys.argv[2]), [int(size) for size in sys.argv[3:]])

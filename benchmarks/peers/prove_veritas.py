"""Local robustness by Veritas: reads {"model": text of LightGBM, "boxes": [[[low, high], ...], ...], "above": [...]}.

Prints, of each box, whether the decision can turn: "proved", "refuted" or "unknown". above: whether the row's margin is
above 0. Boxes of numbers that a float32 holds exactly, and no missing values: beyond those its conversion is unsound.
"""

from __future__ import annotations

import json
import math
import sys
import time

import lightgbm
import veritas

SECONDS = 2.0


def main() -> None:
    """One verdict a box, and the seconds that all took."""
    asked = json.load(sys.stdin)
    trees = veritas.get_addtree(lightgbm.Booster(model_str=asked["model"]), silent=True)
    config = veritas.Config(veritas.HeuristicType.MAX_OUTPUT)
    config.stop_when_optimal = True
    config.ignore_state_when_worse_than = 0.0
    config.stop_when_num_solutions_exceeds = 1
    found, begun = [], time.perf_counter()
    for box, above in zip(asked["boxes"], asked["above"], strict=True):
        search = config.get_search(trees.negate_leaf_values() if above else trees,
                                   [veritas.Interval(low, math.nextafter(high, math.inf)) for low, high in box])
        search.step_for(SECONDS, 100)
        reached = search.num_solutions() > 0 and search.get_solution(0).output > 0.0
        closed = search.current_bounds().best < 0.0 or search.num_solutions() == 0
        found.append("refuted" if reached else "proved" if closed else "unknown")
    print(json.dumps([found, time.perf_counter() - begun]))


if __name__ == "__main__":
    main()

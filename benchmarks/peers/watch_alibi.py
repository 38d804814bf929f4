"""alibi-detect beside the watch: TabularDrift (Bonferroni), and a domain classifier over all columns."""

from __future__ import annotations

import sys
import warnings

import numpy as np
from alibi_detect.cd import TabularDrift
from watch_world import NUMBERS, WORDS, told

warnings.filterwarnings("ignore")
NAMES = (*NUMBERS, *WORDS)


def coded(frames):
    """Both frames as numbers, words by their rank among all words."""
    sides = [np.zeros((len(one), len(NAMES)), np.float64) for one in frames]
    for place, name in enumerate(NAMES):
        if name in NUMBERS:
            for side, one in zip(sides, frames, strict=True):
                side[:, place] = one[name].to_numpy()
            continue
        known = {word: code for code, word in enumerate(sorted({*frames[0][name], *frames[1][name]}))}
        for side, one in zip(sides, frames, strict=True):
            side[:, place] = [known[word] for word in one[name]]
    return sides


def detect(before, now):
    """column → (1 − p, flagged)."""
    old, new = coded((before, now))
    kinds = {place: None for place, name in enumerate(NAMES) if name in WORDS}
    said = TabularDrift(old, p_val=0.05, categories_per_feature=kinds, correction="bonferroni").predict(new)["data"]
    p = np.asarray(said["p_val"], float)
    return {name: (1 - p[k], bool(p[k] < said["threshold"])) for k, name in enumerate(NAMES)}


if __name__ == "__main__":
    told(detect, sys.argv[1], int(sys.argv[2]), [int(size) for size in sys.argv[3:]])

"""Which answers are audited: those whose ids have the smallest hashes, whoever asks and whenever."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from shipworthy.core.table import Ints
from shipworthy.core.tallies import mixed

AUDITS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def level_of(share: float) -> int:
    """The place of the largest share that is counted and at most this; −1 if there is none."""
    return int(np.searchsorted(AUDITS, share * (1 + 1e-9), side="right")) - 1


def levels(ids: Iterable[str]) -> Ints:
    """The place in `AUDITS` of the smallest share that holds each id, (n,): one share's ids are all in the next."""
    return np.searchsorted(AUDITS, mixed(ids) / 2.0**64, side="left").clip(max=len(AUDITS) - 1).astype(np.int64)

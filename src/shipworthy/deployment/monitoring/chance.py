"""The 0/1 loss of deciding by a coin that has the model's probability.

Its mean is the mean of |y − p|, so it knows nothing of the threshold: a threshold chosen for unequal costs makes the
plain error rate large on a healthy model and small on a broken one. It stays 0 or 1, so that counts of it merge and
the tests for shares hold exactly.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from shipworthy.core.table import Floats, Ints


def chance_loss(score: Floats, came: Ints | Floats, coin: Floats) -> Floats:
    """1 where the coin decides wrongly, (n,). score: probability of the second class. came: 1 where it came true."""
    return np.asarray((coin < score) != (np.asarray(came) > 0.5), np.float64)


def coins(ids: npt.NDArray[np.object_]) -> Floats:
    """(n,) in [0, 1), one per prediction id, the same whenever it is asked. Source: CRC-32 of the id's bytes."""
    return np.array([zlib.crc32(str(one).encode()) for one in ids], np.float64) / 2**32


def drawn_coins(rows: int) -> Floats:
    """(rows,) in [0, 1) for rows without an id, the same for the same number of rows."""
    return np.random.default_rng(20_240_607).random(rows)

"""Noise from the operating system's generator; there is no seed, so nobody can draw it again."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from shipworthy.core.table import Floats


class SystemNoise:
    """Draws from `os.urandom`, by the names of `numpy.random.Generator`.

    Numbers are doubles: their lowest bits are not those of real noise, which an attacker who sees released numbers to
    the last bit could use. Source: Mironov (2012), "On Significance of the Least Significant Bits".
    """

    def random(self, size: Any) -> Floats:
        """Uniform draws in (0, 1), at the middles of 2⁵³ cells."""
        count = int(np.prod(size))
        whole = np.frombuffer(os.urandom(8 * count), np.uint64) >> np.uint64(11)
        return ((whole.astype(np.float64) + 0.5) * 2.0**-53).reshape(size)

    def normal(self, loc: float, scale: float, size: Any) -> Floats:
        """Normal draws by the inverse of the distribution function."""
        from scipy.special import ndtri

        return np.asarray(loc + scale * ndtri(self.random(size)), np.float64)

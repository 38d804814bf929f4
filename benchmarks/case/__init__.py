"""The case bars: what proofs, drills, trials and the bank reach, beside the library that serves as oracle."""

from __future__ import annotations

from functools import partial

from benchmarks import groups

GROUPS = groups.in_folder(__name__, __path__)
measure = partial(groups.measure, __name__, GROUPS)

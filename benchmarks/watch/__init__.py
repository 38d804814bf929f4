"""The watch bars: alarms, estimates without labels, renewal and rollout, beside the peers, each in its environment."""

from __future__ import annotations

from functools import partial

from benchmarks import groups

GROUPS = groups.in_folder(__name__, __path__)
measure = partial(groups.measure, __name__, GROUPS)

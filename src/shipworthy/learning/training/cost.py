"""What a run takes: wall clock, CPU seconds and peak memory from the operating system, energy as an interval."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from shipworthy.core.learned import Cost
from shipworthy.core.project import Learning

# Real energy against an estimate from CPU seconds and nominal power: estimate / measured lay in 0.49…1.35.
LEAST, MOST = 1 / 1.35, 1 / 0.49
JOULES_PER_KWH = 3.6e6
WATTS_PER_GB = 0.375  # 3 W for 8 GB, the estimate of CodeCarbon 2
COUNTERS = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Meter:
    """The readings at the start of a run; `cost` compares them with those of now."""

    wall: float
    cpu: float
    joules: dict[str, float]

    @property
    def seconds(self) -> float:
        """Wall seconds since the start."""
        return time.perf_counter() - self.wall

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of this process and its finished children since the start."""
        return cpu_seconds() - self.cpu

    def cost(self, learning: Learning, *, search_seconds: float = 0.0, trials: int = 0) -> Cost:
        """What the run took so far.

        kwh: where the processor's own counters can be read, between this process's share of them and all of them;
        else CPU seconds × declared watts, × 0.74 and × 2.04; either times the declared overhead. Memory is estimated
        apart, from its peak.
        Source: interval from the calibration runs of CodeCarbon 3.3 against RAPL counters.
        """
        wall, cpu, peak = self.seconds, self.cpu_seconds, _peak()
        low, high, counted = self._kwh(cpu, wall, learning.watts_per_core)
        low, high = low * learning.overhead, high * learning.overhead
        cleanest, dirtiest = learning.grams_per_kwh
        return Cost(wall_seconds=wall, cpu_seconds=cpu, peak_bytes=peak, budget_seconds=learning.seconds,
                    search_seconds=search_seconds, trials=trials, kwh_low=low, kwh_high=high, grams_low=low * cleanest,
                    grams_high=high * dirtiest, grid=learning.grid, grid_as_of=learning.grid_as_of, counters=counted,
                    memory_kwh=peak / 1e9 * WATTS_PER_GB * wall / JOULES_PER_KWH, overhead=learning.overhead,
                    metered=True, money=cpu / 3600 * learning.money_per_cpu_hour, currency=learning.currency)

    def spent(self, learning: Learning) -> tuple[float, float]:
        """CPU seconds so far, and the upper end of kWh."""
        cpu = self.cpu_seconds
        return cpu, self._kwh(cpu, self.seconds, learning.watts_per_core)[1] * learning.overhead

    def _kwh(self, cpu: float, wall: float, watts: float) -> tuple[float, float, bool]:
        """The interval, and whether it is from counters."""
        now = _joules()
        spent = sum(now[name] - first for name, first in self.joules.items() if now.get(name, -1.0) >= first)
        if spent > 0:
            share = min(1.0, cpu / max(wall * (os.cpu_count() or 1), 1e-9))
            return spent * share / JOULES_PER_KWH, spent / JOULES_PER_KWH, True
        guess = cpu / 3600 * watts / 1000
        return guess * LEAST, guess * MOST, False


def start() -> Meter:
    """A meter that has begun to count."""
    return Meter(time.perf_counter(), cpu_seconds(), _joules())


def stop(meter: Meter, learning: Learning, *, search_seconds: float = 0.0, trials: int = 0) -> Cost:
    """What a run took since its meter started."""
    return meter.cost(learning, search_seconds=search_seconds, trials=trials)


def cpu_seconds() -> float:
    """CPU seconds of this process and its finished children since they began; to the microsecond where told so."""
    try:
        import resource
    except ImportError:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak() -> int:
    """Largest resident memory of this process so far, bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return (int(max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
            * unit)


def _joules() -> dict[str, float]:
    """The processor packages' energy counters by name; empty where they cannot be read."""
    found = {}
    for counter in sorted(COUNTERS.glob("intel-rapl:?/energy_uj")):
        try:
            found[counter.parent.name] = int(counter.read_text()) / 1e6
        except (OSError, ValueError):
            continue
    return found

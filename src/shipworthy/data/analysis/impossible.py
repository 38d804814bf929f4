"""Values that cannot be: beyond what the column's name allows, or alone by a power of ten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shipworthy.core.table import Floats, Mask
from shipworthy.data.collection.containment import words_of

RARE = 0.005
ALONE = 5.0
FAR = 10.0
MOST_ALONE = 0.001
LIMITS: tuple[tuple[frozenset[str], float, float, str], ...] = (
    (frozenset({"wind", "speed"}), 0, 410, "no wind was ever measured above 408 km/h"),
    (frozenset({"wind", "gust"}), 0, 410, "no wind was ever measured above 408 km/h"),
    (frozenset({"wind", "dir"}), 0, 360, "a direction has 0 to 360 degrees"),
    (frozenset({"age"}), 0, 130, "nobody is older than 130 or younger than 0"),
    (frozenset({"humid"}), 0, 100.5, "relative humidity is 0 to 100 %"),
    (frozenset({"humidity"}), 0, 100.5, "relative humidity is 0 to 100 %"),
    (frozenset({"lat"}), -90, 90, "latitude is −90 to 90"),
    (frozenset({"latitude"}), -90, 90, "latitude is −90 to 90"),
    (frozenset({"lon"}), -180, 180, "longitude is −180 to 180"),
    (frozenset({"longitude"}), -180, 180, "longitude is −180 to 180"),
    (frozenset({"month"}), 1, 12, "there are 12 months"),
    (frozenset({"hour"}), 0, 24, "a day has 24 hours"),
    (frozenset({"minute"}), 0, 60, "an hour has 60 minutes"),
)
POSITIVE = frozenset(["distance", "weight", "height", "seats", "count", "humid", "precip", "visib", "tenure",
                      "population", "households", "rooms", "bedrooms", "mileage", "quantity", "qty"])


@dataclass(frozen=True)
class Odd:
    """Which rows hold what cannot be, and why; one reason for all of them."""

    rows: Mask
    reason: str


def impossible(name: str, numbers: Floats, limits: tuple[float, float] | None = None) -> tuple[Odd, ...]:
    """The impossible values of one column, by reason; none when more than 0.5 % break a rule of thumb, because then
    the column means something else.

    numbers: (n,) NaN for missing. limits: what the project declared; these hold without exception.
    """
    known = np.isfinite(numbers)
    if not known.any():
        return ()
    found = []
    if limits is not None:
        rows = known & ((numbers < limits[0]) | (numbers > limits[1]))
        return (Odd(rows, f"the project declares {limits[0]:g} to {limits[1]:g}"),) if rows.any() else ()
    low, high, reason = bounds(name)
    if reason:
        rows = known & ((numbers < low) | (numbers > high))
        if 0 < rows.sum() <= max(3, RARE * known.sum()) and rows.sum() <= 0.05 * known.sum():
            found.append(Odd(rows, reason))
    rows = powers_of_ten(numbers, known)
    if found:
        rows = rows & ~found[0].rows
    if rows.any():
        found.append(Odd(rows, "it stands alone beyond all others by a power of ten"))
    return tuple(found)


def may_be_impossible(name: str, sample: Floats, low: float | None, high: float | None) -> bool:
    """False only where `impossible` would find nothing in the whole column, so that the long look is spared.

    sample: some of its numbers, NaN for missing. low, high: the least and the greatest of all of them.
    """
    if low is None or high is None or not np.isfinite([low, high]).all():
        return low is not None
    least, most, _ = bounds(name)
    if low < least or high > most:
        return True
    known = np.abs(sample[np.isfinite(sample)])
    near = int((known > max(-low, high) / FAR).sum())
    return near <= 3 + 3 * MOST_ALONE * len(known)


def bounds(name: str) -> tuple[float, float, str]:
    """What a column of this name can hold, and why; an empty reason if the name says nothing.

    >>> bounds("wind_speed")[:2]
    (0, 410)
    """
    tokens = set(words_of(name))
    for needed, low, high, reason in LIMITS:
        if needed <= tokens and not {"std", "score", "norm", "scaled", "delta", "diff", "change", "log"} & tokens:
            if (
                needed == {"age"}
                and tokens != {"age"}
                and not {"driver", "customer", "patient", "person", "client"} & tokens
            ):
                continue
            return low, high, reason
    if tokens & POSITIVE and not {"delta", "diff", "change", "log", "scaled", "net", "balance"} & tokens:
        return 0, np.inf, "it cannot be negative"
    return -np.inf, np.inf, ""


def powers_of_ten(numbers: Floats, known: Mask) -> Mask:
    """(n,) true for at most 0.1 % of values that lie 10 times beyond the 99.9 % point and 5 times beyond the next
    value, and that some power of ten brings back among the others.
    """
    values = np.abs(numbers[known])
    none = np.zeros(len(numbers), np.bool_)
    if len(values) < 200:
        return none
    ordered = np.sort(values)
    edge = np.quantile(ordered, 1 - MOST_ALONE) if len(values) >= 2_000 else ordered[-3]
    middle = np.quantile(ordered, [0.05, 0.95])
    if edge <= 0 or ordered[-1] < FAR * edge:
        return none
    first = int(np.searchsorted(ordered, FAR * edge))
    most = max(2, MOST_ALONE * len(ordered))
    if first == 0 or len(ordered) - first > most or ordered[first] < ALONE * ordered[first - 1]:
        return none
    back = ordered[first:, None] / 10.0 ** np.arange(1, 7)[None, :]
    if not np.any((back >= middle[0]) & (back <= middle[1]), axis=1).all():
        return none
    found: Mask = known & (np.abs(np.where(known, numbers, 0.0)) >= ordered[first])
    return found

"""Weak slices: parts of the rows, told by one to three columns, where a loss is significantly higher.

Source: Chung et al. (2019), "Slice Finder"; Pastor, de Alfaro and Baralis (2021), DivExplorer; multiple tests after
Benjamini and Hochberg (1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import special

from shipworthy.core.table import Floats, Mask, Table
from shipworthy.metrics.intervals import benjamini_hochberg

LEVELS = 20
BINS = 4
COLUMNS = 40


@dataclass(frozen=True)
class Slice:
    """Rows told by `told` (column, words), how many they are, their mean loss and the chance of such a mean.

    low, high: interval of the mean loss, widened for the number of slices that survived.
    """

    told: tuple[tuple[str, str], ...]
    rows: int
    loss: float
    p: float
    low: float = np.nan
    high: float = np.nan

    def __str__(self) -> str:
        return " and ".join(f"{column} {words}" for column, words in self.told)


@dataclass(frozen=True)
class Found:
    """The significant slices, worst first, how many were tested, and the mean loss of all rows."""

    slices: tuple[Slice, ...]
    tested: int
    overall: float


@dataclass(frozen=True)
class Literals:
    """What a slice can be told by: (column, words) and the rows of each, (n, m)."""

    names: tuple[tuple[str, str], ...]
    rows: npt.NDArray[np.float32]


def literals(table: Table, columns: Sequence[str], bins: Table) -> Literals:
    """Four bins of every number, the 20 most frequent levels of every category, the rest, and missing.

    bins: the rows whose quartiles and levels are used, such as the learning rows.
    """
    names: list[tuple[str, str]] = []
    masks: list[Mask] = []
    for name in columns:
        for words, mask in _told(table, name, bins):
            names.append((name, words))
            masks.append(mask)
    rows = np.stack(masks, axis=1).astype(np.float32) if masks else np.zeros((table.rows, 0), np.float32)
    return Literals(tuple(names), rows)


def _told(table: Table, name: str, bins: Table) -> list[tuple[str, Mask]]:
    if table.schema[name].kind in ("number", "timestamp"):
        values, seen = table.numbers(name), bins.numbers(name)
        known = seen[np.isfinite(seen)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if known.size else np.zeros(0)
        cell = np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), -1)
        ends = ["-inf", *(f"{edge:g}" for edge in edges), "inf"]
        return [(f"in ({ends[n]}, {ends[n + 1]}]" if n >= 0 else "missing", cell == n)
                for n in range(-1, len(edges) + 1)]
    words = np.array(["\0" if word is None else str(word) for word in table.words(name)])
    levels, counts = np.unique([str(w) for w in bins.words(name) if w is not None], return_counts=True)
    kept = [str(level) for level in levels[np.argsort(-counts, kind="stable")[:LEVELS]]]
    found = [(f"= {level}", np.asarray(words == level)) for level in kept]
    rest = ~np.isin(words, [*kept, "\0"])
    return [*found, ("is another level", rest), ("missing", np.asarray(words == "\0"))]


def find(loss: Floats, told: Literals, *, depth: int = 2, support: int = 50, q: float = 0.05) -> Found:
    """The slices whose mean loss is significantly higher than that of the other rows.

    loss: (n,); of 0 and 1 it is tested by the hypergeometric tail, else by Welch's t, clipped at its 99.9 % quantile.
    depth: 1 to 3 columns. A slice that is no worse than a surviving part of what tells it is dropped.
    """
    plain = bool(np.isin(loss, (0, 1)).all())
    used = loss if plain else np.minimum(loss, np.quantile(loss, 0.999))
    tried = _tried(used, told, depth, support)
    p = _tails(used, tried, plain)
    kept = np.flatnonzero(benjamini_hochberg(p, q=q)) if len(p) else np.zeros(0, np.int64)
    times = -float(special.ndtri(q * max(1, len(kept)) / max(1, len(p)) / 2))
    slices = [_slice(told, tried[n], float(p[n]), times) for n in kept]
    return Found(tuple(sorted(_thin(slices, used), key=lambda one: -one.loss)), len(p), float(used.mean()))


Tried = tuple[tuple[int, ...], float, float, float]


def _tried(loss: Floats, told: Literals, depth: int, support: int) -> list[Tried]:
    """(literals, rows, sum of loss, sum of squares) of every slice with enough rows, without copies of a parent."""
    m, rows = len(told.names), told.rows
    whole: dict[tuple[int, ...], float] = {(): float(len(loss))}
    found: list[Tried] = []
    for size in range(1, depth + 1):
        level: list[Tried] = []
        for stem in _stems(m, size - 1, whole, support):
            mask = rows[:, list(stem)].prod(axis=1) if stem else np.ones(len(rows), np.float32)
            first = stem[-1] + 1 if stem else 0
            part = rows[:, first:] * mask[:, None]
            count = part.sum(axis=0, dtype=np.float64)
            total, square = part.T.astype(np.float64) @ loss, part.T.astype(np.float64) @ (loss * loss)
            level += [((*stem, first + n), float(count[n]), float(total[n]), float(square[n]))
                      for n in map(int, np.flatnonzero((count >= support) & (count < len(loss))))
                      if all(told.names[k][0] != told.names[first + n][0] for k in stem)]
        for one in level:
            whole[one[0]] = one[1]
        found += [one for one in level if all(whole.get(parent) != one[1] for parent in combinations(one[0], size - 1))]
    return found


def _stems(m: int, size: int, whole: dict[tuple[int, ...], float], support: int) -> list[tuple[int, ...]]:
    return [key for key, count in whole.items() if len(key) == size and count >= support
            and (not key or key[-1] < m - 1)]


def _tails(loss: Floats, tried: list[Tried], plain: bool) -> Floats:
    n, total, square = len(loss), float(loss.sum()), float((loss * loss).sum())
    if plain:
        return np.array([_hypergeometric(int(t), int(c), int(total), n) for _, c, t, _ in tried])
    out = np.ones(len(tried))
    for at, (_, count, inside, squares) in enumerate(tried):
        rest = n - count
        mean, other = inside / count, (total - inside) / rest
        va = max(squares / count - mean**2, 1e-300) / max(count - 1, 1)
        vb = max((square - squares) / rest - other**2, 1e-300) / max(rest - 1, 1)
        freedom = (va + vb) ** 2 / (va**2 / max(count - 1, 1) + vb**2 / max(rest - 1, 1))
        out[at] = 1 - special.stdtr(freedom, (mean - other) / np.sqrt(va + vb))
    return out


def _hypergeometric(hits: int, drawn: int, bad: int, n: int) -> float:
    """Chance of `hits` or more bad rows among `drawn` of n rows, `bad` of them bad."""
    if hits * n <= drawn * bad:
        return 1.0
    k = np.arange(hits, min(drawn, bad) + 1)
    logs = _choose(bad, k) + _choose(n - bad, drawn - k) - _choose(n, np.array([drawn]))
    return float(min(1.0, np.exp(logs).sum()))


def _choose(n: int, k: npt.NDArray[np.int64]) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0)
    return np.where((k < 0) | (k > n), -np.inf, logs)


def _thin(slices: list[Slice], loss: Floats) -> list[Slice]:
    kept = []
    spread = float(loss.std()) or 1.0
    for one in slices:
        parents = [other for other in slices if len(other.told) < len(one.told) and set(other.told) < set(one.told)]
        best = max(parents, key=lambda other: other.loss, default=None)
        if best is None or (one.loss - best.loss) / (spread / np.sqrt(one.rows)) > 1.96:
            kept.append(one)
    return kept


def _slice(told: Literals, tried: Tried, p: float, times: float) -> Slice:
    """A slice with its interval: so many standard errors of its own loss to either side."""
    place, count, total, square = tried
    mean = total / count
    half = times * float(np.sqrt(max(square / count - mean**2, 1e-9 * mean**2, 1e-300) / count))
    return Slice(tuple(told.names[k] for k in place), int(count), mean, p, mean - half, mean + half)


def thin_slices(told: Literals, support: int) -> tuple[str, ...]:
    """The single-column slices with fewer rows than the support, which nothing can be said of."""
    count = told.rows.sum(axis=0)
    return tuple(f"{name} {words}" for (name, words), rows in zip(told.names, count, strict=True) if 0 < rows < support)

"""Weak slices: parts of the rows, told by one to three columns, where a loss is significantly higher.

Rows are bits of 64-bit words, so that a slice is an AND and its size a count of bits.
Source: Chung et al. (2019), "Slice Finder"; Pastor, de Alfaro and Baralis (2021), DivExplorer; multiple tests after
Benjamini and Hochberg (1995); intervals of those selected after Benjamini and Yekutieli (2005).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import special

from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.metrics.intervals import benjamini_hochberg, clopper_pearson
from shipworthy.verification.trials.tails import hypergeometric_tails, welch_tails

LEVELS = 20
BINS = 4
COLUMNS = 40
CHANCE = 0.05
Bits = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Slice:
    """Rows told by `told` (column, words), how many they are, their mean loss and the chance of such a mean.

    low, high: interval of the mean loss, widened for the number of slices that survived. places: of its literals.
    """

    told: tuple[tuple[str, str], ...]
    rows: int
    loss: float
    p: float
    low: float = np.nan
    high: float = np.nan
    places: tuple[int, ...] = ()

    def __str__(self) -> str:
        return " and ".join(f"{column} {words}" for column, words in self.told)


@dataclass(frozen=True)
class Found:
    """The significant slices, worst first; how many were tested, and survived before thinning; the loss of all rows."""

    slices: tuple[Slice, ...]
    tested: int
    survived: int
    overall: float


@dataclass(frozen=True)
class Literals:
    """What a slice can be told by: (column, words), and the rows of each as bits, (m, words)."""

    names: tuple[tuple[str, str], ...]
    bits: Bits
    rows: int

    def count(self) -> Ints:
        """How many rows each literal holds, (m,)."""
        return _count(self.bits)

    def mask(self, places: Sequence[int]) -> Mask:
        """The rows where all of these literals hold, (n,)."""
        return _unpacked(np.bitwise_and.reduce(self.bits[list(places)], axis=0), self.rows)

    def insufficient(self, support: int) -> tuple[str, ...]:
        """The literals with fewer rows than the support, of which nothing can be said."""
        return tuple(f"{name} {words}" for (name, words), rows in zip(self.names, self.count(), strict=True)
                     if 0 < rows < support)


def literals(table: Table, columns: Sequence[str], bins: Table) -> Literals:
    """Four bins of every number, the 20 most frequent levels of every category, the rest, and missing.

    bins: the rows whose quartiles and levels are used, such as the learning rows.
    """
    named = [((name, words), mask) for name in columns for words, mask in _told(table, name, bins) if mask.any()]
    bits = np.stack([_packed(mask) for _, mask in named]) if named else np.zeros((0, 1), np.uint64)
    return Literals(tuple(name for name, _ in named), bits, table.rows)


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


def find(loss: Floats, told: Literals, *, depth: int = 3, support: int = 50, q: float = 0.05) -> Found:
    """The slices whose mean loss is significantly higher than that of the other rows, worst first.

    loss: (n,); of 0 and 1 it is tested by the hypergeometric tail, else by Welch's t, clipped at its 99.9 % quantile.
    depth: 1 to 3 columns. All slices of at least `support` rows are tests, but for copies of a slice of fewer columns.
    A slice that is not significantly worse than the worst surviving slice it is part of is dropped.
    """
    used = loss if _plain(loss) else np.minimum(loss, np.quantile(loss, 0.999))
    tried = _tried(used, told, depth, support)
    whole = (len(used), float(used.sum()), float((used * used).sum()))
    p = _tails(tried, whole, plain=_plain(loss))
    kept = np.flatnonzero(benjamini_hochberg(p, q=q)) if len(p) else np.zeros(0, np.int64)
    survived = tried.only(kept)
    thin = _thinned(survived, plain=_plain(loss))
    level = 1 - q * max(1, len(kept)) / max(1, len(p))
    slices = [_slice(told, survived, n, float(p[kept[n]]), level=level, plain=_plain(loss)) for n in thin]
    order = sorted(slices, key=lambda one: -one.loss)
    return Found(tuple(order), len(p), len(kept), float(used.mean()))


def _plain(loss: Floats) -> bool:
    return bool(np.isin(loss, (0, 1)).all())


@dataclass(frozen=True)
class _Tried:
    """Slices: literals (k, 3) padded with −1, rows, sum of loss and of its squares, (k,)."""

    places: Ints
    rows: Ints
    total: Floats
    square: Floats

    def only(self, kept: Ints) -> _Tried:
        return _Tried(self.places[kept], self.rows[kept], self.total[kept], self.square[kept])

    def key(self, n: int) -> tuple[int, ...]:
        return tuple(int(place) for place in self.places[n] if place >= 0)


def _tried(loss: Floats, told: Literals, depth: int, support: int) -> _Tried:
    """Every slice with enough rows, without copies of a parent."""
    m = len(told.names)
    column = np.unique([name for name, _ in told.names], return_inverse=True)[1] if m else np.zeros(0, np.int64)
    single, sums = told.count(), _Sums(loss)
    pair = np.zeros((m, m), np.int64)
    pair[np.arange(m), np.arange(m)] = single
    parts: list[_Tried] = []
    usable = np.flatnonzero((single >= support) & (single < told.rows))
    stems: list[tuple[tuple[int, ...], Bits]] = [((), ~np.zeros(told.bits.shape[1], np.uint64))]
    for size in range(1, depth + 1):
        grown: list[tuple[tuple[int, ...], Bits]] = []
        for stem, bits in stems:
            asked = usable[usable > (stem[-1] if stem else -1)]
            asked = asked[~np.isin(column[asked], column[list(stem)])]
            both = told.bits[asked] & bits
            rows = _count(both)
            enough = rows >= support
            if size == 2:
                pair[stem[0], asked] = pair[asked, stem[0]] = rows
            enough &= _no_copies(stem, asked, rows, pair)
            at = asked[enough]
            if at.size:
                parts.append(_Tried(_padded(stem, at), rows[enough], *sums.of(bits, both[enough], told, at)))
                grown += [((*stem, int(place)), one) for place, one in zip(at, both[enough], strict=True)]
        stems = grown if size < depth else []
    return _joined(parts)


def _no_copies(stem: tuple[int, ...], asked: Ints, rows: Ints, pair: Ints) -> Mask:
    """Which children hold fewer rows than every slice they are part of."""
    if not stem:
        return np.ones(len(asked), np.bool_)
    if len(stem) == 1:
        return np.asarray((rows < pair[stem[0], stem[0]]) & (rows < pair[asked, asked]), np.bool_)
    parents = np.minimum(pair[stem[0], asked], pair[stem[1], asked])
    return np.asarray(rows < np.minimum(parents, pair[stem[0], stem[1]]), np.bool_)


def _padded(stem: tuple[int, ...], at: Ints) -> Ints:
    out = np.full((len(at), 3), -1, np.int64)
    out[:, : len(stem)] = stem
    out[:, len(stem)] = at
    return out


def _joined(parts: list[_Tried]) -> _Tried:
    if not parts:
        return _Tried(np.zeros((0, 3), np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    return _Tried(np.concatenate([one.places for one in parts]), np.concatenate([one.rows for one in parts]),
                  np.concatenate([one.total for one in parts]), np.concatenate([one.square for one in parts]))


class _Sums:
    """Sums of a loss over slices: counts of bits where it is 0 or 1, else over the rows of the stem only."""

    def __init__(self, loss: Floats) -> None:
        self.loss, self._bad = loss, _packed(loss == 1) if _plain(loss) else None
        self._both = np.stack([loss, loss * loss], axis=1)
        self._dense: npt.NDArray[np.float32] | None = None

    def of(self, stem: Bits, children: Bits, told: Literals, at: Ints) -> tuple[Floats, Floats]:
        """(k,) sum of the loss and of its square over each child of a stem."""
        if self._bad is not None:
            hits = _count(children & self._bad).astype(np.float64)
            return hits, hits
        if self._dense is None:
            self._dense = _unpacked(told.bits, told.rows).T.astype(np.float32)
        inside = np.flatnonzero(_unpacked(stem, told.rows))
        found = self._dense[np.ix_(inside, at)].T.astype(np.float64) @ self._both[inside]
        return found[:, 0], found[:, 1]


def _tails(tried: _Tried, whole: tuple[int, float, float], *, plain: bool) -> Floats:
    n, total, square = whole
    if plain:
        return hypergeometric_tails(tried.total.astype(np.int64), tried.rows, int(total), n)
    inside = (tried.rows.astype(np.float64), tried.total, tried.square)
    return welch_tails(inside, (n - inside[0], total - inside[1], square - inside[2]))


def _thinned(survived: _Tried, *, plain: bool) -> list[int]:
    """The survivors that are significantly worse than the worst survivor they are part of, or part of none.

    A slice is held to the other rows of that parent, at 5 %.
    """
    mean = survived.total / np.maximum(survived.rows, 1)
    known = {survived.key(n): n for n in range(len(mean))}
    best = np.full(len(mean), -1, np.int64)
    for key, n in known.items():
        parents = [known[part] for part in _parts(key) if part in known]
        best[n] = max(parents, key=lambda one: mean[one], default=-1)
    at = np.flatnonzero(best >= 0)
    one, over = survived.only(at), survived.only(best[at])
    if plain:
        p = hypergeometric_tails(one.total.astype(np.int64), one.rows, over.total.astype(np.int64), over.rows)
    else:
        inside = (one.rows.astype(np.float64), one.total, one.square)
        p = welch_tails(inside, (over.rows - inside[0], over.total - inside[1], over.square - inside[2]))
    dropped = set(at[~(p < CHANCE)].tolist())
    return [n for n in range(len(mean)) if n not in dropped]


def _parts(key: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for size in range(1, len(key)):
        yield from combinations(key, size)


def _slice(told: Literals, found: _Tried, n: int, p: float, *, level: float, plain: bool) -> Slice:
    """A slice with its interval: exact for a share, else so many standard errors of its own loss to either side."""
    key, count, total = found.key(n), int(found.rows[n]), float(found.total[n])
    mean = total / count
    if plain:
        low, high = clopper_pearson(round(total), count, level=level)
    else:
        times = -float(special.ndtri((1 - level) / 2))
        half = times * float(np.sqrt(max(found.square[n] / count - mean**2, 1e-9 * mean**2, 1e-300) / count))
        low, high = mean - half, mean + half
    return Slice(tuple(told.names[k] for k in key), count, mean, p, low, high, key)


def _packed(mask: Mask) -> Bits:
    """(words,) a bit for every row of a mask (n,)."""
    bits = np.packbits(mask)
    whole = np.zeros(-(-len(mask) // 64) * 8, np.uint8)
    whole[: len(bits)] = bits
    return whole.view(np.uint64)


def _unpacked(bits: Bits, rows: int) -> Mask:
    return np.unpackbits(np.ascontiguousarray(bits).view(np.uint8), axis=-1, count=rows).view(np.bool_)


def _count(bits: Bits) -> Ints:
    return np.asarray(np.bitwise_count(bits).sum(axis=-1, dtype=np.int64), np.int64)

"""Does a batch carry a backdoor? A model of trusted and new rows beside one of trusted rows alone: what sends rows to
a class in the one and not in the other is a trigger.

Label-noise search cannot see a backdoor, whose labels agree with its trigger. What is searched are exact values, ranges
and missing values of one column, and pairs of those in two. A trigger of three columns at once, none of them or their
pairs more frequent than usual, stays unseen.
Source: Gu, Dolan-Gavitt and Garg (2017), "BadNets"; Joe et al. (2022) and Tabdoor (Pleiter et al., 2023) for tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from shipworthy.assurance.trees import grown
from shipworthy.core.table import Floats, Ints, Mask

LEAST, KEPT, STAMPED = 15, 25, 600
BINS, FEW, NEARLY = 16, 32, 0.8
TREES, LEAVES = 80, 15


class Atom(NamedTuple):
    """A value, a range (low, high] or the absence of a value of one column, and what stamps it on a row."""

    column: int
    low: float
    high: float
    value: float

    def of(self, inputs: Floats) -> Mask:
        """(n,) the rows that carry it."""
        one = inputs[:, self.column]
        if np.isnan(self.value):
            return np.asarray(np.isnan(one), np.bool_)
        exact = self.low == self.high
        return np.asarray(one == self.value if exact else (one > self.low) & (one <= self.high), np.bool_)


class Trigger(NamedTuple):
    """What was found. atoms: one or two. gap: by how much it raises the mean probability of the class on rows that it
    is stamped on. rows: of the candidate that carry it."""

    atoms: tuple[Atom, ...]
    target: int
    gap: float
    rows: Ints


def scan(
    trusted: tuple[Floats, Ints], candidate: tuple[Floats, Ints], fresh: tuple[Floats, Ints], *,
    codes: Sequence[int] = (), seed: int = 0,
) -> Trigger | None:
    """The trigger with the largest gap; None where nothing in the candidate is frequent enough to be one.

    trusted, candidate: inputs (n, d) and codes of the class, 0 or 1. fresh: trusted rows that are not among them, on
    which triggers are stamped. codes: columns that hold codes.
    """
    both = np.vstack([trusted[0], candidate[0]]), np.concatenate([trusted[1], candidate[1]])
    after, before = (grown(*one, classes=2, codes=codes, rounds=TREES, leaves=LEAVES, seed=seed)
                     for one in (both, trusted))
    stamps = _stamps(atoms(trusted, candidate, codes), candidate[0])
    found: Trigger | None = None
    for target in (0, 1):
        ground = fresh[0][np.flatnonzero(fresh[1] != target)[:STAMPED]]
        if not len(ground) or not stamps:
            continue
        stamped = np.vstack([_stamped(ground, each) for each in stamps])
        sent = [one(stamped)[:, target].reshape(len(stamps), -1).mean(axis=1) for one in (after, before)]
        gaps = sent[0] - sent[1]
        most = _plainest(stamps, gaps)
        if found is None or gaps[most] > found.gap:
            carries = np.all([atom.of(candidate[0]) for atom in stamps[most]], axis=0)
            found = Trigger(stamps[most], target, float(gaps[most]), np.flatnonzero(carries).astype(np.int64))
    return found


def atoms(trusted: tuple[Floats, Ints], candidate: tuple[Floats, Ints], codes: Sequence[int]) -> list[Atom]:
    """The 25 atoms of the candidate whose class rate or frequency differs most from that of the trusted rows."""
    usual = float(np.clip(trusted[1].mean(), 0.01, 0.99)) if len(trusted[1]) else 0.5
    ranked = [(_strangeness(atom, trusted, candidate, usual), atom)
              for column in range(candidate[0].shape[1]) for atom in _of_column(column, candidate[0][:, column],
                                                                                 column in codes)]
    return [atom for _, atom in sorted(ranked, key=lambda pair: -pair[0])[:KEPT]]


def _strangeness(atom: Atom, trusted: tuple[Floats, Ints], candidate: tuple[Floats, Ints], usual: float) -> float:
    """|z| of the class rates, and 3 more for an atom that is far more frequent than among the trusted rows."""
    here, there = atom.of(candidate[0]), atom.of(trusted[0])
    c, r = int(here.sum()), int(there.sum())
    least = 1 / (2 * max(r, 5))
    rate = float(np.clip(trusted[1][there].mean(), least, 1 - least)) if r else usual
    z = (float(candidate[1][here].mean()) - rate) / np.sqrt(rate * (1 - rate) * (1 / c + 1 / max(r, 5)))
    return float(abs(z) + 3.0 * (r * len(candidate[1]) < 0.3 * c * max(1, len(trusted[1]))))


def _of_column(place: int, column: Floats, coded: bool) -> list[Atom]:
    """The atoms of a column with at least 15 rows."""
    known = column[~np.isnan(column)]
    values, counts = np.unique(known, return_counts=True)
    found = [Atom(place, value, value, value) for value in values[counts >= LEAST].tolist()]
    if len(known) <= len(column) - LEAST:
        found.append(Atom(place, np.nan, np.nan, np.nan))
    if not coded and len(values) > FEW:
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)))
        edges[0] -= 1.0
        for low, high in pairwise(edges.tolist()):
            inside = known[(known > low) & (known <= high)]
            if len(inside) >= LEAST and len(np.unique(inside)) > 1:
                found.append(Atom(place, low, high, float(np.median(inside))))
    return found


def _stamps(known: Sequence[Atom], inputs: Floats) -> list[tuple[Atom, ...]]:
    """Every atom, and every pair of two columns that at least 15 rows carry together."""
    rows = [atom.of(inputs) for atom in known]
    pairs = [(known[one], known[other]) for one, other in combinations(range(len(known)), 2)
             if known[one].column != known[other].column and (rows[one] & rows[other]).sum() >= LEAST]
    return [*((atom,) for atom in known), *pairs]


def _plainest(stamps: Sequence[tuple[Atom, ...]], gaps: Floats) -> int:
    """The largest gap; or that of one of its two atoms alone, which says more, if it is nearly as large."""
    most = int(gaps.argmax())
    alone = [place for place, each in enumerate(stamps) if len(each) == 1 and each[0] in stamps[most]]
    best = max(alone, key=lambda place: float(gaps[place]), default=most)
    return best if gaps[best] >= NEARLY * gaps[most] else most


def _stamped(rows: Floats, stamp: Sequence[Atom]) -> Floats:
    made = rows.copy()
    for atom in stamp:
        made[:, atom.column] = atom.value
    return made

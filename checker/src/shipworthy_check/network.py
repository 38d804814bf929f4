"""Parts about networks: a split tree over ranges, codes and missing values, whose every end is bounded anew.

Each activation lies between two lines; what lies above a weighted sum is followed back through them to the inputs, one
box at a time. Rounding: a sum of n products in doubles is off by at most n·u / (1 − n·u) times the sum of their
absolute values, u = 2⁻⁵³, in any order; `heavy` adds up these absolute values, and twice that share of it is added to
every bound. Source: Higham (2002), section 3.1; Zhang et al. (2018), CROWN; Paulsen et al. (2020), ReluDiff.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shipworthy_check.program import Program, Rejected

UNIT = 2.0**-53
BENDS = {"identity": 0.0, "relu": 0.0, "tanh": 2e-15, "logistic": 2e-15}  # how far a kernel's own may be off
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Span:
    """What an input may be: numbers from low to high if low ≤ high, some codes, missing."""

    low: float
    high: float
    gone: bool
    whole: bool
    codes: frozenset[int] | None = None

    @property
    def some(self) -> bool:
        return bool(self.codes) if self.codes is not None else self.low <= self.high

    def cut(self, word: str, rest: Iterator[str]) -> tuple[Span, Span]:
        """Both sides of a cut. Raises Rejected for one that the span does not allow."""
        if word == "g":
            if not (self.gone and self.some):
                raise Rejected("missing is divided from nothing")
            alone = replace(self, low=math.inf, high=-math.inf, codes=None if self.codes is None else frozenset())
            return alone, replace(self, gone=False)
        if word == "c":
            mask = int(next(rest), 16)
            inside = frozenset(code for code in self.codes or () if mask >> code & 1)
            if self.codes is None or not inside or (inside == self.codes and not self.gone):
                raise Rejected("codes are divided that the box does not have")
            return replace(self, codes=inside, gone=False), replace(self, codes=self.codes - inside)
        at = float(next(rest))
        up = at + 1 if self.whole else at
        if self.codes is not None or not (self.low <= at <= self.high and up <= self.high) or (
                self.whole and at != math.floor(at)):
            raise Rejected("a cut lies outside its box")
        return replace(self, high=at, gone=False), replace(self, low=up)


def dense(program: Program) -> bool:
    """Whether a program is one network and nothing else."""
    return len(program.terms) == 1 and program.terms[0][0]["type"] == "dense"


class Net:
    """A network as one view of a part reads it. moved: (place, other): it reads another input in place of one."""

    def __init__(self, program: Program, view: dict[str, Any]) -> None:
        kind, a = program.terms[0]
        if view["set"]:
            raise Rejected("a network has no inputs that are set")
        self.act, self.out = kind.get("activation", "relu"), np.asarray(view["weights"], np.float64)
        count = sum(key.startswith("weight") for key in a)
        self.layers = [(a[f"weight{n}"].astype(np.float64), a[f"bias{n}"].astype(np.float64)) for n in range(count)]
        moved = {int(place): int(other) for place, other in view.get("moved", {}).items()}
        self.reads, at = [], 0
        for n, (place, levels) in enumerate(zip(a["place"].tolist(), a["levels"].tolist())):
            self.reads.append((moved.get(place, place), at, levels,
                               [float(a[key][n]) for key in ("low", "high", "fill", "offset", "scale")]))
            at += levels or 2
        self.width = at
        if len({place for place, *_ in self.reads}) < len(self.reads) or self.out.shape != (program.outputs,):
            raise Rejected("the network reads an input twice, or has not a weight for every output")
        longest = max(max(w.shape) for w, _ in self.layers) + len(self.reads) + 20 * count
        self.share = 2 * longest * UNIT / (1 - longest * UNIT)

    def scaled(self, numbers: list[float], x: float) -> float:
        low, high, _, offset, scale = numbers
        return (min(max(x, low), high) - offset) / scale

    def rows(self, read: Any, values: list[float | None]) -> np.ndarray:
        """(k, width) the columns of an input at some values, None for missing; zero for all others."""
        _, at, levels, numbers = read
        found = np.zeros((len(values), self.width))
        for row, value in zip(found, values):
            if levels:
                row[at : at + levels] = 0.0 if value is None else np.arange(levels) == value
            else:
                row[at], row[at + 1] = self.scaled(numbers, numbers[2] if value is None else value), value is None
        return found

    def bent(self, sums: np.ndarray) -> np.ndarray:
        """The activation of some sums."""
        if self.act == "relu":
            return np.maximum(sums, 0.0)
        if self.act == "tanh":
            return np.tanh(sums)
        return sums if self.act == "identity" else np.asarray(0.5 * (1.0 + np.tanh(sums / 2)))

    def steep(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least and greatest slope between some sums."""
        if self.act in ("relu", "identity"):
            plain = self.act == "identity"
            return ((low >= 0) & (high > 0) | plain).astype(float), ((high > 0) | plain).astype(float)
        ends = self.bent(np.stack([low, high]))
        slopes, top = (1 - ends**2, 1.0) if self.act == "tanh" else (ends * (1 - ends), 0.25)
        most = np.where((low <= 0) & (high >= 0), top, np.minimum(slopes.max(axis=0) + 8e-15, top))
        return np.maximum(slopes.min(axis=0) - 8e-15, 0.0), most

    def lines(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, ...]:
        """Slope and constant of a line above, and of one below, the activation."""
        if self.act == "relu":
            up = np.where(low >= 0, 1.0, np.where(high <= 0, 0.0, high / np.where(high > low, high - low, 1.0)))
            bend = (low < 0) & (high > 0)
            over = np.maximum(-up * low, high - up * high) + 4 * UNIT * (np.abs(up * low) + np.abs(high))
            return up, np.where(bend, over, 0.0), np.where(bend, high > -low, up).astype(float), np.zeros_like(low)
        if self.act == "identity":
            return np.ones_like(low), np.zeros_like(low), np.ones_like(low), np.zeros_like(low)
        slope, (a, b) = self.steep(low, high)[0], self.bent(np.stack([low, high]))
        pad = 4e-15 + 4 * UNIT * slope * np.maximum(np.abs(low), np.abs(high))
        return slope, b - slope * high + pad, slope, a - slope * low - pad


@dataclass
class Known:
    """Of one net in one box: what each input adds to the first sums at each of its values, (k, units) by place; bounds
    of the sums of hidden layers; the absolute values that are added up in every layer; lines."""

    first: dict[int, np.ndarray]
    bounds: list[tuple[np.ndarray, np.ndarray]]
    heavy: list[np.ndarray]
    lines: list[tuple[np.ndarray, ...]]


def _values(nets: list[Net], box: list[Span]) -> dict[int, list[float | None]]:
    """Of every input that is read, the values at which a sum of lines can be extreme."""
    found: dict[int, list[float | None]] = {}
    for place in {place for net in nets for place, *_ in net.reads}:
        span = box[place]
        gone: list[float | None] = [None] if span.gone else []
        reads = [read for net in nets for read in net.reads if read[0] == place]
        if any(bool(levels) != (span.codes is not None) for _, _, levels, _ in reads):
            raise Rejected(f"input {place} is read in another way than the query has it")
        if span.codes is not None:
            found[place] = [*map(float, sorted(span.codes)), *gone]
        elif span.some:
            kinks = [min(max(end, span.low), span.high) for *_, numbers in reads for end in numbers[:2]]
            found[place] = [*sorted({span.low, span.high, *kinks}), *gone]
        else:
            found[place] = gone
    return found


def _known(net: Net, values: dict[int, list[float | None]]) -> Known:
    columns, known = np.zeros(net.width), Known({}, [], [], [])
    for read in net.reads:
        rows = net.rows(read, values[read[0]])
        columns = np.maximum(columns, np.abs(rows).max(axis=0))
        known.first[read[0]] = rows @ net.layers[0][0]
    for weight, bias in net.layers:
        known.heavy.append(columns @ np.abs(weight) + np.abs(bias))
        columns = known.heavy[-1] if net.act in ("relu", "identity") else np.ones(len(known.heavy[-1]))
    for number, (weight, bias) in enumerate(net.layers[:-1]):
        pad = net.share * known.heavy[number] + 1e-290
        if number == 0:
            low = bias + sum((share.min(axis=0) for share in known.first.values()), 0.0 * bias) - pad
            high = bias + sum((share.max(axis=0) for share in known.first.values()), 0.0 * bias) + pad
        else:
            both = np.concatenate([np.eye(len(bias)), -np.eye(len(bias))])
            top = _above([(net, known)], [both], values, number)
            a, b = (net.bent(side) + sign * BENDS[net.act] for side, sign in zip(known.bounds[-1], (-1, 1)))
            up, down = np.maximum(weight, 0), np.minimum(weight, 0)
            low = np.maximum(bias + a @ up + b @ down - pad, -top[len(bias):])
            high = np.minimum(bias + b @ up + a @ down + pad, top[: len(bias)])
        known.bounds.append((low, high))
        known.lines.append(net.lines(low, high))
    return known


def _above(nets: list[tuple[Net, Known]], weights: list[np.ndarray], values: dict[int, list[float | None]],
           last: int | None = None) -> np.ndarray:
    """(r,) above weights · sums of a layer, the last of each net if none, added up over the nets."""
    total: Any = 1e-290
    adds: dict[int, Any] = {}
    for (net, known), w in zip(nets, weights):
        for number in range(len(net.layers) - 1 if last is None else last, -1, -1):
            weight, bias = net.layers[number]
            total = total + w @ bias + net.share * (np.abs(w) @ known.heavy[number])
            if number:
                slope, over, under, below = known.lines[number - 1]
                share = w @ weight.T
                plus, minus = np.maximum(share, 0), np.minimum(share, 0)
                total = total + plus @ over + minus @ below + net.share * (plus @ np.abs(over) - minus @ np.abs(below))
                w = plus * slope + minus * under
        for place, first in known.first.items():
            adds[place] = adds.get(place, 0.0) + first @ w.T
    return np.asarray(total + sum(share.max(axis=0) for share in adds.values()))


def _moves(net: Net, start: np.ndarray, end: np.ndarray, within: list[Any], apart: list[Any] | None) -> float:
    """Above what weights · margin gains when the first sums go from one of `start` to one of `end`, (k, units)."""
    heavy = [np.abs(start).max(axis=0) + np.abs(end).max(axis=0)]
    for weight, _ in net.layers[1:]:
        heavy.append(heavy[-1] @ np.abs(weight))
    lines: list[tuple[np.ndarray, ...]] = []

    def above(w: np.ndarray, last: int) -> np.ndarray:
        total: Any = 1e-290
        for number in range(last, 0, -1):
            slope, over, under, below = lines[number - 1]
            share = w @ net.layers[number][0].T
            plus, minus = np.maximum(share, 0), np.minimum(share, 0)
            more = plus @ over + minus @ below
            total = total + more + net.share * (np.abs(w) @ heavy[number] + np.abs(more))
            w = plus * slope + minus * under
        spread = (end @ w.T).max(axis=0) - (start @ w.T).min(axis=0)
        return np.asarray(total + spread + net.share * (np.abs(w) @ heavy[0]))

    for number in range(len(net.layers) - 1):
        units = len(net.layers[number][1])
        top = above(np.concatenate([np.eye(units), -np.eye(units)]), number)
        low, high = -top[units:], top[:units]
        if apart is not None:
            low, high = np.maximum(low, apart[number][0]), np.minimum(high, apart[number][1])
        least, most = net.steep(*within[number])
        bend, wide = (low < 0) & (high > 0), np.where((low < 0) & (high > 0), high - low, 1.0)
        over, under = (most * high - least * low) / wide, (least * high - most * low) / wide
        pad = 8 * UNIT * (np.abs(low) + np.abs(high))
        lines.append((
            np.where(low >= 0, most, np.where(bend, over, least)),
            np.where(bend, np.maximum((most - over) * high, (least - over) * low) + pad, 0.0),
            np.where(low >= 0, least, np.where(bend, under, most)),
            np.where(bend, np.minimum((least - under) * high, (most - under) * low) - pad, 0.0)))
    return float(above(net.out[None], len(net.layers) - 1)[0])


def _drift(net: Net, values: dict[int, list[float | None]]) -> float:
    """How far a kernel may lie from the real network."""
    heavy, off = _known(net, values).heavy, np.zeros(net.width)
    for number, (weight, _) in enumerate(net.layers):
        off = off @ np.abs(weight) * (1 + net.share) + net.share * heavy[number]
        off = off + (BENDS[net.act] if number < len(net.layers) - 1 else 0.0)
    return float((off + net.share * heavy[-1]) @ np.abs(net.out)) + 1e-290


# ── parts and claims ─────────────────────────────────────────────────────────────────────────────────────────────


def part(one: dict[str, Any], programs: list[Program]) -> None:
    """Raise Rejected unless a part about networks holds."""
    views = one["sum"]
    nets = [Net(programs[view["program"]], view) for view in views]
    query = [_span(span) for span in one["query"]]
    widest = max(len(programs[view["program"]].levels) for view in views)
    if len(query) != widest + len({other for view in views for other in view.get("moved", {}).values()}):
        raise Rejected("the query does not have a span for every input")
    if not all(span.some or span.gone for span in query):
        raise Rejected("an input of the query has no value")
    if any("slope" in view for view in views) and (len(views) > 1 or query[views[0]["slope"]].codes is not None):
        raise Rejected("a slope stands beside another view, or is of a category")
    slack = max(float(one["slack"]), sum(_drift(net, _values(nets, query)) for net in nets))
    goal, tokens, waiting = float(one["goal"]), iter(one["tokens"].split()), [query]
    while waiting:
        box, word = waiting.pop(), next(tokens, None)
        if word in ("s", "g", "c"):
            place = int(next(tokens, ""))
            first, second = box[place].cut(word, tokens)
            waiting += [[*box[:place], second, *box[place + 1:]], [*box[:place], first, *box[place + 1:]]]
        elif word == "end":
            if not _bound(nets, views, box, query) + slack < goal:
                raise Rejected("an end is not below the goal")
        elif word == "empty":
            if not _empty(one["rules"][int(next(tokens, ""))], box):
                raise Rejected("a rule does not empty its box")
        else:
            raise Rejected("a token is missing" if word is None else f"a token is unknown: {word}")
    if next(tokens, None) is not None:
        raise Rejected("there are spare tokens")


def _span(span: list[Any]) -> Span:
    if len(span) == 2:
        return Span(math.inf, -math.inf, bool(span[1]), False, frozenset(map(int, span[0])))
    low, high = (end if span[n] is None else float(span[n]) for n, end in enumerate((-math.inf, math.inf)))
    if span[3]:
        low, high = (f(v) if math.isfinite(v) else v for f, v in ((math.ceil, low), (math.floor, high)))
    return Span(low, high, bool(span[2]), bool(span[3]))


def _bound(nets: list[Net], views: list[dict[str, Any]], box: list[Span], query: list[Span]) -> float:
    values = _values(nets, box)
    known = [_known(net, values) for net in nets]
    if "slope" in views[0]:
        place, net = int(views[0]["slope"]), nets[0]
        _, at, _, numbers = next(read for read in net.reads if read[0] == place)
        wide = net.scaled(numbers, query[place].high) - net.scaled(numbers, query[place].low)
        step = net.layers[0][0][at][None]
        steep = max(_moves(net, 0.0 * step, step, known[0].bounds, None), 0.0)
        drift = _drift(net, _values(nets, query))
        return math.nextafter(steep * math.nextafter(wide, math.inf), math.inf) + drift
    top = float(_above(list(zip(nets, known)), [net.out[None] for net in nets], values)[0])
    moved = [(int(a), int(b)) for a, b in views[-1].get("moved", {}).items()]
    if len(views) == 2 and len(moved) == 1 and views[0]["program"] == views[1]["program"] and not (
            views[0].get("moved") or (nets[0].out != -nets[1].out).any()):
        one, other = known
        apart = [(c - b - UNIT * np.abs(c - b), d - a + UNIT * np.abs(d - a))
                 for (a, b), (c, d) in zip(one.bounds, other.bounds)]
        within = [(np.minimum(a, c), np.maximum(b, d)) for (a, b), (c, d) in zip(one.bounds, other.bounds)]
        top = min(top, _moves(nets[1], one.first[moved[0][0]], other.first[moved[0][1]], within, apart))
    return top


def _empty(rule: dict[str, Any], box: list[Span]) -> bool:
    if "at_least" in rule:
        a, b = (box[place] for place in rule["at_least"])
        return not (a.gone or b.gone or a.codes is not None or b.codes is not None) and a.high < b.low
    can = [[box[place].codes is not None or box[place].low <= value <= box[place].high for place in rule["one_of"]]
           for value in (0.0, 1.0)]
    return not any(can[1]) or not all(a or b for a, b in zip(*can)) or can[0].count(False) > 1


def covers(claim: dict[str, Any], parts: list[dict[str, Any]]) -> bool:
    """Whether parts over the query of a claim about a network prove it."""
    views = [[{key: view.get(key) for key in ("program", "weights", "moved", "slope")} for view in one["sum"]]
             for one in parts]
    w, place = claim["weights"], claim.get("place")

    def view(sign: int, moved: Any = None, slope: Any = None) -> dict[str, Any]:
        return {"program": 0, "weights": [sign * x for x in w], "moved": moved, "slope": slope}

    if claim["kind"] == "below":
        return [view(1)] in views
    if claim["kind"] == "monotone":
        return [view(-int(claim["sign"]), slope=place)] in views
    query, moved = [_span(span) for span in claim["query"]], {str(place): len(claim["query"]) - 1}
    forward = [view(-1), view(1, moved)] in views
    if not claim.get("only_missing"):
        return forward and query[int(claim["place"])] == query[-1]
    start = query[int(claim["place"])]
    return forward and [view(1), view(-1, moved)] in views and start.gone and not start.some

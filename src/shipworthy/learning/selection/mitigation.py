"""What closing a gap between groups costs: each method beside the model as it is, on the same rows.

None of them is free, and none meets equal rates and equal odds at once where base rates differ: the table is there to
be read before one is chosen.
Sources: Kamiran and Calders (2012), reweighing; Hardt, Price and Srebro (2016), thresholds by group; Agarwal et al.
(2018), reductions, with their exponentiated gradient and a final linear program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from shipworthy.core.table import Floats, Ints, Mask
from shipworthy.learning.training.reweighing import reweighing
from shipworthy.metrics.arrays import Array

Rule = Literal["parity", "odds"]
Margin = Callable[[Floats], Floats]
Fit = Callable[[Floats, Ints, Floats], Margin]
Chances = Callable[[Floats, Ints], Floats]
GRID, RATE = 1_000, 2.0
PLAIN, WITHOUT = "as it is", "protected columns left out"


class Price(msgspec.Struct, frozen=True):
    """One method and what it comes to. gap: between the highest and lowest selection rate; ratio: lowest over highest;
    odds: the larger gap of true or false positive rates. attribute: whether the protected columns must be known at
    serving.
    """

    method: str
    accuracy: float
    gap: float
    ratio: float
    odds: float
    attribute: bool
    setting: str = ""


class Rows(NamedTuple):
    """inputs (n, d), outcome (n,) 0 or 1, group (n,) codes."""

    inputs: Floats
    outcome: Ints
    group: Ints

    def only(self, rows: Ints | Mask) -> Rows:
        return Rows(self.inputs[rows], self.outcome[rows], self.group[rows])


def prices(
    learn: Rows, judge: Rows, without: Sequence[int], fits: tuple[Fit, Fit], *, threshold: float = 0.5,
    bound: float = 0.02, rounds: int = 12, progress: Callable[[str], None] = lambda name: None
) -> list[Price]:
    """Every method's price on the rows to judge by; thresholds are cut on one half of them and judged on the other.

    without: places of the protected columns among the inputs. fits: of a model, and of the smaller ones of a reduction.
    threshold: on the probability of outcome 1; it says what a wrong 0 costs beside a wrong 1, and the methods that
    choose thresholds or fit to costs go by it. bound: gap that a reduction allows itself. rounds: models it fits.
    """
    edge, same = float(np.log(threshold / (1 - threshold))), np.ones(len(learn.outcome))
    fit, small = fits
    progress(PLAIN)
    plain = fit(learn.inputs, learn.outcome, same)
    found = [_price(PLAIN, plain(judge.inputs) >= edge, judge, attribute=bool(len(without)))]
    progress(WITHOUT)
    kept = np.setdiff1d(np.arange(learn.inputs.shape[1]), np.array(without, np.int64))
    if len(without):
        bare = _blind(fit, kept)(learn.inputs, learn.outcome, same)
        found.append(_price(WITHOUT, bare(judge.inputs) >= edge, judge, attribute=False))
    progress("reweighing")
    weighed = fit(learn.inputs, learn.outcome, reweighing(learn.group, learn.outcome))
    found.append(_price("reweighing", weighed(judge.inputs) >= edge, judge, attribute=bool(len(without)),
                        setting='[fairness] mitigation = "reweighing"'))
    rules: tuple[tuple[Rule, str], ...] = (("parity", "equal rates"), ("odds", "equal odds"))
    score = plain(judge.inputs)
    for rule, name in rules:
        chance = _crossed(score, judge, rule, threshold)
        found.append(_price(f"thresholds by group, {name}", chance, judge, attribute=True))
    for rule, name in rules:
        progress(f"reduction, {name}")
        chance = reduction(small, learn, rule, threshold=threshold, bound=bound, rounds=rounds)(judge.inputs)
        found.append(_price(f"reduction, {name}", chance, judge, attribute=bool(len(without))))
    return found


def figures(chance: Array, outcome: Ints, group: Ints) -> tuple[float, float, float, float]:
    """Accuracy, gap and ratio of selection rates, gap of odds; of decisions, or of the chance to be selected, (n,)."""
    p = np.asarray(chance, np.float64)
    rate = _means(p, group, np.ones(len(p), np.bool_))
    true, false = (_means(p, group, outcome == side) for side in (1, 0))
    ratio = float(rate.min() / rate.max()) if rate.max() > 0 else float("nan")
    return (float(np.mean(np.where(outcome == 1, p, 1 - p))), float(np.ptp(rate)), ratio,
            float(max(np.ptp(true), np.ptp(false))))


def thresholds(score: Floats, outcome: Ints, group: Ints, rule: Rule, *, threshold: float = 0.5) -> Chances:
    """A function from scores and groups to the chance of being selected, (n,): by a threshold of each group's own, or
    between two of them at random, so that rates or odds are equal and wrong decisions cost least.
    """
    codes = np.unique(group)
    curves = [_curve(score[group == code], outcome[group == code]) for code in codes]
    shares = np.array([(group == code).mean() for code in codes])
    base = np.array([outcome[group == code].mean() for code in codes])
    worth = np.stack([shares * base * (1 - threshold), shares * (1 - base) * threshold])
    mixes = _equal_rates(curves, worth) if rule == "parity" else _equal_odds(curves, worth.sum(axis=1))
    by_code = dict(zip(codes.tolist(), mixes, strict=True))

    def chance(asked: Floats, groups: Ints) -> Floats:
        out = np.zeros(len(asked))
        for code, mix in by_code.items():
            here = groups == code
            out[here] = sum(part * (asked[here] >= edge) for part, edge in mix)
        return out

    return chance


def reduction(
    fit: Fit, rows: Rows, rule: Rule, *, threshold: float = 0.5, bound: float = 0.02, rounds: int = 12
) -> Margin:
    """A function from inputs to the chance of being selected: a mixture of models, each fitted to costs that rise with
    the gap of the one before, mixed so that the gap keeps to the bound and wrong decisions cost least.
    """
    n, events = len(rows.outcome), _events(rows, rule)
    wrong = np.where(rows.outcome == 1, 2 * (1 - threshold), 2 * threshold)
    push = np.stack([event / event.sum() - whole / whole.sum() for event, whole in events])
    push = np.concatenate([push, -push])
    theta, models, errors, gaps = np.zeros(len(push)), list[Margin](), list[float](), list[Floats]()
    for _ in range(rounds):
        strength = np.exp(theta - max(theta.max(), 0.0))
        power = strength / (np.exp(-max(theta.max(), 0.0)) + strength.sum()) / bound
        cost = (1 - 2 * rows.outcome) * wrong / n + power @ push
        weight = np.abs(cost) / np.abs(cost).mean()
        model = fit(rows.inputs, np.asarray(cost < 0, np.int64), weight)
        chosen = np.asarray(model(rows.inputs) >= 0, np.float64)
        models.append(model)
        errors.append(float((wrong * (chosen != rows.outcome)).mean()))
        gaps.append(push @ chosen)
        theta += RATE * bound * (gaps[-1] - bound)
    mix = _mixed(np.array(errors), np.stack(gaps, axis=1), bound)
    used = [(part, model) for part, model in zip(mix.tolist(), models, strict=True) if part > 1e-6]
    return lambda asked: np.asarray(sum(part * (model(asked) >= 0) for part, model in used), np.float64)


def _mixed(errors: Floats, gaps: Floats, bound: float) -> Floats:
    """The mixture of models with the cheapest errors among those that keep to the bound, or miss it by least, (t,)."""
    from scipy.optimize import linprog

    count, rules = len(errors), len(gaps)
    solved = linprog(np.append(errors, 1 / bound), A_ub=np.column_stack([gaps, -np.ones(rules)]),
                     b_ub=np.full(rules, bound), A_eq=np.append(np.ones(count), 0.0)[None], b_eq=[1.0],
                     bounds=[(0, None)] * (count + 1))
    return np.asarray(solved.x[:count], np.float64)


def _events(rows: Rows, rule: Rule) -> list[tuple[Floats, Floats]]:
    """Rows of every group, and the rows that it is compared with: all, or those of the same outcome."""
    wholes = [np.ones(len(rows.outcome), np.bool_)] if rule == "parity" else [rows.outcome == 0, rows.outcome == 1]
    return [(np.asarray(whole & (rows.group == code), np.float64), np.asarray(whole, np.float64))
            for whole in wholes for code in np.unique(rows.group) if (whole & (rows.group == code)).any()]


def _crossed(score: Floats, judge: Rows, rule: Rule, threshold: float) -> Floats:
    """Chances by thresholds that were cut on the other half of the rows."""
    half, out = np.arange(len(score)) % 2 == 0, np.empty(len(score))
    for cut in (half, ~half):
        chosen = thresholds(score[cut], judge.outcome[cut], judge.group[cut], rule, threshold=threshold)
        out[~cut] = chosen(score[~cut], judge.group[~cut])
    return out


def _blind(fit: Fit, kept: Ints) -> Fit:
    def without(inputs: Floats, outcome: Ints, weights: Floats) -> Margin:
        masked = inputs.copy()
        masked[:, np.setdiff1d(np.arange(inputs.shape[1]), kept)] = 0.0
        model = fit(masked, outcome, weights)

        def margin(asked: Floats) -> Floats:
            same = asked.copy()
            same[:, np.setdiff1d(np.arange(asked.shape[1]), kept)] = 0.0
            return model(same)

        return margin

    return without


class _Curve(NamedTuple):
    """What each threshold selects: all rows (rate), positives (true), others (false); the highest threshold first."""

    edge: Floats
    rate: Floats
    true: Floats
    false: Floats


def _curve(score: Floats, outcome: Ints) -> _Curve:
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    true = np.append(0, np.cumsum(outcome[order])[last]) / max(1, int(outcome.sum()))
    false = np.append(0, np.cumsum(1 - outcome[order])[last]) / max(1, int((1 - outcome).sum()))
    rate = np.append(0, last + 1) / len(score)
    return _Curve(np.append(np.inf, score[order][last]), rate, true, false)


def _equal_rates(curves: list[_Curve], worth: Floats) -> list[list[tuple[float, float]]]:
    """Of each group the mixture of two thresholds that selects the common rate at the least cost. worth: (2, groups) of
    its positives found and of its others left out."""
    grid, right = np.linspace(0, 1, GRID + 1), np.zeros(GRID + 1)
    for curve, (found, spared) in zip(curves, worth.T, strict=True):
        true, false = (np.interp(grid, curve.rate, side) for side in (curve.true, curve.false))
        right += found * true + spared * (1 - false)
    rate = float(grid[int(right.argmax())])
    return [_between(curve.rate, curve.edge, rate) for curve in curves]


def _equal_odds(curves: list[_Curve], worth: Floats) -> list[list[tuple[float, float]]]:
    """Of each group the mixture of three: two thresholds on its curve's hull, and chance, down to the lowest hull."""
    grid, hulls = np.linspace(0, 1, GRID + 1), [_hull(curve) for curve in curves]
    reached = np.stack([np.interp(grid, curve.false[hull], curve.true[hull])
                        for curve, hull in zip(curves, hulls, strict=True)])
    lowest = reached.min(axis=0)
    at = int((worth[0] * lowest + worth[1] * (1 - grid)).argmax())
    false, true, mixes = float(grid[at]), float(lowest[at]), []
    for curve, hull, own in zip(curves, hulls, reached[:, at], strict=True):
        ignore = (own - true) / (own - false) if own > false else 0.0
        mix = [((1 - ignore) * part, edge) for part, edge in _between(curve.false[hull], curve.edge[hull], false)]
        mixes.append([*mix, (ignore * false, -np.inf)])
    return mixes


def _between(at: Floats, edge: Floats, wanted: float) -> list[tuple[float, float]]:
    """The two thresholds around a wanted rate, each with its part; at ascends."""
    high = int(np.clip(np.searchsorted(at, wanted, side="left"), 1, len(at) - 1))
    room = at[high] - at[high - 1]
    part = float(np.clip((wanted - at[high - 1]) / room, 0, 1)) if room > 0 else 1.0
    return [(1 - part, float(edge[high - 1])), (part, float(edge[high]))]


def _hull(curve: _Curve) -> Ints:
    """The points of the upper hull of true over false positive rate, in order."""
    kept: list[int] = []
    for at in range(len(curve.edge)):
        while len(kept) > 1 and _turns(curve, kept[-2], kept[-1], at) >= 0:
            kept.pop()
        kept.append(at)
    return np.array(kept, np.int64)


def _turns(curve: _Curve, a: int, b: int, c: int) -> float:
    return float((curve.false[b] - curve.false[a]) * (curve.true[c] - curve.true[a])
                 - (curve.true[b] - curve.true[a]) * (curve.false[c] - curve.false[a]))


def _means(value: Floats, group: Ints, counted: Mask) -> Floats:
    rows = np.bincount(group[counted])
    total = np.bincount(group[counted], value[counted], minlength=len(rows))
    return np.asarray(total[rows > 0] / rows[rows > 0], np.float64)


def _price(method: str, chance: Array, judge: Rows, *, attribute: bool, setting: str = "") -> Price:
    return Price(method, *figures(chance, judge.outcome, judge.group), attribute=attribute, setting=setting)

"""What takes a challenger back: rules without statistics, and tests whose level holds however often one looks.

The chance of a wrong rollback by all tests together is `alpha`; each has a seventh of it, and the segments share one.
Rules need several rows, so that one bad request is none. Source for the division: Bonferroni.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, exp, inf, isfinite, log

import msgspec
import numpy as np

from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.core.settings.deployment import Rollout
from shipworthy.core.table import Floats, Ints, Table
from shipworthy.deployment.integration.rollout.calls import EDGES, STEP, Calls
from shipworthy.deployment.integration.rollout.traffic import Arms, entities, numbers, once
from shipworthy.metrics.arrays import Array, Mask
from shipworthy.metrics.sequential import (
    distance_sequence,
    from_any_start,
    mean_sequence,
    odds_log_e,
    rise_log_e,
    split_log_e,
)

ROW = "deployment.delivery"
FEWEST, FEWEST_FAILED, FEWEST_REQUESTS, FEWEST_ROWS = 3, 5, 20, 200
NONFINITE, NONFINITE_SEGMENT, FAILED = 0.001, 0.01, 0.1
BORNE_ODDS = 1.2
BUCKET_CALLS, KNOWN_CALLS, SLOW = 200, 1_000, 0.99
MOST_SEGMENTS = 20


def guardrails(found: Arms, plan: Rollout, *, shares: Sequence[float]) -> tuple[Finding, ...]:
    """What every rule and test says of the challenger so far: fail takes it back; unknown is not harm.

    shares: those that the servers were told since the rollout began.
    """
    each = plan.alpha / len(TESTS)
    judged = {**{name: rule(found, plan) for name, rule in RULES.items()},
              **{name: test(found, plan, each) for name, test in TESTS.items()}}
    judged["told"] = told(found, shares)
    if judged["loss"].verdict == "pass":  # harm decides: a challenger shown to err no more may score otherwise
        for name in ("scores", "decisions"):
            if judged[name].verdict == "fail":
                sentence = f"{judged[name].sentence} Its loss shows that it is no harm."
                judged[name] = msgspec.structs.replace(judged[name], verdict="pass", sentence=sentence)
    return tuple(msgspec.structs.replace(finding, check=f"rollout-{name}", row=ROW) for name, finding in judged.items())


# ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────────


def nonfinite(found: Arms, plan: Rollout) -> Finding:
    """Answers without a finite score, over all rows and within each segment; what the champion has too is no fault."""
    mine, rows = _bad(found.tried)
    other = _share(*_bad([found.champion]))
    worst = f"{mine} of {rows:,} answers have no finite score, the champion's {other:.2%}"
    if mine >= FEWEST and mine > (other + NONFINITE) * rows:
        return say("fail", f"{worst}.", value=mine / rows, limit=other + NONFINITE, n=rows)
    for column in plan.segments:
        for value in values(found.champion, column):
            here, count = _bad([_of(table, column, value) for table in found.tried])
            usual = _share(*_bad([_of(found.champion, column, value)]))
            if here >= FEWEST and here > (usual + NONFINITE_SEGMENT) * count:
                return say("fail", f"{here} of {count:,} answers have no finite score where {column} is {value}.",
                           value=here / count, limit=usual + NONFINITE_SEGMENT, n=count)
    return say("pass" if rows else "unknown", f"{worst}.", value=_share(mine, rows), n=rows)


def server_errors(found: Arms, plan: Rollout) -> Finding:
    """A minute in which the challenger answered 5xx far more often than the champion; with little traffic, the
    minutes in which it was asked 20 times.
    """
    asked = 0
    for (failed, own, others, beside), _ in _by_bucket(found.newest, least=FEWEST_REQUESTS, of=1):
        asked += int(own)
        limit = FAILED + _share(int(others), int(beside))
        if failed >= FEWEST_FAILED and failed > limit * own:
            return say("fail", f"{failed} of {own} requests failed.", value=float(failed / own), limit=limit,
                       n=int(own))
    return say("pass" if asked else "unknown", f"No minute of {asked:,} requests failed.", n=asked)


def abstentions(found: Arms, plan: Rollout) -> Finding:
    """The share of abstentions, far from the champion's."""
    mine, other = (np.concatenate([numbers([table], "abstain") for table in tables])
                   for tables in (found.tried, [found.champion]))
    if min(len(mine), len(other)) < FEWEST_ROWS:
        return say("unknown", f"{min(len(mine), len(other))} rows are too few.", n=len(mine))
    gap = float(np.nanmean(mine) - np.nanmean(other))
    return say("fail" if abs(gap) > plan.abstain else "pass",
               f"It abstains on {np.nanmean(mine):.1%} of rows, the champion on {np.nanmean(other):.1%}.",
               value=gap, limit=plan.abstain, n=len(mine))


def told(found: Arms, shares: Sequence[float]) -> Finding:
    """Rows whose logged propensity is of no share that the servers were told."""
    share = _told(found)
    known = np.isclose(share[:, None], [0.0, *shares], atol=1e-9).any(axis=1)
    wrong = int((~known).sum())
    if wrong >= FEWEST and wrong > NONFINITE * len(share):
        return say("fail", f"{wrong} of {len(share):,} rows were assigned with a share that no stage has, such as "
                           f"{share[~known][0]:.3g}.", value=wrong / len(share), limit=NONFINITE, n=len(share))
    return say("pass" if len(share) else "unknown", f"{len(share):,} rows were assigned with the shares of the stages.",
               n=len(share))


# ── tests ────────────────────────────────────────────────────────────────────────────────────────────────────────


def split(found: Arms, plan: Rollout, alpha: float) -> Finding:
    """Whether the arms hold as many entities as their shares say: else what differs may be who was asked.

    An entity counts once a share, given where it was seen to lie before: a share that grows moves it one way only.
    """
    log_e, n = 0.0, 0
    chance, judged = assigned(found)
    for share in np.unique(chance):
        here = judged[chance == share]
        n += len(here)
        log_e += split_log_e(np.array([here.sum(), (~here).sum()]), np.array([share, 1 - share]))
    seen = f"{int(judged.sum()):,} of {n:,} assignments went to the challenger, {chance.sum():,.0f} were meant to"
    return _evidence(log_e, alpha, seen, n)


def errors(found: Arms, plan: Rollout, alpha: float) -> Finding:
    """Whether its requests fail (5xx) more often than the champion's at the same time."""
    sums = [each[0] for each in _by_bucket(found.calls)]
    hits, rows, others, rest = np.array(sums, np.int64).reshape(-1, 4).T
    log_e = from_any_start(odds_log_e(hits, rows, others, rest, limit=BORNE_ODDS))
    return _evidence(log_e, alpha, f"{hits.sum()} of {rows.sum():,} requests failed, {others.sum()} of {rest.sum():,} "
                                   "of the champion's", int(rows.sum()))


def latency(found: Arms, plan: Rollout, alpha: float) -> Finding:
    """Whether more of its answers are slower than (1 + slower) times the champion's 99 % than of the champion's are
    slower than that 99 %, which is read from the buckets before.
    """
    borne = ceil(log(1 + plan.slower) / log(STEP))
    cells = np.array([each[1] for each in _by_bucket(found.calls)], np.int64).reshape(-1, 2, len(EDGES) + 1)
    own, beside = cells[:, 0], cells[:, 1]
    before = np.cumsum(beside, axis=0) - beside
    rows: list[tuple[int, ...]] = []
    for mine, other, past in zip(own, beside, before, strict=True):
        if past.sum() >= KNOWN_CALLS:
            slow = int(np.searchsorted(np.cumsum(past), SLOW * past.sum()))
            rows.append((mine[slow + 1 + borne :].sum(), mine.sum(), other[slow + 1 :].sum(), other.sum()))
    hits, asked, others, rest = np.array(rows, np.int64).reshape(-1, 4).T
    told = f"{_slowest(own):.3g} s against {_slowest(beside):.3g} s are the slowest 1 % of answers"
    return _evidence(from_any_start(odds_log_e(hits, asked, others, rest)), alpha, told, int(asked.sum()))


def scores(found: Arms, plan: Rollout, alpha: float) -> Finding:
    """Whether the distribution of its scores is further from the champion's than is borne."""
    own, other = (_finite(numbers([once(table, found.unit) for table in tables]))
                  for tables in (found.tried, [found.champion]))
    measured = distance_sequence(own, other, alpha=alpha)
    return _gap(measured, plan.scores, "The distributions of the two's scores are apart by", len(own))


def decisions(found: Arms, plan: Rollout, alpha: float) -> Finding:
    """Whether it decides otherwise on more rows than is borne: on the same rows if it was a shadow, else by shares."""
    if not all(_classes(table) for table in (found.champion, *found.tried) if table.rows):
        return say("not-applicable", "Its decisions are numbers.")
    mine, theirs = _pairs(found)
    if len(mine):
        middle, low, high = (each[-1] / 2 + 0.5 for each in mean_sequence(2.0 * (mine != theirs) - 1, alpha=alpha))
        return _gap((middle, low, high), plan.differ, "On the same rows it decides otherwise in", len(mine))
    own, other = (np.concatenate([once(table, found.unit).words("decision") for table in tables]).astype(str)
                  for tables in (found.tried, [found.champion]))
    known = np.unique(np.append(own, other))
    measured = distance_sequence(np.searchsorted(known, own), np.searchsorted(known, other), alpha=alpha)
    return _gap(measured, plan.differ, "The shares of the two's decisions are apart by", len(own))


def loss(found: Arms, plan: Rollout, alpha: float) -> Finding:
    """Whether its loss is beyond the champion's, once labels come: proof of more than is borne takes it back."""
    return harm(found.differences(), plan, alpha)


def segments(found: Arms, plan: Rollout, alpha: float) -> Finding:
    """The loss within each declared segment; the worst of them speaks."""
    asked = [(column, value) for column in plan.segments for value in values(found.champion, column)]
    judged = [harm(found.differences(column, value), plan, alpha / len(asked), f" where {column} is {value}")
              for column, value in asked]
    if not judged:
        return say("not-applicable", "No segment is declared.")
    return next((each for each in judged if each.verdict == "fail"),
                max(judged, key=lambda each: -1.0 if each.value is None else each.value))


def harm(gaps: Floats, plan: Rollout, alpha: float, where: str = "") -> Finding:
    """Fail once it is proved that the loss rose by more than is borne, pass once it is shown to be within the margin.

    gaps: (n,) the challenger's loss less the champion's, in [−1, 1], in the order in which they came to be known.
    """
    if not len(gaps):
        return say("unknown", f"No label came yet{where}.", n=0)
    middle, low, high = (float(each[-1]) for each in mean_sequence(gaps, alpha=alpha))
    log_e = from_any_start(rise_log_e(gaps, limit=plan.borne))
    verdict: Verdict = "fail" if log_e >= -log(alpha) else "pass" if high < plan.margin else "unknown"
    return say(verdict, f"Its loss is {middle:+.3f} beyond the champion's{where} ({low:+.3f} to {high:+.3f} at every "
                        f"look; {plan.margin:g} is the margin); evidence of more than {plan.borne:g} is "
                        f"{exp(min(log_e, 700.0)):.3g}, {1 / alpha:.3g} is proof.",
               value=middle, low=low, high=high, limit=plan.margin, n=len(gaps))


RULES: dict[str, Callable[[Arms, Rollout], Finding]] = {
    "nonfinite": nonfinite, "server-errors": server_errors, "abstentions": abstentions}
TESTS: dict[str, Callable[[Arms, Rollout, float], Finding]] = {
    "split": split, "errors": errors, "latency": latency, "scores": scores, "decisions": decisions, "loss": loss,
    "segments": segments}


def values(table: Table, column: str) -> list[str]:
    """The values of a segment's column, most frequent first, at most twenty."""
    if not table.rows or column not in table.schema:
        return []
    found, count = np.unique(table.words(column).astype(str), return_counts=True)
    return [str(each) for each in found[np.argsort(-count, kind="stable")][:MOST_SEGMENTS]]


def assigned(found: Arms) -> tuple[Floats, Mask]:
    """The chance of the challenger, and whether it was the challenger, of every entity at every share, in order.

    An entity that the champion answered at share s lies above s: at a share r > s its chance is (r − s) / (1 − s).
    A row without a value in the unit was drawn for itself.
    """
    share, judged, at = _told(found), _is_challenger(found), _order(found)
    code = entities([found.champion, found.challenger], found.unit)
    if code is None:
        return share[at], judged[at]
    bounds: dict[int, tuple[float, float]] = {}
    last: dict[int, float] = {}
    chance, kept = [], []
    for row in at:
        who, now = int(code[row]), float(share[row])
        if last.get(who) == now:
            continue
        last[who] = now
        low, high = bounds.get(who, (0.0, 1.0))
        chance.append(min(1.0, max(0.0, (now - low) / (high - low))))
        kept.append(bool(judged[row]))
        low, high = (low, min(high, now)) if judged[row] else (max(low, now), high)
        bounds[who] = (low, high) if low < high else (0.0, 1.0)
    return np.asarray(np.round(np.array(chance), 12), np.float64), np.array(kept, np.bool_)


def _told(found: Arms) -> Floats:
    """The challenger's share by which each row was assigned, as it was logged."""
    own, other = numbers([found.champion], "propensity"), numbers([found.challenger], "propensity")
    return np.asarray(np.round(np.append(1 - own, other), 12), np.float64)


def _is_challenger(found: Arms) -> Mask:
    return np.append(np.zeros(found.champion.rows, np.bool_), np.ones(found.challenger.rows, np.bool_))


def _order(found: Arms) -> Ints:
    at = np.concatenate([table.numbers("at") for table in (found.champion, found.challenger)])
    return np.argsort(at, kind="stable")


def _by_bucket(calls: Sequence[Calls], *, least: int = BUCKET_CALLS, of: int = 2) -> list[tuple[Ints, Ints]]:
    """Errors and requests of challenger and champion, (4,), and their cells, (2, cells), of buckets of whole minutes.

    calls: in order. least: requests that close a bucket, of the challenger (of = 1) or of both.
    """
    found, sums, cells = [], np.zeros(4, np.int64), np.zeros((2, len(EDGES) + 1), np.int64)
    for place, each in enumerate(calls):
        arm = int(each.arm != "challenger")
        sums[2 * arm : 2 * arm + 2] += (each.errors, each.requests)
        for cell, count in each.cells.items():
            cells[arm, cell] += count
        last = place + 1 == len(calls) or calls[place + 1].at != each.at
        if last and sums[1] + sums[3] * (of == 2) >= least:
            found.append((sums, cells))
            sums, cells = np.zeros(4, np.int64), np.zeros_like(cells)
    return found


def _slowest(cells: Ints) -> float:
    total = np.cumsum(cells.sum(axis=0))
    return float([*EDGES, inf][int(np.searchsorted(total, SLOW * total[-1]))]) if total[-1] else float("nan")


def _pairs(found: Arms) -> tuple[Array, Array]:
    """Decisions of challenger and champion on the same rows, each entity once."""
    shadow = once(found.shadow, found.unit)
    theirs = dict(zip(found.champion.words("prediction_id"), found.champion.words("decision"), strict=True))
    both = [(mine, theirs[key]) for key, mine in zip(shadow.words("prediction_id"), shadow.words("decision"),
                                                     strict=True) if key in theirs]
    return np.array([a for a, _ in both], object), np.array([b for _, b in both], object)


def _classes(table: Table) -> bool:
    return table.schema["decision"].kind != "number"


def _gap(measured: tuple[float, float, float], limit: float, what: str, n: int) -> Finding:
    middle, low, high = measured
    if not n or not isfinite(middle):
        return say("unknown", "No row of both can be compared yet.", n=n)
    verdict: Verdict = "fail" if low > limit else "pass" if high <= limit else "unknown"
    return say(verdict, f"{what} {middle:.1%} ({low:.1%} to {high:.1%} at every look), {limit:.0%} is borne.",
               value=middle, low=low, high=high, limit=limit, n=n)


def _evidence(log_e: float, alpha: float, seen: str, n: int) -> Finding:
    if not n:
        return say("unknown", "Nothing of both can be compared yet.", n=0)
    verdict: Verdict = "fail" if log_e >= -log(alpha) else "pass"
    e = exp(min(log_e, 700.0))
    return say(verdict, f"{seen[:1].upper()}{seen[1:]}; evidence of harm {e:.3g}, {1 / alpha:.3g} is proof.",
               value=e, limit=1 / alpha, n=n)


def _bad(tables: Sequence[Table]) -> tuple[int, int]:
    score = numbers(tables)
    return int((~np.isfinite(score)).sum()), len(score)


def _of(table: Table, column: str, value: str) -> Table:
    return table.take(table.words(column).astype(str) == value) if table.rows else table


def _finite(score: Floats) -> Floats:
    return score[np.isfinite(score)]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

"""The harm alarm: labels to the page, what it costs, and when it must be silent, beside MAPIE's RiskMonitoring.

5,000 reference labels at risk 0.15, a tolerance of 0.02, looks every 100 labels. Ours pages at M ≥ 1,000 (one false
page in 1,000 looks at most); beside it the e-process on all labels since day 0, whose chance of ever paging falsely is
2.5 % as MAPIE's. MAPIE 1.6.0 in its own environment, updates of 200 (benchmarks/peers/watch_mapie.py).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import ROOT, Bar, no_peer, peer

Measured = tuple[float | None, str]
RISKS = (0.22, 0.25, 0.30)
AT_MOST = (1350, 500, 200)
LOOK, RUNS, PEER_RUNS, PEER_LABELS, HEALTHY = 100, 200, 5, 2_800, 10_000
A = 1_000.0
BARS = (*(Bar(f"labels to the page at risk {risk:.2f}, median", None, most, "lower")
          for risk, most in zip(RISKS, AT_MOST, strict=True)),
        Bar("risk 0.15: pages in 200 runs of 40,000 labels, at the bar of an hourly watch", None, 0, "lower"),
        Bar("risk 0.18, a hair below the limit: pages over what the budget allows in 200 runs", None, 1, "lower"),
        Bar("pages in 1,000,000 labels at risk 0.15", None, 0, "lower"),
        Bar("risk 0.25 after 10,000 healthy labels: labels to the page over those on day 0", None, 1.2, "lower"),
        Bar("a look after 1,000,000 labels, ms", None, 0.1, "lower"),
        Bar("the state, bytes", None, 16, "lower"),
        Bar("a loss in [0, 1], mean 0.15 to 0.25: labels to the page, median", None, 500, "lower"),
        Bar("risk 0.25: labels to the page over MAPIE's", None, 1, "lower"))


def measured() -> list[Measured]:
    """A value and a note for every bar."""
    from shipworthy.deployment.monitoring.eprocess import fresh

    limit = _limit()
    theirs = _mapie(limit)
    waits = {risk: _wait(limit, risk) for risk in RISKS}
    rows: list[Measured] = [
        (waits[risk], f"from day 0; the e-process without restart {_plain(limit, risk):.0f}; {_told(theirs, risk)}")
        for risk in RISKS]
    late = _wait(limit, 0.25, healthy=HEALTHY)
    mapie = _median(theirs["our limit"]["0.25"]) if theirs else None
    return [*rows, *_silent(limit), _million(limit),
            (late / waits[0.25], f"{late:.0f} labels, on day 0 {waits[0.25]:.0f}; without restart "
                                 f"{_plain(limit, 0.25, healthy=HEALTHY):.0f}; {_told(theirs, 'late')}"),
            _cost(limit), (float(fresh().nbytes), "four int32"), _bounded(),
            (waits[0.25] / mapie, f"MAPIE {mapie:.0f} at our limit") if mapie else (None, no_peer("mapie"))]


def _limit() -> float:
    from shipworthy.metrics.intervals import clopper_pearson

    return float(clopper_pearson(750, 5_000, level=0.95)[1]) + 0.02


def _wrong(risk: float, looks: int, seed: int, healthy: int = 0) -> Any:
    """(looks,) errors in each look of 100 labels."""
    random = np.random.default_rng(seed)
    return np.r_[random.binomial(LOOK, 0.15, healthy // LOOK), random.binomial(LOOK, risk, looks)]


def _path(limit: float, wrong: Any) -> Any:
    from shipworthy.deployment.monitoring.eprocess import follow, fresh, share_growth

    return follow(fresh(), share_growth(wrong, np.full(len(wrong), LOOK), limit))[1]


def _first(passed: Any, healthy: int) -> float:
    hits = np.flatnonzero(passed[healthy // LOOK :])
    return float((hits[0] + 1) * LOOK) if hits.size else np.inf


def _wait(limit: float, risk: float, healthy: int = 0) -> float:
    """Median labels from the harm to M ≥ 1,000."""
    return float(np.median([_first(_path(limit, _wrong(risk, 100, seed, healthy)) >= A, healthy)
                            for seed in range(RUNS)]))


def _plain(limit: float, risk: float, healthy: int = 0) -> float:
    """The same of the e-process of all labels since day 0, at 40: the chance of ever paging falsely is 2.5 %."""
    from shipworthy.deployment.monitoring.alarm import share_log_e

    found = []
    for seed in range(RUNS):
        wrong = np.cumsum(_wrong(risk, 400, seed, healthy)).astype(np.float64)
        n = LOOK * np.arange(1.0, len(wrong) + 1)
        found.append(_first(share_log_e(wrong, n, limit) >= np.log(40), healthy))
    return float(np.median(found))


def _silent(limit: float) -> list[Measured]:
    from shipworthy.deployment.monitoring.alarm import share_log_e, threshold
    from shipworthy.deployment.monitoring.look import FAMILIES

    bar, looks = threshold(per_year=8_760, families=len(FAMILIES)), 400
    pages, plain, n = {}, {}, LOOK * np.arange(1.0, looks + 1)
    for risk in (0.15, 0.18):
        wrong = [_wrong(risk, looks, seed) for seed in range(RUNS)]
        pages[risk] = sum(bool((_path(limit, one) >= bar).any()) for one in wrong)
        plain[risk] = sum(bool((share_log_e(np.cumsum(one), n, limit) >= np.log(40)).any()) for one in wrong)
    note = f"page at M ≥ {bar:,.0f}; runs of {RUNS} that did {pages}; the e-process without restart {plain}"
    return [(float(pages[0.15]), note), (pages[0.18] / (RUNS * looks / bar), f"{RUNS * looks / bar:.1f} allowed")]


def _million(limit: float) -> Measured:
    path = _path(limit, _wrong(0.15, 10_000, 0))
    return float((path >= A).sum()), f"largest M {path.max():.1f}, page at {A:,.0f}"


def _cost(limit: float) -> Measured:
    from shipworthy.deployment.monitoring.eprocess import follow, fresh, share_growth

    growth = share_growth(_wrong(0.15, 10_000, 0), np.full(10_000, LOOK), limit)
    spent = []
    for looks in (1, 10_000):
        state = follow(fresh(), growth[:looks])[0]
        began = time.perf_counter()
        for _ in range(200):
            follow(state, growth[:1])
        spent.append((time.perf_counter() - began) / 200 * 1e3)
    return spent[1], f"after 100 labels {spent[0]:.4f}"


def _bounded() -> Measured:
    from shipworthy.deployment.monitoring.eprocess import follow, fresh, log_bets

    found = []
    for seed in range(50):
        random = np.random.default_rng(seed)
        rows = np.concatenate([random.beta(3, 17, (10, LOOK)), random.beta(5, 15, (30, LOOK))])
        growth = np.array([log_bets(row, 0.18).sum(axis=0) for row in rows])
        found.append(_first(follow(fresh(), growth)[1] >= A, 10 * LOOK))
    return float(np.median(found)), "betting on Beta losses, limit 0.18"


def _mapie(limit: float) -> dict[str, Any]:
    """What watch_mapie.py prints; empty where it has no environment."""
    python = peer("mapie")
    if python is None:
        return {}
    streams = {str(risk): _labels(risk, 0) for risk in RISKS} | {"late": _labels(0.30, 2_000)}
    streams |= {"reference": np.arange(5_000) < 750, "limit": np.array(limit)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "streams.npz"
        np.savez_compressed(path, **streams)
        ran = subprocess.run([str(python), "-W", "ignore", str(ROOT / "benchmarks/peers/watch_mapie.py"), str(path)],
                             text=True, check=True, capture_output=True)
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told


def _labels(risk: float, healthy: int) -> Any:
    random = np.random.default_rng(0)
    return np.concatenate([random.random((PEER_RUNS, healthy)) < 0.15,
                           random.random((PEER_RUNS, PEER_LABELS - healthy)) < risk], axis=1)


def _median(runs: list[Any]) -> float:
    return float(np.median([np.inf if labels is None else labels for labels, _ in runs]))


def _told(theirs: dict[str, Any], name: float | str) -> str:
    if not theirs:
        return no_peer("mapie")
    what = "MAPIE, 0.30 after 2,000 healthy labels" if name == "late" else "MAPIE"
    last = max(spent for runs in theirs.values() for _, spent in runs[str(name)])
    each = ", ".join(f"{setting} {_median(runs[str(name)]) - (2_000 if name == 'late' else 0):.0f}"
                     for setting, runs in theirs.items())
    return f"{what}: {each}, its last update {last:.0f} ms"

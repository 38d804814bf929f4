"""Renewal on real and planted streams, block by block: every answer is given before its label is known.

After every block the candidates compete on its newest rows as `shipworthy renew` lets them, and the winner answers from
then on; beside it no update, training again on everything, and the rule "as last time". Elec2's labels come with the
next row, half an hour later, so there and on the two planted streams a champion that learns row by row goes on learning
between two renewals; on SEA and the taxi nothing does. Elec2's class is whether the price is above its mean of the last
day (in every row of the table), so whoever centres the price by the newest rows has most of it. River's models, in the
environment `river` of SHIPWORTHY_PEERS, learn row by row too.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.frame import ROOT, Bar, data_folder, no_data

if TYPE_CHECKING:
    from shipworthy.renewal.candidates import Made

Measured = tuple[float | None, str]
BARS = (Bar("Elec2: prequential accuracy with renewal", None, 0.8533, "higher"),
        Bar("Elec2: accuracy with renewal less the best of River's ALMA, ADWIN bagging and HAT", None, 0, "higher"),
        Bar("SEA: accuracy with renewal after the first drift (static 0.831, ceiling 0.905)", None, 0.831, "higher"),
        Bar("SEA: share of the way from no update to the ceiling after the first drift", None, 0.8, "higher"),
        Bar("SEA: share of the way from no update to training every 1,000 rows, told of each drift", None, 0.8,
            "higher"),
        Bar("planted, a relation that turns slowly: accuracy less the best of River's", None, 0, "higher"),
        Bar("planted, a new relation every 3,000 rows: accuracy less the best of River's", None, 0, "higher"),
        Bar("taxi, from March 2019: mean error with renewal over that of no update", None, 1, "lower"),
        Bar("20 streams without any change: candidates taken that are no better afterwards", None, 1, "lower"))
SEA_DRIFT, CEILING, STREAMS = 12_500, 0.905, 20
SUMS = (8.0, 9.0, 7.0, 9.5)  # SEA: up to which x1 + x2 is class 1 but for noise, for 12,500 rows each
SETTINGS = {"rounds": 60}
PEERS = Path(os.environ.get("SHIPWORTHY_PEERS", ROOT / ".peers"))


def measured() -> list[Measured]:
    """A value and a note for every bar."""
    if not data_folder().is_dir():
        return no_data(BARS)
    return [*_elec2(), *_sea(), _planted(turning=True), _planted(turning=False), _taxi(), _still()]


# ── the streams ──────────────────────────────────────────────────────────────────────────────────────────────────


def _elec2() -> list[Measured]:
    import numpy as np
    import pyarrow.parquet as pq

    path = data_folder() / "stream/elec2/elec2.parquet"
    data, first, begun = pq.read_table(path), 4_531, time.perf_counter()
    ran = played(data, "class", first=first, block=2_000, continual=True, positive="UP")
    seconds, plain = time.perf_counter() - begun, played(data, "class", first=first, block=2_000, begins=lambda end: 0)
    last = np.r_[True, ran.truth[1:] == ran.truth[:-1]][first:].mean()
    ours = _right(ran)
    note = (f"last class {last:.4f}, no update {_right(ran, ran.frozen):.4f}, trained again on all rows every 2,000 "
            f"{_right(plain):.4f}; {ran.told}; {seconds:.0f} s")
    peers = _river(data, first)
    if not peers:
        return [(ours, note), (None, f"not measured: no environment {PEERS.name}/river")]
    told = ", ".join(f"{name} {one['accuracy']:.4f} in {one['seconds']:.0f} s" for name, one in peers.items())
    return [(ours, note), (ours - max(one["accuracy"] for one in peers.values()), f"River on the same rows: {told}")]


def _sea() -> list[Measured]:
    import pyarrow.parquet as pq

    data, block = pq.read_table(data_folder() / "stream/sea/sea.parquet"), 1_000
    ran = played(data, "class", first=5_000, block=block, positive="1")
    again, told = (played(data, "class", first=5_000, block=block, begins=begins, positive="1")
                   for begins in (lambda end: 0, lambda end: (end - 1) // SEA_DRIFT * SEA_DRIFT))
    after = slice(SEA_DRIFT - ran.first, None)
    ours, still, best = (float(one[after].mean()) for one in (ran.right, ran.frozen, told.right))
    knows = _knows(data, block)
    note = f"no update {still:.4f}, trained again on all rows every 1,000 {again.right[after].mean():.4f}; {ran.told}"
    return [(ours, note),
            ((ours - still) / (CEILING - still),
             f"the ceiling knows each relation from its first row on; who knows it from the end of a block on has "
             f"{knows:.4f}, {(knows - still) / (CEILING - still):.2f} of the way"),
            ((ours - still) / (best - still), f"as boosted as the first champion, from all rows since the drift: "
                                              f"{best:.4f}, {(best - still) / (CEILING - still):.2f} of the way to the "
                                              f"ceiling")]


def _knows(data: Any, block: int) -> float:
    """The accuracy after the first drift of the relation that held in the last row of the block before."""
    import numpy as np

    at = np.arange(SEA_DRIFT, data.num_rows)
    edge = np.array(SUMS)[(at // block * block - 1) // SEA_DRIFT]
    inputs = (data["x1"].to_numpy() + data["x2"].to_numpy())[at]
    return float(((inputs <= edge) == (data["class"].to_numpy()[at] == 1)).mean())


def _planted(*, turning: bool) -> Measured:
    """Five inputs of which two tell the class, by a direction that turns half round or is drawn anew."""
    import numpy as np
    import pyarrow as pa

    random, rows, first = np.random.default_rng(8), 12_000, 3_000
    x, place = random.normal(5, 2, (rows, 5)), np.arange(rows)
    angle = place / rows * np.pi if turning else random.uniform(0, 2 * np.pi, rows // first)[place // first]
    odds = 1.5 * (np.cos(angle) * (x[:, 0] - 5) + np.sin(angle) * (x[:, 1] - 5))
    up = random.random(rows) < 1 / (1 + np.exp(-odds))
    data = pa.table({**{f"x{k}": x[:, k] for k in range(5)}, "class": np.where(up, "UP", "DOWN")})
    ran = played(data, "class", first=first, block=1_000, continual=True, positive="UP")
    knows, peers = float(((odds > 0) == up)[first:].mean()), _river(data, first)
    told = f"{_right(ran):.4f}, no update {_right(ran, ran.frozen):.4f}, who knows the relation {knows:.4f}; {ran.told}"
    if not peers:
        return None, f"not measured: no environment {PEERS.name}/river; {told}"
    theirs = {name: one["accuracy"] for name, one in peers.items()}
    named = ", ".join(f"{name} {value:.4f}" for name, value in theirs.items())
    return _right(ran) - max(theirs.values()), f"{told}; {named}"


def _taxi() -> Measured:
    import numpy as np

    data, month = _months()
    first = int((month < 6).sum())
    ran = played(data, "total_amount", first=first, block=month[first:])
    after = (month >= 14)[first:]
    ours, still = float(np.median(ran.loss[after])), float(np.median(ran.still[after]))
    mean, before = float(ran.loss[after].mean()), float(ran.still[after].mean())
    early = ~(month >= 13)[first:]
    return mean / before, (f"mean absolute error {mean:.2f} against {before:.2f}, median {ours:.2f} against "
                           f"{still:.2f}; before February {ran.loss[early].mean():.2f} against "
                           f"{ran.still[early].mean():.2f}; {ran.told}")


def _months() -> tuple[Any, Any]:
    """The trips of 24 months, and the month of every row from 0. Columns known at the start of a trip."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found, month = [], []
    for k, path in enumerate(sorted((data_folder() / "stream/yellow_taxi_monthly").glob("*.parquet"))):
        one = pq.read_table(path)
        at = pc.strptime(one["pickup_datetime"], "%Y-%m-%d %H:%M:%S", "s")
        found.append(pa.table({
            "distance": one["trip_distance"], "passengers": one["passenger_count"].cast(pa.float64()),
            "rate": one["rate_code_id"].cast(pa.float64()), "hour": pc.hour(at).cast(pa.float64()),
            "weekday": pc.day_of_week(at).cast(pa.float64()), "vendor": one["vendor_id"].cast(pa.float64()),
            "from": one["pickup_location_id"].cast(pa.float64()), "to": one["dropoff_location_id"].cast(pa.float64()),
            "total_amount": one["total_amount"]}))
        month.append(np.full(one.num_rows, k))
    return pa.concat_tables(found), np.concatenate(month)


def _still() -> Measured:
    """Twenty streams of one relation, one renewal each: what is taken must be better on 20,000 rows after it too."""
    import numpy as np

    from shipworthy.deployment.updating.contest import losses

    took, wrong = [], []
    for seed in range(STREAMS):
        data = _relation(26_000, seed)
        project, table, champion, recipe, learners = _start(data, "y", 3_000, False, "yes")
        won = _renewed(table, (3_000, 6_000), champion, recipe, (project, learners, None))
        if won is None:
            continue
        later = table.take(np.arange(6_000, table.rows))
        took.append(won[0].name)
        wrong += [won[0].name] * bool(losses(won[0].model, later).mean() >= losses(champion, later).mean())
    return float(len(wrong)), (f"3,000 rows learnt from, 3,000 more had come; taken {len(took)} times: "
                               f"{', '.join(took) or 'none'}")


def _relation(rows: int, seed: int) -> Any:
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng([5, seed])
    x = random.normal(size=(rows, 4))
    y = random.random(rows) < 1 / (1 + np.exp(-(1.2 * x[:, 0] - x[:, 1] + 0.5 * np.tanh(2 * x[:, 2]))))
    return pa.table({**{f"x{k}": x[:, k] for k in range(4)}, "y": np.where(y, "yes", "no")})


# ── a stream, played ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Played:
    """A stream, played. Of the rows after `first`: right, frozen: whether the answer was right, with renewal and
    without; loss, still: absolute error, likewise. truth: of all rows. taken: the candidates that won, in order.
    """

    first: int
    truth: Any
    right: Any
    frozen: Any
    loss: Any
    still: Any
    taken: list[str]

    @property
    def told(self) -> str:
        """How often which candidate won."""
        names = dict.fromkeys(self.taken)
        return "taken: " + (", ".join(f"{name} {self.taken.count(name)}×" for name in names) or "none")


def _right(ran: Played, of: Any = None) -> float:
    return float((ran.right if of is None else of).mean())


def played(
    data: Any, target: str, *, first: int, block: Any, begins: Callable[[int], int] | None = None,
    continual: bool = False, positive: str = "",
) -> Played:
    """A stream answered block by block. first: rows that the first champion learns from. block: how many rows, or the
    number of the block of every later row. begins: no candidates compete, but after every block, which ends
    before this row, training is done again on the rows from the one on that it returns.
    """
    import numpy as np

    from shipworthy.renewal.trying import scored

    project, table, champion, recipe, learners = _start(data, target, first, continual, positive)
    truth, n = champion.truth(table), table.rows
    edges = (np.append(np.arange(first, n, block), n) if isinstance(block, int)
             else first + np.append(np.flatnonzero(np.diff(block, prepend=block[0] - 1)), len(block)))
    frozen, made, since, taken, score = champion, None, first, [], np.zeros(n)
    for begin, end in pairwise(edges.tolist()):
        rows = table.take(np.arange(begin, end))
        if made is not None and made.along is not None and continual:
            behind = table.take(np.arange(since, end))
            score[begin:end] = scored(made, behind, continual=True)[begin - since:]
        else:
            score[begin:end] = champion.score(rows)
        if end == n:
            break
        if begins is not None:
            champion = _trained(table.take(np.arange(begins(end), end)), project)
            continue
        won = _renewed(table, (since, int(end)), champion, recipe, (project, learners, truth))
        if won is not None:
            made, since = won
            champion, recipe = made.model, made.recipe
            taken.append(made.name)
    later = slice(first, None)
    old = frozen.score(table.take(np.arange(first, n)))
    if champion.task == "regression":
        gap, still = np.abs(score - truth)[later], np.abs(old - truth[later])
        return Played(first, truth, gap * 0, gap * 0, gap, still, taken)
    right, froze = (score >= 0.5)[later] == truth[later], (old >= 0.5) == truth[later]
    return Played(first, truth, right, froze, 1.0 - right, 1.0 - froze, taken)


def _start(data: Any, target: str, first: int, continual: bool, positive: str) -> tuple[Any, ...]:
    """The project, the table, and boosted trees on its first rows, calibrated on every fifth of them."""
    import numpy as np

    from shipworthy.core.learned import Recipe
    from shipworthy.core.project import parse
    from shipworthy.core.registry import registry
    from shipworthy.core.table import Table

    named = f'positive = "{positive}"\n' if positive else ""
    project = parse(f'[project]\nname = "stream"\n[data]\ntarget = "{target}"\n{named}[learning]\nseconds = 20.0\n'
                    f'[renew]\ncontinual = {str(continual).lower()}\nrows = 1\nsearch = "never"\n')
    table = Table.of(data)
    table = table.with_schema(table.schema.replace(target, role="target"))
    champion = _trained(table.take(np.arange(first)), project)
    return project, table, champion, Recipe("boosted", dict(SETTINGS)), registry().of("learner")


def _trained(rows: Any, project: Any) -> Any:
    import numpy as np

    from shipworthy.learning.selection.finish import finished
    from shipworthy.learning.selection.ladder import train
    from shipworthy.renewal.candidates import fifth

    judging = fifth(rows.rows)
    model = train(rows.take(np.flatnonzero(~judging)), project=project, settings=SETTINGS)
    return finished(model, rows.take(np.flatnonzero(judging)), project)


def _renewed(
    table: Any, span: tuple[int, int], champion: Any, recipe: Any, known: tuple[Any, ...]
) -> tuple[Made, int] | None:
    """The winner on the newest rows that the champion has not seen, and where they begin; None without one."""
    import numpy as np

    from shipworthy.renewal.candidates import Ground, fifth
    from shipworthy.renewal.trying import newest_share, tried

    (since, end), (project, learners, _) = span, known
    cut = end - round(newest_share(champion, table.take(np.arange(since, end))) * (end - since))
    recent, before = table.take(np.arange(since, cut)), table.take(np.arange(cut))
    held = table.take(np.arange(max(0, since - 2_000), since))
    ground = Ground(champion, recipe, table.take(np.arange(since)), recent, fifth(recent.rows), held, project, learners)
    found = tried(ground, table.take(np.arange(cut, end)), before=before)
    return (found.made[found.contest.winner], cut) if found.contest.winner else None


def _river(data: Any, first: int) -> Mapping[str, Any]:
    """What River's models reach on Elec2 after the first rows; nothing where it is not installed."""
    python = PEERS / "river/bin/python"
    if not python.is_file():
        return {}
    script, names = ROOT / "benchmarks/peers/watch_streams.py", data.column_names[:-1]
    rows = [[{name: row[name] for name in names}, row["class"] == "UP"] for row in data.to_pylist()]
    done = subprocess.run([str(python), str(script), str(first)], input=json.dumps(rows), capture_output=True,
                          text=True, check=False, timeout=900)
    return dict(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else {}

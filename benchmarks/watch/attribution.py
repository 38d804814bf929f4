"""A regression planted on one axis of a release of Adult: which share of it that axis is given by the eight mixes.

Code: a cleaning that reads ages from 30 on as none. Model: trees of two rounds instead of sixty. Data: labels of which
a fifth are turned. The other axes change too, without harm: the new model is fitted with another seed, the new data are
other rows, the new cleaning takes one value that nobody has for none. So the shares are estimates. Twenty seeds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.frame import Bar, no_data, real_data
from benchmarks.watch.mitigation import Measure, adult

BARS = (
    Bar("regression planted in the code: its share of the change, mean", None, 0.95, "higher"),
    Bar("regression planted in the model: its share of the change, mean", None, 0.95, "higher"),
    Bar("regression planted in the data: its share of the change, mean", None, 0.95, "higher"),
    Bar("planted regressions whose axis is named first", None, 1.0, "higher"),
    Bar("nothing planted: share of seeds in which a regression is claimed", None, 0.1, "lower"),
    Bar("largest failure of shares to add up", None, 1e-9, "lower"),
)
AXES = ("code", "model", "data")
SEEDS = range(20)


def measured() -> list[Measure]:
    """Every bar; not measured where Adult is absent. It takes about half a minute."""
    path = real_data("fairness/adult/adult.parquet")
    if path is None:
        return no_data(BARS)
    table = adult(path)
    runs = [_seed(table, seed) for seed in SEEDS]
    found: list[Measure] = []
    for axis in AXES:
        shares = [run[axis].shares[axis].value / run[axis].change.value for run in runs]
        found.append((float(np.mean(shares)), f"from {min(shares):.3f} to {max(shares):.3f}, {len(shares)} seeds"))
    first = [max(AXES, key=lambda one: run[axis].shares[one].value) == axis for run in runs for axis in AXES]
    claimed = [run[""].change.low > 0 for run in runs]
    gap = [abs(sum(share.value for share in each.shares.values()) - each.change.value)
           for run in runs for each in run.values()]
    return [*found, (float(np.mean(first)), f"{len(first)} regressions"), (float(np.mean(claimed)), ""),
            (float(max(gap)), "")]


def _seed(table: Any, seed: int) -> dict[str, Any]:
    import pyarrow as pa

    from shipworthy.core.cleaning import Cleaning, Gap, Numbers
    from shipworthy.core.project import parse
    from shipworthy.deployment.updating.attribution import Side, replayed
    from shipworthy.learning.selection.ladder import train

    project = parse('[project]\nname = "adult"\n[data]\ntarget = "income"\npositive = ">50K"\n')
    random = np.random.default_rng(seed)
    learn, before, after = (table.take(part) for part in np.array_split(random.permutation(table.rows), 3))
    old, newer, hasty = (train(learn, project=project, learner="boosted", seed=at, settings={"rounds": rounds})
                         for at, rounds in ((seed, 60), (seed + 100, 60), (seed + 100, 2)))
    words = after.words("income")
    turned = np.where(random.random(after.rows) < 0.2, np.where(words == ">50K", "<=50K", ">50K"), words)
    spoilt = after.with_column("income", pa.array(turned.tolist()))

    def read(model: Any, low: float) -> Any:
        return model.with_sheet(cleaning=Cleaning((Numbers("age", (Gap(low, 1e9, "looks like a code"),)),)))

    new = {"": Side(read(newer, 1e6), after), "code": Side(read(newer, 30.0), after),
           "model": Side(read(hasty, 1e6), after), "data": Side(read(newer, 1e6), spoilt)}
    return {axis: replayed(Side(old, before), side) for axis, side in new.items()}

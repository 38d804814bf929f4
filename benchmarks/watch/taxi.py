"""Two years of New York's taxis: a model of January 2018, watched by the day until December 2019.

What truly changed is dated: one fare of $429,490 in August 2018, a surcharge column that begins to be filled in January
2019 and is charged from February on, counts and payments that go missing from July 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.frame import Bar, no_data, real_data
from shipworthy import flow
from shipworthy.core.clock import DAY
from shipworthy.core.grid import Reference
from shipworthy.core.project import Project, parse
from shipworthy.core.table import Table
from shipworthy.core.tallies import Tallies
from shipworthy.deployment.monitoring.harm import recent_risk, risk_limit
from shipworthy.deployment.monitoring.watch import Watched, counted, watch

ZONE, PAID = "America/New_York", "total_amount"
AFTER = ("fare_amount", "tip_amount", "payment_type", "dropoff_datetime", "improvement_surcharge", "store_and_fwd_flag")
TRUE = ("2018-08", "2019-01")
CHARGED = "2019-02"
RESPONSIBLE = {"extra"}  # some meters put the surcharge there; its own column was empty, so the model does not read it
BEFORE = (*(f"2018-{month:02}" for month in range(2, 13)), "2019-01")

BARS = (
    Bar("days of February 2019 until the congestion surcharge pages", None, 28, "lower"),
    Bar("the column named in which the surcharge came: 1 is yes", None, 1, "higher"),
    Bar("pages in the 12 months before that neither a dated change nor the loss explains", None, 0, "lower"),
    Bar("without any label: days of February 2019 until it pages", None, 28, "lower"),
    Bar("without any label: pages in the 12 months before that nothing explains", None, 0, "lower"),
)


def measured() -> list[tuple[float | None, str]]:
    """A (value, note) for every bar, in order."""
    folder = real_data("stream/yellow_taxi_monthly")
    if folder is None:
        return no_data(BARS)
    known, blind = (_judged(*_watched(folder, labelled=labelled)) for labelled in (True, False))
    return [(known.day, f"pages: {'; '.join(known.told) or 'none'}"),
            (len(known.named & RESPONSIBLE), f"named: {', '.join(sorted(known.named)) or 'none'}"),
            (len(known.false), "; ".join(known.false) or "none"), (blind.day, "pages: " + "; ".join(blind.told)),
            (len(blind.false), "; ".join(blind.false) or "none")]


def project() -> Project:
    """A project as one would write it: what is to be paid, from what is known when the ride begins."""
    return parse(f"""
[project]
name = "taxi"
purpose = "say what a ride will cost"
owner = "owner@example.org"
[data]
target = "{PAID}"
time = "pickup_datetime"
set_aside = {list(AFTER)}
kinds = {{rate_code_id = "category", vendor_id = "category", congestion_surcharge = "number"}}
[[source]]
address = "rides.parquet"
name = "rides"
owner = "owner@example.org"
licence = "open"
[split]
kind = "random"
[learning]
seconds = 20.0
search = false
learners = ["linear", "boosted"]
[watch]
window = "day"
zone = "{ZONE}"
""")


def month(path: Path) -> Table:
    """The rides of a month, their times with their zone."""
    found = pq.read_table(path)
    found = found.cast(pa.schema([field.with_type(pa.string()) if pa.types.is_large_string(field.type) else field
                                  for field in found.schema]))
    for name in ("pickup_datetime", "dropoff_datetime"):
        naive = pc.strptime(found[name].cast(pa.string()), "%Y-%m-%d %H:%M:%S", "us")
        found = found.set_column(found.column_names.index(name), name, pc.assume_timezone(
            naive, ZONE, ambiguous="earliest", nonexistent="earliest").cast(pa.timestamp("us", "UTC")))
    return Table.of(found, name="rides")


def _watched(folder: Path, *, labelled: bool) -> tuple[Watched, Reference, Tallies, Project]:
    paths, made = sorted(folder.glob("*.parquet")), project()
    case = flow.study(made, {"rides": month(paths[0])})
    model, logs, labels = case["model"], [], []
    for path in paths[1:]:
        rides = month(path)
        start = np.datetime64(path.stem[-7:]).astype("datetime64[us]").astype(np.int64)
        at = np.asarray(rides.column("pickup_datetime").cast(pa.int64()).to_numpy())
        inside = (at >= start) & (at < start + 32 * DAY)
        rides, at = rides.take(np.flatnonzero(inside)), at[inside]
        ids = pa.array([f"{path.stem[-7:]}-{place}" for place in range(rides.rows)])
        inputs = {name: rides.column(name) for name in model.features.columns}
        logs.append(pa.table({"prediction_id": ids, "at": pa.array(at, pa.timestamp("us", "UTC")),
                              "score": model.score(rides), "decision": pa.nulls(rides.rows, pa.string()), **inputs}))
        labels.append(pa.table({"prediction_id": ids, "label": rides.column(PAID),
                                "observed_at": pa.array(at + DAY, pa.timestamp("us", "UTC"))}))
    log, truth = (Table.of(pa.concat_tables(parts, promote_options="permissive")) for parts in (logs, labels))
    seen = counted(model, case["grid"], log, truth, made)
    told = seen if labelled else counted(model, case["grid"], log, None, made)
    return watch(case["grid"], told, made), case["grid"], seen, made


@dataclass(frozen=True)
class Pages:
    """day: of February 2019 when it paged, 999 if never. named: columns of that page. told: all pages. false: those
    before it that nothing explains.
    """

    day: float
    named: set[str]
    told: list[str]
    false: list[str]


def _judged(watched: Watched, grid: Reference, tallies: Tallies, made: Project) -> Pages:
    """A page is explained by a dated change, or by the loss of the week before it, which all labels measure."""
    limit, told, false = risk_limit(grid, made.watch.tolerance), [], []
    for page in watched.incidents:
        at = int(np.datetime64(page.opened[:19]).astype("datetime64[us]").astype(np.int64))
        risk = recent_risk(tallies.cohorts.whole.between(at - 7 * DAY, at))[0]
        measured = "" if np.isnan(risk) else f", loss of that week {risk:.3f}, borne {limit:.3f}"
        told.append(f"{page.opened[:10]} {'+'.join(page.families)} {', '.join(page.columns[:3])}".strip() + measured)
        if page.opened[:7] in BEFORE and page.opened[:7] not in TRUE and not risk > limit:
            false.append(told[-1])
    first = next((page for page in watched.incidents if page.opened[:7] == CHARGED), None)
    return Pages(float(first.opened[8:10]) if first else 999.0, set(first.columns) if first else set(), told, false)

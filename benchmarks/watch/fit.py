"""A renewal on the whole way: taxis served and labelled, a challenger that must be fit by its own case.

A model of March 2018 to January 2019 says what a ride will cost; from February 2019 on rides in Manhattan cost more by
a surcharge, which no input tells. What is true of any table of rides, not of renewal, is accepted beforehand: nothing
says what a decision earns, and the distance alone says most of the fare.
"""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.frame import Bar, no_data, real_data

LEARNT = [f"2018-{month:02}" for month in range(3, 13)] + ["2019-01"]
SERVED = ["2019-02", "2019-03", "2019-04"]
ACCEPTED = ("verification.business", "data.profiling")
SAME = ["trip_distance", "pickup_location_id", "dropoff_location_id", "passenger_count", "vendor_id"]
KNOWN = [*SAME, "rate_code_id", "mta_tax", "pickup_datetime", "total_amount"]
WHO, TRAINER = "approver@example.org", "trainer@example.org"
RULES = f"""
[project]
name = "taxi"
purpose = "say what a ride will cost before it begins"
owner = "owner@example.org"
trainer = "{TRAINER}"
approver = "{WHO}"
subject = "thing"
decides = false
[data]
table = "rides"
target = "total_amount"
time = "pickup_datetime"
kinds = {{rate_code_id = "category", vendor_id = "category"}}
[[source]]
address = "rides.parquet"
name = "rides"
owner = "Taxi and Limousine Commission"
licence = "CC0-1.0"
[split]
kind = "random"
[learning]
seconds = 60.0
search = false
[[requirement]]
metric = "r2"
at_least = 0.8
[checks.worst-slice]
limit = 4.0
[checks.mutation-score]
limit = 0.9
"""

BARS = (
    Bar("taxis: rows of the checklist that refuse the challenger that won", None, 0, "lower"),
    Bar("taxis: squared error of that challenger less the champion's, at the most", None, 0, "lower"),
    Bar("taxis: the challenger is champion: 1 is yes", None, 1, "higher"),
)


def measured() -> list[tuple[float | None, str]]:
    """A (value, note) for every bar, in order."""
    folder = real_data("stream/yellow_taxi_monthly")
    if folder is None:
        return no_data(BARS)
    with tempfile.TemporaryDirectory() as home:
        return _renewed(folder, Path(home) / "taxi")


def _renewed(folder: Path, home: Path) -> list[tuple[float | None, str]]:
    from shipworthy import flow
    from shipworthy.cli.waive import waive
    from shipworthy.core.table import Table
    from shipworthy.deployment.integration.log.read import read_log
    from shipworthy.deployment.integration.serving.host import Server
    from shipworthy.deployment.integration.serving.replay import replay
    from shipworthy.store.workspace import open_workspace

    home.mkdir()
    (home / "shipworthy.toml").write_text(RULES, encoding="utf-8")
    pq.write_table(_rides(folder, LEARNT), home / "rides.parquet")
    place = open_workspace(home)
    flow.build(place)
    soon = (datetime.now() + timedelta(days=30)).date().isoformat()
    for row in ACCEPTED:
        waive(place, row=row, by=WHO, reason="so it is with every table of rides", until=soon)
    release = flow.promote(place, by=WHO, why="the checklist holds")
    with Server(release, place.log, place.project) as server:
        replay(Table.of(_rides(folder, SERVED)), server.address,
               label="total_amount", delay=timedelta(hours=1), time="pickup_datetime", batch=64)
    log, labels = read_log(place.log, place.store.tables, time="pickup_datetime")
    came = flow.renew(place, by=WHO, log=log, labels=labels)
    if came.release is None:
        return [(None, came.sentence)] * 3
    refused, better, standing = came.release.evidence.refusals, came.findings[-1], flow.champion(place)
    return [(float(len(refused)), ", ".join(refused) or came.findings[1].sentence), (better.high, better.sentence),
            (float(standing is not None and standing.id == came.release.id), came.sentence)]


def _rides(folder: Path, months: list[str]) -> Any:
    """Rides of these months, oldest first, each that is like no other before it; fares above 0 and below 500."""
    data = pa.concat_tables([pq.read_table(folder / f"yellow_tripdata_sample_{month}.parquet") for month in months])
    at = pc.strptime(data["pickup_datetime"], "%Y-%m-%d %H:%M:%S", "us")
    data = data.select(KNOWN).set_column(KNOWN.index("pickup_datetime"), "pickup_datetime",
                                         at.cast(pa.timestamp("us", "UTC")))
    paid, month = data["total_amount"].to_numpy(), at.to_numpy().astype("datetime64[M]")
    inside = (month >= np.datetime64(months[0])) & (month <= np.datetime64(months[-1])) & (paid > 0) & (paid < 500)
    data = data.filter(pa.array(inside)).sort_by("pickup_datetime")
    codes = [np.unique(data[name].fill_null(-1).to_numpy(), return_inverse=True)[1] for name in SAME]
    _, first = np.unique(np.stack(codes, axis=1), axis=0, return_index=True)
    return data.take(pa.array(np.sort(first)))

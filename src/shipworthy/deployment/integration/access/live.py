"""Is the budget of rows held by a real server? One row more than a day allows must be sent away."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Parts
from shipworthy.core.project import Project, Serving
from shipworthy.core.release import Release
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.host import Server
from shipworthy.errors import StoreError

MOST, TOO_MANY = 100_000, 429


def one_too_many(project: Project, release: Release, parts: Parts) -> Finding:
    """Whether a real server answers as many rows as [serve] rows_a_day allows, and sends the next one away with 429.

    A server process of its own on this machine, with nothing spent yet; of more than 100,000 rows a day so many are
    tried as the limit.
    """
    serving = project.serve
    if not serving.rows_a_day:
        return say("not-applicable", "No budget is declared, [serve] rows_a_day = 0, so there is none to hold.")
    quota = min(serving.rows_a_day, MOST)
    serving = msgspec.structs.replace(serving, rows_a_day=quota, rows_a_minute=0, open=True, unseen="accept")
    read = [name for name in release.model.features.columns if name in parts.holdout.schema]
    records = parts.holdout.select(read).head(100).records()
    if not records:
        return say("unknown", "The holdout has no rows to ask with.", n=0,
                   remedy="give the holdout a share in [split]")
    with tempfile.TemporaryDirectory() as folder:
        try:
            statuses = _asked(release, Path(folder), serving, records, quota)
        except StoreError as error:
            return say("unknown", f"The server did not answer: {error.problem}. {error.hint}", remedy=error.hint)
    *within, beyond = statuses
    early = [status for status in within if status != 200]
    if early or beyond != TOO_MANY:
        told = f"was answered {beyond}, not 429"
        told = f"was never reached: an earlier one was answered {early[0]}" if early else told
        return say("fail", f"Row {quota + 1:,} of a day, one more than the budget holds, {told}.", value=float(beyond),
                   limit=float(TOO_MANY), n=quota + 1, counterexample={"statuses": sorted(set(statuses))},
                   remedy="shipworthy doctor; report it if it stays")
    return say("pass", f"A server answered {quota:,} rows of one day, and row {quota + 1:,} was sent away with 429.",
               value=float(beyond), limit=float(TOO_MANY), n=quota + 1)


def _asked(release: Release, folder: Path, serving: Serving, records: list[dict[str, Any]], quota: int) -> list[int]:
    """The statuses of requests that hold the budget together, and of one row more."""
    step = max(1, min(len(records), quota, serving.max_rows))
    sizes = [*np.full(quota // step, step).tolist(), *([quota % step] if quota % step else []), 1]
    with Server(release, folder / "log", serving, home=folder) as server, Connection(server.address) as connection:
        return [connection.post("/v1/predict", msgspec.json.encode(records[:size], enc_hook=str))[0] for size in sizes]

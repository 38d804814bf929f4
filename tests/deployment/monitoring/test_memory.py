"""Watching remembers: many looks find what one finds, count each row once, and keep the budget of false pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.evidence import Finding
from shipworthy.core.table import Table
from shipworthy.deployment.integration.releases.history import ledger
from shipworthy.deployment.monitoring.alarm import EARLY, early
from shipworthy.deployment.monitoring.memory import closed, recalled, remembered
from shipworthy.deployment.monitoring.watch import State, Watched, counted, watch
from shipworthy.errors import Misuse, StoreError
from shipworthy.sabotage.world import world
from shipworthy.store import Store, open_store

Case = Mapping[str, Any]
Serve = Callable[..., tuple[Table, Table]]
RELEASE = "r" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def seconds(table: Table, name: str) -> Any:
    return table.numbers(name)


def looked(store: Store, case: Case, log: Table, labels: Table | None, until: float) -> Watched:
    """A look at what had come by a time, in seconds."""
    come = log.take(seconds(log, "at") < until)
    known = labels.take(seconds(labels, "observed_at") < until) if labels is not None else None
    return remembered(store, RELEASE, lambda state: look(case, come, known, state=state))


def look(case: Case, log: Table, labels: Table | None, *, state: State | None = None) -> Watched:
    seen = counted(case["model"], case["grid"], log, labels, case["project"])
    return watch(case["grid"], seen, case["project"], state=state, release=RELEASE)


def full(watched: list[Watched]) -> list[tuple[Any, ...]]:
    return sorted((w.level, w.start, w.end, w.rows, *w.m.values()) for one in watched for w in one.windows if w.full)


def flooded(serve: Serve) -> tuple[Table, Table]:
    rows = world(901, rows=6_000)
    gone = (np.arange(6_000) >= 3_000) & (np.random.default_rng(0).random(6_000) < 0.6)
    return serve(rows.with_column("num1", pa.array(rows.numbers("num1"), mask=gone)))


def test_many_looks_test_the_same_windows_as_one_and_each_once(store: Store, case: Case, serve: Serve) -> None:
    log, labels = serve(count=3_000)
    start, end = seconds(log, "at").min(), seconds(labels, "observed_at").max()
    looks = [looked(store, case, log, labels, at) for at in (*np.linspace(start, end, 9)[1:], np.inf, np.inf)]
    assert full(looks) == full([look(case, log, labels)])
    assert sum(watched.pages for watched in looks) == 0


def test_an_incident_pages_once_and_stays_open(store: Store, case: Case, serve: Serve) -> None:
    log, labels = flooded(serve)
    start, end = seconds(log, "at")[[0, -1]]
    looks = [looked(store, case, log, labels, at) for at in np.linspace(start + 86_400, end + 1, 9)]
    assert sum(watched.pages for watched in looks) == 1
    assert looks[-1].pages == 0
    assert looks[-1].incident is not None
    pages = [line for line in ledger(store) if line["action"] == "page"]
    assert [(line["actor"], line["subject"]["incident"]) for line in pages] == [("watch", looks[-1].incident.id)]


def test_an_incident_is_closed_by_somebody_for_a_reason_and_on_record(store: Store, case: Case, serve: Serve) -> None:
    log, labels = flooded(serve)
    opened = looked(store, case, log, labels, np.inf).incident
    assert opened is not None
    with pytest.raises(Misuse, match="only with a name and a reason"):
        closed(store, RELEASE, by=" ", why="mended")
    assert closed(store, RELEASE, by="ann", why="mended").id == opened.id
    assert recalled(store.home / "watch" / f"{RELEASE[:16]}.json").incident is None
    assert [(line["actor"], line["why"]) for line in ledger(store)][1:] == [("ann", "mended")]
    with pytest.raises(Misuse, match="no incident is open"):
        closed(store, RELEASE, by="ann", why="mended")
    assert looked(store, case, log, labels, np.inf).pages == 1  # the fault goes on


def test_a_look_without_new_rows_changes_nothing(store: Store, case: Case, serve: Serve) -> None:
    log, labels = serve(count=1_000)
    first = looked(store, case, log, labels, np.inf)
    assert looked(store, case, log, labels, np.inf).state == first.state


def test_a_label_that_was_received_late_is_counted_in_the_window_of_its_arrival(
    store: Store, case: Case, serve: Serve
) -> None:
    log, labels = serve(count=2_000)
    at = seconds(labels, "observed_at")
    late = np.where(np.arange(2_000) % 3 == 0, at + 9 * 86_400, at)
    told = labels.with_column("received_at", pa.array((late * 1e6).astype(np.int64), pa.timestamp("us", "UTC")))
    counts = []
    for until in np.linspace(at.min(), late.max() + 30 * 86_400, 8):
        come = told.take(late < until)
        watched = remembered(store, RELEASE, lambda state, come=come: look(case, log, come, state=state))
        counts.append(sum(w.rows for w in watched.windows if "harm" in w.m and w.full))
    assert sum(counts) + watched.windows[-1].rows == 2_000


def test_two_watchers_at_once_count_nothing_twice(store: Store, case: Case, serve: Serve) -> None:
    log, labels = flooded(serve)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: looked(store, case, log, labels, np.inf), range(2)))
    assert sum(watched.pages for watched in found) == 1
    assert full(found) == full([look(case, log, labels)])


def test_a_look_that_fails_leaves_the_memory_as_it_was(store: Store, case: Case, serve: Serve) -> None:
    log, labels = serve(count=1_000)
    before = looked(store, case, log, labels, np.inf).state

    def fails(state: State) -> Watched:
        raise StoreError("the disk is full")

    with pytest.raises(StoreError):
        remembered(store, RELEASE, fails)
    assert recalled(store.home / "watch" / f"{RELEASE[:16]}.json") == before


def test_a_memory_that_cannot_be_read_is_told(store: Store) -> None:
    path = store.home / "watch" / f"{RELEASE[:16]}.json"
    path.parent.mkdir()
    path.write_text('{"until": 3}')
    with pytest.raises(StoreError, match="what watching remembers cannot be read") as caught:
        recalled(path)
    assert caught.value.hint == "delete the file: the next look begins at the release's first row"


def test_testing_a_window_while_it_fills_spends_a_tenth_of_the_budget_at_most() -> None:
    assert sum(1 / early(test) for test in range(1, 100_000)) == pytest.approx(EARLY / (1 - EARLY), rel=1e-4)


def test_many_looks_at_p_values_of_no_change_alarm_within_the_budget() -> None:
    """A hundred windows, each tested twelve times as it fills, against A = 400: at most 100 in 400 may alarm."""
    rng = np.random.default_rng(0)
    bar, alarmed = 400 / (1 - EARLY), 0
    for _ in range(400):
        m, cried = 0.0, False
        for _ in range(100):
            z = np.cumsum(rng.normal(size=12)) / np.sqrt(np.arange(1, 13))
            e = 0.5 / np.sqrt(np.maximum(2 * (1 - _phi(np.abs(z))), 1e-300))
            tried = (1 + m) * e
            cried |= bool((tried[:-1] >= bar * np.array([early(j) for j in range(1, 12)])).any() or tried[-1] >= bar)
            m = tried[-1]
        alarmed += cried
    assert alarmed <= 100


def _phi(z: Any) -> Any:
    from scipy.special import ndtr

    return ndtr(z)


def test_a_notebook_shows_the_open_incident_and_escapes_it(case: Case, serve: Serve) -> None:
    watched = look(case, *flooded(serve))
    page = watched._repr_html_()
    assert watched.incident is not None
    assert watched.incident.action in page
    assert "<td>column-drift</td><td>fail</td>" in page
    hostile = Watched((Finding("c", "r", "fail", "<b>"),), (), (), State())
    assert hostile._repr_html_() == ("<table><caption>no incident is open</caption>"
                                     "<tr><td>c</td><td>fail</td><td>&lt;b&gt;</td></tr></table>")

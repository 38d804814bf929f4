from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shipworthy.core.table import Table
from shipworthy.deployment.monitoring.incident import Alarm, route
from shipworthy.deployment.monitoring.joined import join, served
from shipworthy.deployment.monitoring.watch import State, Watched, counted, watch
from shipworthy.errors import BadData, Misuse
from shipworthy.sabotage.deployment_monitoring import logged
from shipworthy.sabotage.world import world

Case = Mapping[str, Any]
Serve = Callable[..., tuple[Table, Table]]


def look(case: Case, log: Table, labels: Table | None, **options: Any) -> Watched:
    seen = counted(case["model"], case["grid"], log, labels, case["project"])
    return watch(case["grid"], seen, case["project"], **options)


def verdicts(watched: Watched) -> dict[str, str]:
    return {finding.check: finding.verdict for finding in watched.findings}


def test_unchanged_traffic_pages_nobody(case: Case, serve: Serve) -> None:
    for seed in range(5):
        watched = look(case, *serve(seed=seed))
        assert watched.pages == 0
        assert "fail" not in verdicts(watched).values()


def test_settings_of_the_project_reach_the_checks_of_traffic(case: Case, serve: Serve) -> None:
    given = {"column-drift": {"effect": 3.0}, "late-labels": {"tolerance": 0.5}, "feedback": {"limit": 0.25},
             "outlier-rate": {"tolerance": 0.9}}
    project = msgspec.structs.replace(case["project"], checks=given)
    watched = look({**case, "project": project}, *serve(seed=1))
    assert {f.check: f.settings for f in watched.findings if f.check in given} == given


def second_half(rows: Table) -> np.ndarray:
    return np.arange(rows.rows) >= rows.rows // 2


@pytest.mark.parametrize("labelled", [True, False])
def test_a_flood_of_missing_values_pages_once_on_its_first_day(case: Case, serve: Serve, labelled: bool) -> None:
    rows = world(901, rows=6_000)
    gone = second_half(rows) & (np.random.default_rng(0).random(6_000) < 0.6)
    log, labels = serve(rows.with_column("num1", pa.array(rows.numbers("num1"), mask=gone)))
    watched = look(case, log, labels if labelled else None)
    assert watched.pages == 1
    incident = watched.incidents[0]
    assert incident.opened.startswith("2024-07-16")
    assert (incident.severity, incident.columns[0]) == ("high", "num1")
    assert incident.sentence.startswith("Broken input in num1; harm: ")


def test_a_hundredfold_unit_pages_without_labels(case: Case, serve: Serve) -> None:
    rows = world(902, rows=6_000)
    log, _ = serve(rows.with_column("num2", np.where(second_half(rows), 100.0, 1.0) * rows.numbers("num2")))
    watched = look(case, log, None)
    assert watched.pages == 1
    assert watched.incidents[0].opened.startswith("2024-07-16")


def test_swapped_labels_page_as_harm_and_say_what_it_costs(case: Case, serve: Serve) -> None:
    rows = world(903, rows=6_000)
    turned = np.where(second_half(rows), np.where(rows.words("outcome") == "yes", "no", "yes"), rows.words("outcome"))
    watched = look(case, *serve(rows.with_column("outcome", pa.array(turned, pa.string()))))
    assert watched.pages == 1
    assert watched.incidents[0].families[0] == "harm"
    assert watched.incidents[0].currency == "EUR"
    assert watched.incidents[0].loss is not None
    assert verdicts(watched)["concept-drift"] == "fail"


def test_drift_in_a_column_of_little_weight_with_healthy_labels_is_only_logged(case: Case, serve: Serve) -> None:
    rows = world(904, rows=12_000)
    words = rows.words("cat2")
    kept = second_half(rows) <= (words != "low") | (np.random.default_rng(1).random(12_000) < 0.2)
    watched = look(case, *serve(rows.take(kept)))
    assert verdicts(watched)["column-drift"] == "fail"
    assert verdicts(watched)["harm"] != "fail"
    assert any(window.done == "log" for window in watched.windows)
    assert all(incident.harm == "unknown" for incident in watched.incidents)


def test_labels_that_come_after_all_rows_still_say_that_a_drift_does_no_harm(case: Case, serve: Serve) -> None:
    rows = world(904, rows=12_000)
    words = rows.words("cat2")
    kept = second_half(rows) <= (words != "low") | (np.random.default_rng(1).random(12_000) < 0.2)
    log, labels = serve(rows.take(kept))
    later = (log.numbers("at").max() + 86_400) * 1e6
    watched = look(case, log, labels.with_column("observed_at", pa.array([int(later)] * labels.rows,
                                                                         pa.timestamp("us", "UTC"))))
    assert any(window.done == "log" for window in watched.windows)
    assert watched.pages == 0


@pytest.mark.parametrize("family, harm, done", [
    ("drift", "no", "log"), ("drift", "unknown", "page"), ("drift", "yes", "page"), ("harm", "yes", "page"),
    ("broken", "no", "page"), ("outliers", "no", "log"),
])
def test_harm_decides_and_drift_explains(family: str, harm: Any, done: str) -> None:
    assert route((Alarm(family, "day", 0, 1.0),), harm) == done
    assert route((), harm) == "nothing"


def test_ten_thousand_empty_windows_do_not_page(case: Case, serve: Serve) -> None:
    log, _ = serve(count=1_200)
    at = (log.numbers("at") * 1e6).astype(np.int64)
    apart = np.where(np.arange(log.rows) < 600, at, at + 10_000 * 86_400_000_000)
    watched = look(case, log.with_column("at", pa.array(apart, pa.timestamp("us", "UTC"))), None)
    assert watched.pages == 0
    assert len(watched.windows) < 20


def test_a_second_delivery_is_harmless(case: Case, serve: Serve) -> None:
    log, labels = serve(count=2_000)
    twice = Table.of(pa.concat_tables([log.data, log.data]))
    again = Table.of(pa.concat_tables([labels.data, labels.data]))
    assert look(case, twice, again).windows == look(case, log, labels).windows


def test_the_order_of_rows_does_not_matter(case: Case, serve: Serve) -> None:
    log, labels = serve(count=2_000)
    mixed = np.random.default_rng(0).permutation(2_000)
    assert look(case, log.take(mixed), labels.take(mixed)).windows == look(case, log, labels).windows


def test_looking_twice_equals_looking_once(case: Case, serve: Serve) -> None:
    log, labels = serve(count=4_000)
    day = log.numbers("at") < log.numbers("at")[0] + 10 * 86_400
    known = labels.numbers("observed_at") < log.numbers("at")[0] + 10 * 86_400
    first = look(case, log.take(day), labels.take(known))
    state = msgspec.json.decode(msgspec.json.encode(first.state), type=State)
    later = look(case, log, labels, state=state)
    whole = {(w.level, w.start, *sorted(w.m)): w.m for w in look(case, log, labels).windows}
    for window in later.windows:
        assert window.m == pytest.approx(whole[(window.level, window.start, *sorted(window.m))])


def test_a_naive_time_is_refused_with_a_hint(case: Case, serve: Serve) -> None:
    log, _ = serve(count=100)
    naive = log.with_column("at", pa.array(np.arange(100), pa.timestamp("us")))
    with pytest.raises(BadData) as caught:
        look(case, naive, None)
    assert str(caught.value).splitlines()[0] == 'the times in "at" have no zone'


def test_zones_mix_only_in_utc_and_days_never_swap_with_months(case: Case, serve: Serve) -> None:
    log, _ = serve(count=100)
    written = pa.array(["2024-02-01T23:30:00-05:00", *["2024-02-02T04:30:00Z"] * 99])
    assert set(served(case["grid"], log.with_column("at", written)).at.tolist()) == {1_706_848_200_000_000}
    with pytest.raises(BadData, match="is not a time"):
        served(case["grid"], log.with_column("at", pa.array(["01/02/2024"] * 100)))


def test_labels_join_by_id_late_or_never(case: Case, serve: Serve) -> None:
    log, labels = serve(count=200)
    some = labels.take(np.arange(199, 99, -1))
    stray = some.with_column("prediction_id", pa.array(["nobody", *some.words("prediction_id")[1:]]))
    found, gone = join(served(case["grid"], log), stray)
    assert not len(gone)
    assert (len(found), found.orphans) == (99, 1)
    assert (found.truth == labels.words("label")[found.row]).all()


def test_a_corrected_label_replaces_the_earlier_one(case: Case, serve: Serve) -> None:
    log, labels = serve(count=50)
    fixed = labels.head(1)
    other = "no" if fixed.words("label")[0] == "yes" else "yes"
    later = pa.array([int(labels.numbers("observed_at").max() * 1e6) + 1], pa.timestamp("us", "UTC"))
    fixed = fixed.with_column("label", pa.array([other])).with_column("observed_at", later)
    found, gone = join(served(case["grid"], log), Table.of(pa.concat_tables([labels.data, fixed.data])))
    assert (len(found), len(gone)) == (51, 1)
    assert found.truth[found.last & (found.row == 0)].tolist() == [other]
    assert gone.truth.tolist() == [labels.words("label")[0]]
    assert gone.arrived.tolist() == found.arrived[-1:].tolist()


def test_an_empty_log_says_unknown_and_pages_nobody(case: Case, serve: Serve) -> None:
    log, labels = serve(count=10)
    watched = look(case, log.head(0), labels.head(0))
    said = verdicts(watched)
    names = ("loop-gain", "holdback", "audited-performance")
    assert [said.pop(name) for name in names] == ["not-applicable"] * len(names)
    assert set(said.values()) == {"unknown"}
    assert watched.pages == 0


def test_the_grid_of_another_model_is_refused(case: Case, serve: Serve) -> None:
    log, _ = serve(count=10)
    with pytest.raises(Misuse, match="another model"):
        counted(case["model"].with_sheet(threshold=0.4), case["grid"], log, None, case["project"])


def test_many_quiet_models_cry_less_than_their_budget(cases: Callable[[int], dict[str, Any]]) -> None:
    pages = 0
    for seed in range(1, 4):
        case = cases(seed)
        found = logged(case["model"], world(2_000 + seed, rows=20_000), seed)
        pages += look(case, found["log"], found["labels"]).pages
    assert pages == 0

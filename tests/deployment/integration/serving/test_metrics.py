"""Metrics are well-formed, count what they say, and every one of them is in the guide with its unit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shipworthy.core.release import Release
from shipworthy.deployment.integration.serving.app import App
from shipworthy.deployment.integration.serving.counters import ROUTES, STATUSES

from ..conftest import ask, record
from .exposition import Metric, families

GUIDE = Path(__file__).resolve().parents[4] / "docs" / "guides" / "operate.md"
ROW = re.compile(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \| (\w+) \|(.*?)\| (.+) \|$", re.M)


def scraped(served: App) -> dict[str, Metric]:
    status, body = ask(served, "GET", "/metrics")
    assert status == 200
    return families(body.decode())


def used(served: App) -> dict[str, Metric]:
    """Metrics after one of everything."""
    ask(served, "POST", "/v1/predict", record(ward="nowhere"))
    ask(served, "POST", "/v1/predict", [record(), record(age=None)])
    ask(served, "POST", "/v1/predict", {"age": 1})
    ask(served, "POST", "/invocations", b"{")
    ask(served, "GET", "/nothing")
    return scraped(served)


def test_metrics_are_well_formed_before_the_first_request_and_after_many(served: App) -> None:
    assert set(scraped(served)) == set(used(served))


def test_the_guide_names_every_metric_with_its_kind_and_labels(served: App) -> None:
    found = used(served)
    told = {name: (kind, labels) for name, kind, _, labels, _ in ROW.findall(GUIDE.read_text("utf-8"))}
    assert {name: (metric.kind, metric.labels) for name, metric in found.items()} == {
        name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, (kind, labels) in told.items()}


def test_metrics_count_what_they_say(served: App, release: Release) -> None:
    found = used(served)
    own = (("release", release.id[:16]),)
    assert found["shipworthy_predictions_total"].samples["shipworthy_predictions_total", own] == 3
    assert found["shipworthy_unseen_categories_total"].samples["shipworthy_unseen_categories_total", own] == 1
    assert found["model_infer_request_success"].samples["model_infer_request_success", ()] == 2
    assert found["model_infer_request_failure"].samples["model_infer_request_failure", ()] == 2
    name = "rest_server_requests_duration_seconds"
    assert found[name].samples[f"{name}_count", own] == 2
    assert 0 < found[name].samples[f"{name}_sum", own] < 60


def test_labels_are_bounded_and_never_what_somebody_sent(served: App) -> None:
    for path in ("/of/anna", "/v2/models/anna", "/v2/models/anna/infer"):
        ask(served, "POST", path, {})
    found = used(served)
    values = {pair for metric in found.values() for _, labels in metric.samples for pair in labels}
    assert {value for name, value in values if name == "path"} <= set(ROUTES)
    assert {int(value) for name, value in values if name == "status_code"} <= set(STATUSES)
    assert {name for name, _ in values} == {"path", "status_code", "release", "le"}


@pytest.mark.parametrize("text, said", [
    ("# HELP a b\n# TYPE a counter\na 1", "the last line does not end"),
    ("a 1\n", "no sample of a metric that was told of"),
    ("# HELP a b\n# TYPE a counter\na 1\na 1\n", "twice"),
    ("# HELP a b\n# TYPE a counter\na -1\n", "below nought"),
    ("# HELP a b\n# TYPE a counter\n# HELP a b\n", "told of twice"),
    ("# HELP a b\n# TYPE a kind\n", "a TYPE out of place"),
    ('# HELP a b\n# TYPE a counter\na{b="c",} 1\n', "labels that cannot be read"),
    ('# HELP a b\n# TYPE a counter\na{b="c"d"} 1\n', "labels that cannot be read"),
    ('# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n', "do not add up"),
    ('# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n', "do not add"),
    ('# HELP a b\n# TYPE a histogram\na_bucket{le="+Inf"} 1\na_sum 1\na_count 2\n', "lacks its sum"),
])
def test_the_reader_of_metrics_sees_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        families(text)

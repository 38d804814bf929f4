"""What another system served, and labels that somebody hands over: nothing that fits nothing is left out in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shipworthy.deployment.monitoring.foreign import answering, fitting
from shipworthy.errors import BadData

Serve = Callable[..., Any]


def test_labels_of_a_class_that_the_model_does_not_know_are_refused(case: Any, serve: Serve) -> None:
    log, labels = serve(count=300)
    assert answering(labels, log, case["model"]) is labels
    said = np.array(labels.words("label"), object)
    said[[4, 9]] = "maybe"
    with pytest.raises(BadData) as caught:
        answering(labels.with_column("label", pa.array(said, pa.string())), log, case["model"])
    assert caught.value.problem == f"2 of {labels.rows} labels are none of this model: 'maybe' in row 5 is the first"
    assert caught.value.hint == "write no or yes" and caught.value.where.endswith("label")


def test_a_label_that_has_not_come_yet_is_no_odd_one(case: Any, serve: Serve) -> None:
    log, labels = serve(count=300)
    said = [None, *labels.words("label")[1:]]
    answering(labels.with_column("label", pa.array(said, pa.string())), log, case["model"])


def test_labels_of_which_not_one_names_a_served_row_are_refused(case: Any, serve: Serve) -> None:
    log, labels = serve(count=300)
    foreign = labels.with_column("prediction_id", pa.array([f"far-{n}" for n in range(labels.rows)]))
    with pytest.raises(BadData, match="is of a prediction in the log") as caught:
        answering(foreign, log, case["model"])
    assert '"far-0"' in caught.value.hint and "--log" in caught.value.hint
    answering(foreign, log.head(0), case["model"])  # nothing was served yet, which a look says itself


def test_a_decision_is_the_word_of_its_class_whatever_type_it_has(case: Any, serve: Serve) -> None:
    log, _ = serve(count=50)
    coded = log.with_column("decision", pa.array([1, 0] * 25, pa.int64()))
    assert fitting(coded, None, case["model"]).words("decision")[0] == "1"
    assert pa.types.is_string(fitting(coded, None, case["model"]).column("decision").type)

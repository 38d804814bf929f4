"""Planted faults in what is known since a release: what must make a champion due for renewal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from shipworthy.core.clock import DAY, now_us
from shipworthy.core.tallies import Tallies
from shipworthy.marks import sabotage, twin
from shipworthy.sabotage.deployment_monitoring import Case, served, tallied

FEW = 900


@twin("renewal-due")
def little_has_come(case: Case, seed: int) -> Case:
    """A few days of ordinary traffic, labelled, soon after the release: less than the champion learnt from."""
    found = served(case, seed)
    log, labels = found["log"].head(FEW), found["labels"].head(FEW)
    return tallied(found, log=log, labels=labels)


@sabotage("left-standing", check="renewal-due")
def left_standing(case: Case) -> Case:
    """The same traffic goes on for two years, and nobody renews."""
    found = little_has_come(case, 0)
    seen: Tallies = found["tallies"]
    return {**found, "tallies": replace(seen, until=now_us() + 2 * 365 * DAY)}


@sabotage("outgrown", check="renewal-due")
def outgrown(case: Case) -> Case:
    """Labels of more rows than the champion learnt from have come."""
    return served(case, 0)


@sabotage("does-harm", check="renewal-due")
def does_harm(case: Case) -> Case:
    """A few days of traffic, and every second label says otherwise."""
    found = little_has_come(case, 0)
    labels, model = found["labels"], case["model"]
    turned = np.arange(labels.rows) % 2 == 0
    if not model.classes:
        values = labels.numbers("label") + turned * 8 * np.nanstd(labels.numbers("label"))
        return tallied(found, log=found["log"], labels=labels.with_column("label", values))
    names = list(model.classes)
    words = [names[(names.index(word) + 1) % len(names)] if turn else word
             for word, turn in zip(labels.words("label"), turned, strict=True)]
    return tallied(found, log=found["log"], labels=labels.with_column("label", pa.array(words, pa.string())))

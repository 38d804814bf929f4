"""The federated learners as rungs of the ladder: this project is one party, those of [federated] are the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shipworthy.core.features import Category, Features
from shipworthy.core.learned import Fitted, Job
from shipworthy.core.private import Others
from shipworthy.core.program import Program
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints
from shipworthy.errors import BadProject
from shipworthy.learning.privacy.federated.federation import gathered
from shipworthy.learning.privacy.federated.learners import fit_additive, fit_linear, fit_trees
from shipworthy.learning.privacy.federated.party import answering
from shipworthy.learning.privacy.federated.rows import Rows
from shipworthy.learning.training.tree import known_settings
from shipworthy.marks import learner


@learner("federated-linear", tasks=("binary",), glass_box=True, order=11, by_name=True)
def federated_linear(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """Logistic regression over the rows of all parties. No settings."""
    known_settings({}, job, "federated-linear")
    return _fitted(fit_linear, inputs, truth, job)


@learner("federated-additive", tasks=("binary",), glass_box=True, order=31, by_name=True)
def federated_additive(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """One table per input, boosted over the rows of all parties. Settings: rounds and rate."""
    settings = known_settings({"rounds": 40, "rate": 0.3}, job, "federated-additive")
    return _fitted(lambda *told: fit_additive(*told, **settings), inputs, truth, job)


@learner("federated-trees", tasks=("binary",), order=51, by_name=True)
def federated_trees(inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    """Boosted trees over the rows of all parties. Settings: trees, depth and rate."""
    settings = known_settings({"trees": 60, "depth": 4, "rate": 0.2}, job, "federated-trees")
    return _fitted(lambda *told: fit_trees(*told, **settings), inputs, truth, job)


def others(features: Features, project: Project) -> Others | None:
    """What the federated learners are told of the other parties; None where the project names none.

    Raises BadProject for a number without [data.limits], as its range is not asked of rows, and for callers without a
    key.
    """
    rules = project.federated
    if not (rules.parties or rules.callers):
        return None
    if rules.callers and not rules.key:
        raise BadProject("parties elsewhere are named, and no key to meet them with", where="[federated] key",
                         hint='make one with: shipworthy party key NAME, and write key = "NAME.pem"')
    limits = project.data.limits
    free = [one.column for one in features.encoders if not isinstance(one, Category) and one.column not in limits]
    if free:
        raise BadProject(f'the column "{free[0]}" has no declared bounds, and none may be read from the rows of others',
                         where="[federated]", hint=f"write [data.limits] {free[0]} = [lowest, highest]")
    bounds = tuple((0.0, 0.0) if isinstance(one, Category) else limits[one.column] for one in features.encoders)
    return Others(rules, features, project.data.target, bounds)


def _fitted(fit: Callable[..., Program], inputs: Floats, truth: Floats | Ints, job: Job) -> Fitted:
    told = job.others
    if told is None:
        raise BadProject("a federated learner needs other parties", where="[learning] learners",
                         hint="name at least two: [federated] parties or callers")
    own = Rows(inputs, np.asarray(truth, np.int64), job.inputs)
    with gathered(told.rules, own=answering(lambda asked: own)) as parties:
        parties.start(told.features, told.target, job.classes)
        program = fit(parties, told.features, told.bounds, job.classes)
    return Fitted(program, program.margin, dict(job.settings), rows=len(truth), transcript=tuple(parties.transcript))

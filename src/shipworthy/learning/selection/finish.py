"""What is fitted after the choice, on the tune part: calibration, threshold, coverage of sets and intervals."""

from __future__ import annotations

import msgspec
import numpy as np

from shipworthy.core.learned import Candidate, Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project, Value
from shipworthy.core.table import Floats, Ints
from shipworthy.learning.selection.calibrate import calibration
from shipworthy.learning.selection.choice import row_losses

LEAST_GAIN = 0.001
CELLS = ("true_positive", "false_positive", "false_negative", "true_negative")


def finish(candidate: Candidate, parts: Parts, project: Project) -> Model:
    """The candidate's model, calibrated if that lowers the loss, with its threshold and its conformal edge.

    Odd rows of the tune part fit the calibration, even rows judge it and set the conformal edge (90 % coverage;
    Vovk et al., 2005), so that neither has seen its own judge.
    """
    model, scores = candidate.model, candidate.scores
    truth = model.truth(parts.tune)
    fit, judge = np.arange(len(truth)) % 2 == 1, np.arange(len(truth)) % 2 == 0
    found = calibration(scores[fit], truth[fit], model.task)
    if found is not None:
        before = row_losses(scores[judge], truth[judge], model.task).mean()
        after = row_losses(found(scores[judge]), truth[judge], model.task).mean()
        if after < before * (1 - LEAST_GAIN):
            model, scores = model.with_program(model.program.calibrated(found)), found(scores)
    edge = conformal_edge(scores[judge], truth[judge], model)
    sheet = msgspec.structs.replace(
        model.sheet, threshold=threshold(scores, truth, model, project.value), conformal=edge
    )
    return Model(sheet, model.program)


def conformal_edge(scores: Floats, truth: Floats | Ints, model: Model) -> float:
    """The score below which 90 % of the truths lie: 1 − probability of the truth, or absolute residual."""
    if model.task == "regression":
        strange = np.abs(scores - truth)
    else:
        codes = np.asarray(truth, np.int64)
        given = np.where(codes == 1, scores, 1 - scores) if scores.ndim == 1 else scores[np.arange(len(codes)), codes]
        strange = 1 - given
    rank = min(1.0, np.ceil((len(strange) + 1) * model.sheet.level) / len(strange))
    return float(np.quantile(strange, rank, method="higher"))


def threshold(scores: Floats, truth: Floats | Ints, model: Model, value: Value | None) -> float:
    """The cut with the highest declared value on the tune part; with balanced accuracy where none is declared."""
    if model.task != "binary":
        return 0.5
    positive = float(np.mean(truth)) or 0.5
    balanced = Value(true_positive=1 / positive, true_negative=1 / max(1e-9, 1 - positive))
    worth = value if value is not None and any(getattr(value, cell) for cell in CELLS) else balanced
    order = np.argsort(-scores, kind="stable")
    hits, misses = np.cumsum(truth[order] == 1), np.cumsum(truth[order] == 0)
    earned = (
        hits * worth.true_positive
        + misses * worth.false_positive
        + (hits[-1] - hits) * worth.false_negative
        + (misses[-1] - misses) * worth.true_negative
    )
    last = np.append(np.diff(scores[order]) != 0, True)
    most = int(len(scores) * worth.capacity)
    able = last & (np.arange(1, len(scores) + 1) <= max(1, most))
    nothing = hits[-1] * worth.false_negative + misses[-1] * worth.true_negative
    if not able.any() or earned[able].max() <= nothing:
        return float(np.nextafter(scores.max(), np.inf))
    return float(scores[order][able][np.argmax(earned[able])])

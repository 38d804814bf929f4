"""What is fitted after the choice, on the tune part: calibration, threshold, coverage of sets and intervals."""

from __future__ import annotations

import msgspec
import numpy as np

from shipworthy.core.amounts import CELLS, Amounts, amounts, fixed
from shipworthy.core.learned import Candidate, Parts
from shipworthy.core.model import Model
from shipworthy.core.private import Spent
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.learning.privacy.tuned import as_counted
from shipworthy.learning.selection.calibrate import calibration
from shipworthy.metrics.losses import row_losses

LEAST_GAIN = 0.001
MOVES = (0.75, 1.25)
LEAST_SHARE = 0.01


def finish(candidate: Candidate, parts: Parts, project: Project) -> Model:
    """The candidate's model, calibrated if that lowers the loss, with its threshold and its conformal edge.

    Odd rows of the tune part fit the calibration, even rows judge it and set the conformal edge (90 % coverage;
    Vovk et al., 2005), so that neither has seen its own judge. Of a private candidate, the rows are those that its
    noisy counts say, and no tune row is looked at again.
    """
    if candidate.private is not None:
        return finish_private(candidate.model, candidate.private, project)
    paid = None if project.value is None else amounts(project.value, parts.tune)
    return _tuned(candidate.model, candidate.scores, candidate.model.truth(parts.tune), paid)


def finished(model: Model, rows: Table, project: Project, scores: Floats | None = None) -> Model:
    """A model without calibration, finished on these rows as `finish` does it on the tune part.

    scores: of these rows instead of its own: of one that has learnt from them, those that it gave before.
    """
    paid = None if project.value is None else amounts(project.value, rows)
    return _tuned(model, model.score(rows) if scores is None else scores, model.truth(rows), paid)


def finish_private(model: Model, spent: Spent, project: Project) -> Model:
    """The model as the noisy counts have it finished; amounts are those of the project file."""
    return _tuned(model, *as_counted(spent), None if project.value is None else fixed(project.value))


def _tuned(model: Model, scores: Floats, truth: Floats | Ints, paid: Amounts | None) -> Model:
    fit, judge = np.arange(len(truth)) % 2 == 1, np.arange(len(truth)) % 2 == 0
    found = calibration(scores[fit], truth[fit], model.task)
    if found is not None:
        before = row_losses(scores[judge], truth[judge], model.task).mean()
        after = row_losses(found(scores[judge]), truth[judge], model.task).mean()
        if after < before * (1 - LEAST_GAIN):
            model, scores = model.with_program(model.program.calibrated(found)), found(scores)
    edge = conformal_edge(scores[judge], truth[judge], model)
    sheet = msgspec.structs.replace(model.sheet, threshold=threshold(scores, truth, model, paid), conformal=edge)
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


def threshold(scores: Floats, truth: Floats | Ints, model: Model, paid: Amounts | None) -> float:
    """The cut on the score that stands: its worst regret is least when each declared amount moves by a quarter.

    Regret: what the best cut would earn more on these tune rows, as a share of what it earns above deciding for
    nobody. Where no amount is declared, balanced accuracy. A cut above every score decides for nobody.
    Source: Savage (1951), minimax regret; the moves are those of the check `threshold-stands`.
    """
    if model.task != "binary":
        return 0.5
    positive = float(np.mean(truth)) or 0.5
    balanced = Amounts({"true_positive": 1 / positive, "true_negative": 1 / max(1e-9, 1 - positive)})
    declared = paid if paid is not None and set(paid.named) & set(CELLS) else balanced
    cases = [declared] + [declared.moved(cell, factor) for cell in declared.named if cell in CELLS for factor in MOVES]
    order = np.argsort(-scores, kind="stable")
    hit = np.asarray(truth)[order] == 1
    earned = np.stack([_earned(one.take(order), hit) for one in cases])
    gain = earned - earned[:, :1]
    able = np.append(True, np.append(np.diff(scores[order]) != 0, True))
    able[max(1, int(len(scores) * declared.capacity)) + 1 :] = False
    gain = gain[:, able]
    if gain[0].max() <= 0:
        return float(np.nextafter(scores.max(), np.inf))
    best = gain.max(axis=1, keepdims=True)
    worst = ((best - gain) / np.maximum(best, LEAST_SHARE * best.max())).max(axis=0)
    cut = int(np.flatnonzero(able)[np.argmin(worst)])
    return float(scores[order][cut - 1]) if cut else float(np.nextafter(scores.max(), np.inf))


def _earned(paid: Amounts, hit: Mask) -> Floats:
    """What is earned when the first 0, 1, …, n rows are decided for, (n + 1,). hit: (n,) of the second class."""
    for_them = np.where(hit, paid["true_positive"], paid["false_positive"])
    against = np.where(hit, paid["false_negative"], paid["true_negative"])
    return np.asarray(against.sum() + np.concatenate([[0.0], np.cumsum(for_them - against)]), np.float64)

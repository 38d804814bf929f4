"""What a model answers: probabilities or a value, with its interval or set, its decision and its abstention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shipworthy.core.shown import WORDS, shown
from shipworthy.core.table import Floats, Mask


@dataclass(frozen=True)
class Predictions:
    """Answers for n rows; never a bare array.

    score: (n,) value, or probability of the second class; (n, k) probabilities when k > 2.
    decision: (n,) class names, or the values of a regression. low, high: (n,) interval of a regression, else None.
    members: (n, k) which classes are in the prediction set, else None. abstain: (n,) the model should not decide.
    """

    score: Floats
    decision: npt.NDArray[Any]
    abstain: Mask
    low: Floats | None = None
    high: Floats | None = None
    members: Mask | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """One answer as plain values, as the server sends it."""
        decision = self.decision[row]
        answer: dict[str, Any] = {"prediction": decision if self.classes else float(decision)}
        if self.classes:
            scores = self.score[row] if self.score.ndim == 2 else np.array([1 - self.score[row], self.score[row]])
            answer["probabilities"] = dict(zip(self.classes, map(float, scores), strict=True))
            if self.members is not None:
                answer["set"] = [name for name, inside in zip(self.classes, self.members[row], strict=True) if inside]
        if self.low is not None and self.high is not None:
            answer["interval"] = [float(self.low[row]), float(self.high[row])]
        answer["abstain"] = bool(self.abstain[row])
        return answer

    def _repr_html_(self) -> str:
        rows = [(n, self[n]) for n in range(min(8, len(self)))]
        return shown(f"{len(self):,} predictions", rows, letters=WORDS)

"""What of a server's answers is left to chance, as [feedback] says: who answers a holdback, and noise on the score.

Nothing is, while a rollout shares the traffic. The score that is logged is the model's own; the noise stands beside it.
Sources: Wager et al. (2014), Feedback detection for live predictors; Bottou et al. (2013), Counterfactual reasoning.
"""

from __future__ import annotations

from math import erf, sqrt
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from shipworthy.core.project import Feedback, Project, Serving
from shipworthy.deployment.integration.log.answers import Explored, ExploredRow
from shipworthy.deployment.integration.log.tables import HELD
from shipworthy.deployment.integration.serving.answerer import Batch, One
from shipworthy.deployment.integration.serving.standing import place
from shipworthy.errors import Misuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shipworthy.deployment.integration.serving.arms import Arm

WIDE = 3.0  # noise is at most so many standard deviations, so that a score far enough inside [0, 1] stays there
STEPS = 1024  # of the noise in a standard deviation, so that its sums are whole numbers
Left = tuple[float, float, bool]  # chance of the action taken, noise, and whether the action could have been another


class Drawn(NamedTuple):
    """Who answers: the release, the name of its arm, and the probability with which it was to be this one.

    by: who leaves the answer to chance, if anybody does.
    """

    arm: Arm
    name: str
    chance: float
    by: Exploring | None = None

    def keep(self, batch: Batch, place: tuple[list[str], int], records: Sequence[Any]) -> None:
        """Log the answers to several records, as chance will have them. place: ids and time. Raises StoreError."""
        blocks = self.by.blocks(place, self, batch, records) if self.by else ()
        self.arm.keep(batch, *place, self.name, self.chance, blocks=blocks)


class Exploring:
    """What is left to chance while a champion answers alone. Made by `exploring`.

    previous: who answers what is held back; without it a class is drawn.
    """

    def __init__(self, champion: Arm, previous: Arm | None, rules: Feedback) -> None:
        self.previous, self._champion, self._rules = previous, champion, rules
        sheet = champion.release.model.sheet
        self._classes, self._cut, self._plain = sheet.classes, sheet.threshold, champion.answers.plain
        held = rules.holdback if previous is not None or rules.policy == "random" else 0.0
        self._share, self._scale = held, rules.randomise if len(sheet.classes) <= 2 else 0.0
        by_chance = held / len(sheet.classes) if previous is None and held else 0.0
        self._held = Drawn(previous or champion, HELD, held, self)
        self._model = Drawn(champion, "champion", 1.0 - held + by_chance, self)
        self._other = by_chance or held
        self._random, self._noise = Random().random, _noises(self._scale).__next__

    def drawn(self, entity: str) -> Drawn:
        """Who answers an entity, always the same."""
        return self._held if self._share and place(entity, self._rules.salt) < self._share else self._model

    def row(self, place: tuple[str, int], drawn: Drawn, found: One, record: Any) -> ExploredRow:
        """The log's row of an answer, which is changed as chance will have it. place: id and time."""
        answer = found.answer
        chance, noise, explored = self._left(drawn, answer, found.score, record)
        return ExploredRow(*place, drawn.name, chance, found.score, answer["prediction"], answer["abstain"],
                           found.values, noise, explored)

    def blocks(
        self, place: tuple[list[str], int], drawn: Drawn, batch: Batch, records: Sequence[Any]
    ) -> list[Explored]:
        """The log's rows of several answers, likewise; each block of one chance."""
        ids, at = place
        apart: dict[tuple[float, bool], list[tuple[int, float]]] = {}
        for row, (answer, score, record) in enumerate(zip(batch.answers, batch.score, records, strict=True)):
            chance, noise, explored = self._left(drawn, answer, score, record)
            apart.setdefault((chance, explored), []).append((row, noise))
        return [Explored([ids[row] for row, _ in rows], at, drawn.name, chance, [batch.score[row] for row, _ in rows],
                         [batch.answers[row]["prediction"] for row, _ in rows],
                         [batch.answers[row]["abstain"] for row, _ in rows],
                         [[column[row] for row, _ in rows] for column in batch.columns.values()],
                         [noise for _, noise in rows], explored)
                for (chance, explored), rows in apart.items()]

    def _left(self, drawn: Drawn, answer: dict[str, Any], score: float, record: Any) -> Left:
        """What chance does to an answer."""
        if drawn.name == HELD:
            return self._held_back(answer, record)
        return self._noisy(drawn.chance, answer, score) if self._scale else (drawn.chance, 0.0, False)

    def _held_back(self, answer: dict[str, Any], record: Any) -> Left:
        """The chance of the action is certain only where both policies come to it, so the champion is asked too."""
        if self.previous is not None:
            same = self._champion.answers.one(record).answer["prediction"] == answer["prediction"]
            return (1.0, 0.0, False) if same else (self._other, 0.0, True)
        own, answer["prediction"] = answer["prediction"], self._classes[int(self._random() * len(self._classes))]
        return self._model.chance if own == answer["prediction"] else self._other, 0.0, True

    def _noisy(self, chance: float, answer: dict[str, Any], score: float) -> Left:
        reach = WIDE * self._scale
        if self._classes and not reach <= score <= 1.0 - reach:  # nor where the score is no number
            return chance, 0.0, False
        noise = self._noise()
        answer.update(self._plain(score + noise))
        away = score - self._cut
        if not self._classes or not -reach < away < reach:
            return chance, noise, False
        above = 0.5 * (1.0 + erf(away / (self._scale * sqrt(2.0))))
        return chance * (above if score + noise >= self._cut else 1.0 - above), noise, True


def _noises(scale: float) -> Iterator[float]:
    """Normal noise, in whole steps, for ever."""
    random = np.random.default_rng()
    while True:
        drawn = np.clip(random.standard_normal(STEPS), -WIDE, WIDE)
        yield from (np.rint(drawn * STEPS) / STEPS * scale).tolist()


def exploring(champion: Arm, previous: Arm | None, rules: Feedback) -> Exploring | None:
    """What is left to chance while a champion answers; None where nothing is. previous: the champion before it.

    A previous champion that answers another question holds nothing back. Raises Misuse where a number would have to
    be drawn.
    """
    sheet = champion.release.model.sheet
    if rules.holdback and rules.policy == "random" and not sheet.classes:
        raise Misuse("a number is not drawn at random", where="[feedback] policy", hint='write policy = "previous"')
    if previous is not None and previous.release.model.sheet.classes != sheet.classes:
        previous = None
    held = rules.holdback and (previous is not None or rules.policy == "random")
    return Exploring(champion, previous, rules) if held or rules.randomise else None


def chances(project: Project | Serving) -> Feedback:
    """What a project leaves to chance; an entity is that of rollouts unless another is named."""
    if isinstance(project, Serving):
        return Feedback()
    return replace(project.feedback, unit=project.feedback.unit or project.rollout.unit)

"""Does the model tell what somebody kept to themselves? An attacker guesses a sensitive column with and without it.

Source: Yeom et al. (2018), attribute advantage; Jayaraman and Evans (2022), "Are attribute inference attacks just
imputation?", for the comparison with an attacker who has the other columns only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from shipworthy.assurance.inversion import THINGS
from shipworthy.assurance.trees import grown
from shipworthy.core.evidence import Finding, Verdict, say, settled
from shipworthy.core.features import Category, fit
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.table import Floats, Ints, Mask, Table
from shipworthy.marks import check
from shipworthy.metrics.intervals import paired_mean_difference

LEAST, QUARTERS, MANY = 400, 4, 12


class Advantage(NamedTuple):
    """How much more often the attacker who asks the model is right. alone, helped: shares of rows guessed rightly."""

    column: str
    alone: float
    helped: float
    low: float
    high: float
    rows: int

    @property
    def gain(self) -> float:
        return self.helped - self.alone


@check("attributes", row="security.inversion")
def attributes(
    project: Project, model: Model, parts: Parts, *, limit: float = 0.05, rows: int = 8_000
) -> Finding:
    """Whether asking the model helps to guess a sensitive column: the advantage of whoever can, at its upper end.

    The attacker knows every other column and what came true, and one half of the learning rows wholly; the guess is
    about the other half. One attacker also asks the model, where it reads the column with every value of it. Sensitive
    are the protected and the personal columns; numbers are guessed by quarter.
    """
    if project.project.subject == "thing" and not project.data.personal:
        return say("not-applicable", THINGS)
    wanted = dict.fromkeys((*(column.name for column in parts.learn.schema.protected), *project.data.personal))
    names = [name for name in wanted if name in parts.learn.schema and name not in project.data.identifiers]
    if not names:
        return say("unknown", "No column is declared as protected or personal, so there is nothing to guess.",
                   remedy="name them in shipworthy.toml: [data] protected, personal")
    if parts.learn.rows < LEAST:
        return say("unknown", f"{parts.learn.rows} learning rows are fewer than {LEAST}.", n=parts.learn.rows)
    drawn = np.random.default_rng(0).permutation(parts.learn.rows)[:rows]
    known, asked = (parts.learn.take(np.sort(side)) for side in np.array_split(drawn, 2))
    found = [one for one in (advantage(model, known, asked, name) for name in names) if one]
    if not found:
        return say("unknown", f"{', '.join(names)} cannot be guessed: one value, or a value for every row.")
    verdicts = [settled(one.gain, limit=limit, low=one.low, high=one.high, at_most=True) for one in found]
    verdict: Verdict = next((each for each in ("fail", "unknown") if each in verdicts), "pass")
    worst = max(found, key=lambda one: one.high)
    told = "; ".join(f"{one.column} {one.gain:+.1%} ({one.low:+.1%} to {one.high:+.1%}, {one.alone:.0%} without)"
                     for one in sorted(found, key=lambda one: -one.high)[:5])
    return say(verdict, f"Asking the model helps to guess {told}; {limit:+.0%} is allowed.", value=worst.gain,
               low=worst.low, high=worst.high, limit=limit, n=worst.rows,
               remedy="" if verdict == "pass" else f"keep {worst.column} from the model, [data] set_aside, or learn "
               "less by heart: [learning] cautious = true")


def advantage(model: Model, known: Table, asked: Table, column: str) -> Advantage | None:
    """What asking the model adds to a guess of one column; None where it has one value, or too many to guess.

    known: rows that the attacker learns from. asked: rows that the guess is about.
    """
    guess = _levels(known, column)
    (seen, truth), (there, answer) = guess(known), guess(asked)
    if len(np.unique(truth[seen])) < 2 or guess.count > MANY:
        return None
    learn, ask, truth, answer = known.take(seen), asked.take(there), truth[seen], answer[there]
    features = fit(learn.drop(column))
    codes = [place for place, each in enumerate(features.encoders) if isinstance(each, Category)]
    plain: list[Floats] = [np.column_stack([features.matrix(rows), model.truth(rows)]) for rows in (learn, ask)]
    helped: list[Floats] = [np.column_stack([one, _answers(model, rows, column, guess.values)])
              for one, rows in zip(plain, (learn, ask), strict=True)]
    right = [np.asarray(grown(side[0], truth, classes=guess.count, codes=codes)(side[1]).argmax(axis=1) == answer,
                        np.float64) for side in (plain, helped)]
    _, low, high = paired_mean_difference(right[1], right[0])
    return Advantage(column, float(right[0].mean()), float(right[1].mean()), low, high, ask.rows)


def _answers(model: Model, rows: Table, column: str, values: tuple[Any, ...]) -> Floats:
    """What the attacker can ask: the scores with every value of the column, (n, k); one if the model does not read it.

    The score of the true record is not among them: whoever knows it needs no attack where the model reads the column.
    """
    if column not in model.features.columns:
        return np.column_stack([model.score(rows)])
    kind = rows.data[column].type
    return np.column_stack([model.score(rows.with_column(column, pa.array([value] * rows.rows).cast(kind, safe=False)))
                            for value in values])


@dataclass(frozen=True)
class _Levels:
    """How the values of a column become codes. values: one that stands for each code. edges: of the quarters."""

    column: str
    values: tuple[Any, ...]
    edges: Floats | None = None

    @property
    def count(self) -> int:
        return len(self.values)

    def __call__(self, rows: Table) -> tuple[Mask, Ints]:
        """(n,) which rows hold a known value, and (n,) codes; 0 where none."""
        if self.edges is not None:
            numbers = rows.numbers(self.column)
            return np.isfinite(numbers), np.searchsorted(self.edges, numbers, side="left").clip(0, self.count - 1)
        place = {value: code for code, value in enumerate(self.values)}
        found = np.array([place.get(word, -1) for word in rows.words(self.column)], np.int64)
        return found >= 0, np.maximum(found, 0)


def _levels(rows: Table, column: str) -> _Levels:
    if rows.schema[column].kind != "number":
        words = {word for word in rows.words(column) if word is not None}
        return _Levels(column, tuple(sorted(words)))
    numbers = rows.numbers(column)
    numbers = numbers[np.isfinite(numbers)]
    numbers = numbers if len(numbers) else np.zeros(1)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, QUARTERS + 1)[1:-1]))
    middles = np.quantile(numbers, (np.arange(len(edges) + 1) + 0.5) / (len(edges) + 1))
    return _Levels(column, tuple(float(each) for each in middles), edges)

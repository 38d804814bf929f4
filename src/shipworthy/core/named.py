"""Names in the project file that only the data or a release knows: columns and classes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from shipworthy.errors import BadProject, one_of

if TYPE_CHECKING:
    from shipworthy.core.project import Project

MOST_NOISE = 1 / 6  # three standard deviations to both sides fit no more between 0 and 1
NO_CLASSES = 'a number is predicted, so write influenced = "all", or [] for none'


def check_feedback(project: Project, classes: Sequence[str]) -> None:
    """Raise BadProject for a decision in [feedback] that is no class of the target, or noise that no score can bear.

    classes: none of a regression.
    """
    told = project.feedback.influenced
    for word in () if isinstance(told, str) else told:
        if word not in classes:
            known = f"; the classes are {', '.join(classes[:8])}{', …' if len(classes) > 8 else ''}" if classes else ""
            raise BadProject(f'no decision is called "{word}"{known}', where="[feedback] influenced",
                             hint=one_of(word, classes) if classes else NO_CLASSES)
    noise = project.feedback.randomise
    if noise and len(classes) > 2:
        raise BadProject("the scores of many classes get no noise", where="[feedback] randomise",
                         hint="write randomise = 0.0")
    if classes and noise >= MOST_NOISE:
        raise BadProject(f"no score between 0 and 1 has room for noise of {noise:g}", where="[feedback] randomise",
                         hint="it is the noise's standard deviation; write a small one: randomise = 0.01")


def check_columns(project: Project, columns: Iterable[str], asked: Collection[str] = ()) -> None:
    """Raise BadProject for a setting that names no column of the table, or an entity by what requests do not carry.

    columns: of the training table. asked: of a request, where they are known.
    """
    known = tuple(columns)
    watching, rollout, unit = project.watch, project.rollout, project.feedback.unit
    for names, where in ((watching.segments, "[watch] segments"), (watching.effects, "[watch] effects"),
                         (rollout.unit, "[rollout] unit"), (rollout.segments, "[rollout] segments"),
                         (unit, "[feedback] unit")):
        for name in names:
            if name not in known:
                raise BadProject(f'there is no column "{name}"', where=where, hint=one_of(name, known))
    for name in unit if asked else ():
        if name not in asked:
            raise BadProject(f'no request carries the column "{name}", so nobody is known by it',
                             where="[feedback] unit", hint=one_of(name, asked))


def check_names(
    project: Project, columns: Iterable[str], classes: Sequence[str], *, asked: Collection[str] = ()
) -> None:
    """Raise BadProject for a setting that names a column or a class that is not there; as the two above."""
    check_columns(project, columns, asked)
    check_feedback(project, classes)

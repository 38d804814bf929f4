"""The decorators that label a function as part of the product; they only label, never wrap.

A marked function keeps its signature and stays callable by itself. `core.registry` collects what is marked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__shipworthy__"


def _mark(kind: str, name: str, **facts: Any) -> Callable[[F], F]:
    def label(function: F) -> F:
        setattr(function, MARK, {"kind": kind, "name": name, **facts})
        return function

    return label


def check(name: str, *, row: str, title: str = "") -> Callable[[F], F]:
    """Label a function as a check: positional parameters name what is judged, keyword-only ones are settings.

    name: unique, kebab-case. row: an id of `survey.ROWS`. The function returns a `Finding`.
    """
    return _mark("check", name, row=row, title=title or name.replace("-", " "))


def sabotage(name: str, *, check: str) -> Callable[[F], F]:
    """Label a function `(case) -> case` that plants the fault which the named check must catch."""
    return _mark("sabotage", name, check=check)


def learner(
    name: str, *, tasks: tuple[str, ...], glass_box: bool = False, order: int = 50, by_name: bool = False
) -> Callable[[F], F]:
    """Label a function `(inputs, truth, job) -> Fitted`: fits one kind of model and lowers it to a program.

    order: place in the simple-first ladder, lower is simpler. by_name: whether it is tried only where a project names
    it in `[learning] learners`.
    """
    return _mark("learner", name, tasks=tasks, glass_box=glass_box, order=order, by_name=by_name)


def connector(name: str, *, suffixes: tuple[str, ...] = (), schemes: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Label a function `(address, **options) -> Table` that reads one kind of source."""
    return _mark("connector", name, suffixes=suffixes, schemes=schemes)


def metric(name: str, *, tasks: tuple[str, ...], direction: str, needs: str) -> Callable[[F], F]:
    """Label a function `(truth, prediction) -> float`.

    direction: "higher" or "lower" is better. needs: "probability", "decision" or "value".
    """
    return _mark("metric", name, tasks=tasks, direction=direction, needs=needs)


def labeler(name: str) -> Callable[[F], F]:
    """Label a function `(table) -> codes` that votes a class for every row, or abstains with -1."""
    return _mark("labeler", name)


def twin(check: str) -> Callable[[F], F]:
    """Label a function `(case, seed) -> case` that makes clean twins on which the named check must stay quiet.

    Without one, the twins are cases made from other draws of the same world.
    """
    return _mark("twin", check, check=check)


def meter(name: str, *, of: str, cells: int, value: Callable[[Any], float]) -> Callable[[F], F]:
    """Label a function `(table) -> int64[cells]` that counts rows: counts of two tables add up to those of both.

    of: "rows", what was served with its score and decision; or "labels", the same with the column `label`. value: the
    figure that such sums stand for.
    """
    return _mark("meter", name, of=of, cells=cells, value=value)


def sink(name: str) -> Callable[[F], F]:
    """Label a function `(message, settings) -> None` that tells somebody of an incident, and raises where it cannot.

    name: what `[[sink]] kind` says.
    """
    return _mark("sink", name)


def panel(name: str, *, title: str = "") -> Callable[[F], F]:
    """Label a function `(tallies) -> dict` that draws something of the traffic for the monitor report.

    The dict is a chart as findings have them: its kind, bars or line, and the lists that the kind needs.
    """
    return _mark("panel", name, title=title or name)

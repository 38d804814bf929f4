"""Can a marked function be called as its mark promises? Asked when it is loaded, so that no run ends in a surprise."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from shipworthy.core.case import SUBJECTS
from shipworthy.errors import nearest
from shipworthy.metrics import METRICS
from shipworthy.survey import BY_ID

CALLS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sabotage": (("case",), ()),
    "twin": (("case", "seed"), ()),
    "learner": (("inputs", "truth", "job"), ()),
    "connector": (("address",), ("name",)),
    "metric": (("truth", "prediction"), ()),
    "labeler": (("table",), ()),
    "meter": (("table",), ()),
    "sink": (("message", "settings"), ()),
    "panel": (("tallies",), ()),
}
"""Kind → what it is given by position, and by name."""
CELLS = 256
TASKS = ("binary", "multiclass", "regression")
WORDS = {"direction": ("higher", "lower"), "needs": ("probability", "decision", "value"),
         "of": ("rows", "labels")}
_PLACES = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def faults(function: Callable[..., Any], facts: Mapping[str, Any]) -> list[str]:
    """What is wrong with a marked function, as the ends of sentences that begin with its name; empty if nothing is.

    facts: of its mark, with its kind.
    """
    if not callable(function) or inspect.isclass(function):
        return ["is no function"]
    if facts["kind"] == "check":
        return [*_check(function), *_word("row", facts["row"], BY_ID)]
    given, named = CALLS[facts["kind"]]
    try:
        inspect.signature(function).bind(*given, **dict.fromkeys(named, ""))
    except TypeError as error:
        wanted = ", ".join((*given, *(f'*, {name}=""' for name in named)))
        return [f"is called with ({wanted}), and takes {_shown(function)}: {error}"]
    found = [fault for task in facts.get("tasks", ()) for fault in _word("task", task, TASKS)]
    found += ["has the name of a built-in metric"] if facts["kind"] == "metric" and facts["name"] in METRICS else []
    if facts["kind"] == "meter":
        found += _value(facts["value"])
        found += [] if isinstance(facts["cells"], int) and 0 < facts["cells"] <= CELLS else [
            f"counts {facts['cells']!r} cells; they are a number from 1 to {CELLS}"]
    found += [fault for key, known in WORDS.items() if key in facts for fault in _word(key, facts[key], known)]
    return found


def _value(value: Any) -> list[str]:
    try:
        inspect.signature(value).bind("sums")
    except TypeError as error:
        return [f"has a value that is called with (sums): {error}"]
    return []


def _check(function: Callable[..., Any]) -> list[str]:
    found = []
    for name, one in inspect.signature(function).parameters.items():
        if one.kind in _PLACES and name not in SUBJECTS:
            found.append(f'judges "{name}", which is no subject; {nearest(name, SUBJECTS)}'.rstrip("; "))
        elif one.kind is inspect.Parameter.KEYWORD_ONLY and one.default is inspect.Parameter.empty:
            found.append(f'has the setting "{name}" without a default')
        elif one.kind not in (*_PLACES, inspect.Parameter.KEYWORD_ONLY):
            found.append(f"takes {one}, which hides what it judges")
    return found


def _word(key: str, value: str, known: Any) -> list[str]:
    if value in known:
        return []
    told = nearest(value, known) or (f"there are {', '.join(known)}" if len(known) < 5 else "")
    return [f'names the {key} "{value}", which does not exist; {told}'.rstrip("; ")]


def _shown(function: Callable[..., Any]) -> str:
    names = [str(one.replace(annotation=inspect.Parameter.empty)) for one in
             inspect.signature(function).parameters.values()]
    return f"({', '.join(names)})"

"""Writing shipworthy.toml: what was guessed, and why, as comments beside every setting."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Reasons = Iterable[tuple[str, str, str]]
Why = Mapping[str, list[tuple[str, str]]]

VALUE = {
    "binary": ["true_positive = 5.0", "false_positive = -1.0"],
    "multiclass": ["true_positive = 1.0", "false_positive = -1.0"],
    "regression": ["per_unit_under = -1.0", "per_unit_over = -1.0"],
}
REQUIREMENT = {"binary": ("auc", 0.65), "multiclass": ("accuracy", 0.5), "regression": ("r2", 0.3)}


def project_text(guess: Mapping[str, Any], *, name: str, address: str, rows: int = 0) -> str:
    """TOML text of a project of one table. guess: the fields of a guess, as a mapping. rows: read at most; 0 is all."""
    why = _by_setting(guess["reasons"])
    lines = [f"# {name}: written by `shipworthy init`. Every guess has its reason; correct what is wrong.",
             *_project(guess, why, name), *_data(guess, why), *_rest(guess, why, name=name, address=address, rows=rows)]
    return "\n".join(lines) + "\n"


def _project(guess: Mapping[str, Any], why: Why, name: str) -> list[str]:
    return [
        "", "[project]", f"name = {_text(name)}",
        'purpose = ""     # what the answers are for, in one sentence',
        'owner = ""       # who answers for it',
        'trainer = ""     # who runs this; nothing is promoted without a name here',
        'approver = ""    # who may promote it: not the trainer',
        *_line("subject", guess["subject"], why),
        *_line("decides", guess["decides"], why),
    ]


def _data(guess: Mapping[str, Any], why: Why) -> list[str]:
    reason = why.get("task", [("", "")])[0][1]
    lines = ["", "[data]", f"target = {_text(guess['target'])}   # {guess['task']}: {reason}"]
    for key in ("positive", "time", "group", "identifiers", "protected", "personal"):
        if guess[key]:
            lines += _line(key, guess[key], why)
    lines += _suspects(why)
    if guess["missing_codes"]:
        lines += ["", "[data.missing_codes]"]
        for column, codes in guess["missing_codes"].items():
            lines += _line(column, list(codes), {column: why.get(f"missing_codes.{column}", [])})
    if guess["same"]:
        lines += ["", "[data.same]   # two spellings, one class"]
        for value, meant in guess["same"].items():
            lines += _line(value, meant, {value: why.get(f"same.{value}", [])})
    return lines


def _rest(guess: Mapping[str, Any], why: Why, *, name: str, address: str, rows: int) -> list[str]:
    task = guess["task"]
    metric, limit = REQUIREMENT[task]
    lines = [
        "", "[[source]]", f"address = {_text(address)}", f"name = {_text(name)}",
        *([f"rows = {rows}   # drawn at random; 0 is all"] if rows else []),
        'owner = ""       # who may say what these rows are used for',
        'licence = ""     # such as "CC-BY-4.0" or "internal"',
        "", "[split]",
        *_line("kind", guess["split"], {"kind": why.get("split", [])}),
        "", "[learning]", "seconds = 60.0   # wall clock of the whole ladder and search",
        "", "[[requirement]]", f'metric = "{metric}"', f"at_least = {limit}   # what you need at the pessimistic end",
        "", "[value]   # what a decision earns: an example, replace it by your own",
        'currency = "points"', *VALUE[task], "assumed = true   # delete this line once the figures are yours",
    ]
    if guess["protected"]:
        lines += ["", "[fairness]   # choose before measuring: impact-ratio, equalised-odds, or none",
                  'criterion = "none"']
    return lines


def _by_setting(reasons: Reasons) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for setting, value, reason in reasons:
        found.setdefault(setting, []).append((value, " ".join(reason.split())))
    return found


def _line(key: str, value: Any, why: Why) -> list[str]:
    """The reasons as comments, then the setting."""
    told = [f"# {shown}: {reason}" for shown, reason in why.get(key, [])]
    return [*told, f"{_key(key)} = {_value(value)}"]


def _suspects(why: Why) -> list[str]:
    seen = [f"# suspect {shown}: {reason}" for shown, reason in [*why.get("suspect", []), *why.get("look at", [])]]
    names = ", ".join(shown for shown, _ in why.get("suspect", []))
    return [*seen, f"# set_aside = [{names}]"] if names else seen


def _key(name: str) -> str:
    return (
        name
        if name.replace("_", "").replace("-", "").isascii() and name.replace("_", "").replace("-", "").isalnum()
        else _text(name)
    )


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, str) else "[" + ", ".join(map(_text, value)) + "]"


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

"""A contract in words: each rule as one sentence that a person can agree with or not."""

from __future__ import annotations

from shipworthy.core.found import Contract, Rule
from shipworthy.data.analysis.history import MEANS, SHARES

SHOWN = 4
PLAIN = {
    "unique": "no value occurs twice",
    "constant": "no value stands for longer in a row than chance makes it",
    "repeat": "the batch is not delivered twice",
}


def spoken(contract: Contract) -> list[tuple[str, str, str]]:
    """(column, kind of rule, sentence) of every rule, in the contract's order; no column for whole rows."""
    return [(rule.column, rule.kind, sentence(rule)) for rule in contract.rules]


def sentence(rule: Rule) -> str:
    """What a rule promises, in words."""
    match rule.kind:
        case "present":
            return "the column is there"
        case "type":
            return f"it holds {rule.values[0]}"
        case "null-share":
            return f"about {rule.detail['share']:.1%} are missing" if rule.detail["share"] else "hardly any is missing"
        case "range":
            return f"values lie within {rule.low:g} and {rule.high:g}"
        case "rows":
            return f"the batch has {rule.low:,.0f} to {rule.high:,.0f} rows"
        case "levels":
            shares = zip(rule.values, rule.detail["share"], strict=False)
            return "shares of the values: " + _some([f"{level} {share:.0%}" for level, share in shares])
        case "unseen-share":
            return f"values are of the {len(rule.values):,} known: {_some(list(rule.values))}"
        case "pattern":
            return f"text of the {len(rule.values[0])} signs known, at most {max(40, 3 * rule.detail['longest'])} long"
        case "quantile":
            part = rule.detail.get("part")
            return f"its {part} is spread as before" if part else "its values are spread as before"
        case "order":
            return "times lie near those seen, without a large hole"
        case "association":
            return f"{len(rule.detail['columns'])} columns go with it as before"
        case "pair":
            return f"it goes with {rule.values[0]} as before"
        case "figure":
            return _figure(rule)
    return PLAIN.get(rule.kind, "it is as before")


def _figure(rule: Rule) -> str:
    figure, value = rule.detail["figure"], rule.detail["value"]
    if figure == "unseen":
        return f"hardly any value but the {len(rule.values):,} known: {_some(list(rule.values))}"
    if figure in SHARES:
        return f"about {value:.1%} are {SHARES[figure]}"
    if not rule.column:
        return f"about as many rows as {rule.support} batches had"
    return f"the {MEANS[figure]} is near that of {rule.support} batches"


def _some(words: list[str]) -> str:
    return ", ".join(words[:SHOWN]) + (", …" if len(words) > SHOWN else "")

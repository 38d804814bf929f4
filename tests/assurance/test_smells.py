"""A corpus of seeded smells and of clean twins: how many the linter finds, and how often it cries without cause."""

from __future__ import annotations

from pathlib import Path

from shipworthy.assurance.linter import RULES, SOURCES, lint_text


def corpus() -> list[tuple[str, set[str], str]]:
    """Of every snippet its name, the rules that must find it, and its text. A line `=== name: rules` begins one."""
    parts = Path(__file__).with_name("smells.txt").read_text("utf-8").split("=== ")[1:]
    found = []
    for part in parts:
        head, _, text = part.partition("\n")
        name, _, rules = head.rpartition(":")
        found.append((name, set(rules.split()), text))
    return found


def test_the_corpus_seeds_every_rule_three_times_and_holds_a_clean_twin() -> None:
    seeded = [rule for _, rules, _ in corpus() for rule in rules]
    assert {rule: seeded.count(rule) for rule in RULES if seeded.count(rule) < 3} == {}
    assert set(seeded) == set(RULES)
    assert sum(not rules for _, rules, _ in corpus()) >= len(RULES)


def test_recall_is_at_least_nine_in_ten_and_precision_at_least_eight() -> None:
    hits, misses, cries = [], [], []
    for name, wanted, text in corpus():
        found = {smell.rule for smell in lint_text(text)}
        hits += [(name, rule) for rule in wanted & found]
        misses += [(name, rule) for rule in wanted - found]
        cries += [(name, rule) for rule in found - wanted]
    assert len(hits) / (len(hits) + len(misses)) >= 0.9, misses
    assert len(hits) / (len(hits) + len(cries)) >= 0.8, cries


def test_every_rule_names_its_source() -> None:
    assert set(SOURCES) == set(RULES)

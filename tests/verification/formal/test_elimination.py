"""The greatest sum of tables with pairs, by maximising inputs away, is that of brute force, and the checker agrees."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.core.features import Input
from shipworthy.core.program import Lookup, Program, Term
from shipworthy.verification.formal.claims import Below, Budget, Domain, Monotone, Span, Steady
from shipworthy.verification.formal.elimination import most
from shipworthy.verification.formal.families import Prover
from shipworthy_check import Rejected, check, read

from .test_families import small

PAIRS = ((0, 1), (1, 2), (2, 3), (3, 4), (0, 4), (1, 4), (5, 6), (0, 5))


def test_the_greatest_sum_is_that_of_brute_force_on_a_thousand_programs() -> None:
    seen = 0
    for seed in range(1_500):
        program, domain, rows, weights = small(seed, "l")
        ensemble = Prover(program, domain).ensemble
        if not ensemble.pairwise:
            continue
        seen += 1
        found = most(ensemble.leaves(weights), ensemble.space.query(ensemble.ground.spans))
        assert found is not None
        assert abs(found.value - float((program.margin(rows) @ np.array(weights)).max())) < 1e-12, seed
    assert seen > 1_000


def paired(seed: int, bins: int = 6) -> tuple[Program, Domain]:
    """Seven numbers with a table each, and eight pairs that a search cannot tell apart quickly."""
    random = np.random.default_rng(seed)
    cuts = np.arange(1.0, bins)

    def table(*places: int) -> Term:
        values = random.normal(size=(*[bins + 1] * len(places), 1)).round(3)
        return Term(Lookup(places), {**{f"cuts{n}": cuts for n in range(len(places))}, "values": values})

    terms = (*(table(place) for place in range(7)), *(table(*pair) for pair in PAIRS))
    return (Program(tuple(Input(f"x{place}") for place in range(7)), terms, "identity"),
            Domain((Span(0.0, bins - 1.0, False, True),) * 7))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("release")


def accepted(program: Program, folder: Path, document: dict[str, Any]) -> bool:
    for name, raw in program.files().items():
        (folder / name).write_bytes(raw)
    try:
        check(json.dumps(document), [read(folder)])
    except Rejected:
        return False
    return True


def test_pairs_that_share_inputs_are_decided_exactly_and_checked(folder: Path) -> None:
    orders = 0
    for seed in range(12):
        program, domain = paired(seed)
        rows = np.array(list(itertools.product(range(6), repeat=7)), np.float64)
        greatest = float(program.margin(rows).max())
        ask = Prover(program, domain)
        over, under, sought = (ask(Below(goal), Budget()) for goal in (greatest + 1e-9, greatest - 1e-9, np.inf))
        assert (over.status, under.status, sought.status) == ("proved", "refuted", "proved"), seed
        assert abs(sought.high - greatest) < 1e-9
        assert under.row is not None
        assert float(program.margin(under.row[None])[0, 0]) == greatest
        assert over.certificate is not None
        document = json.loads(over.certificate.text())
        orders += document["parts"][0]["tokens"].startswith("order")
        assert accepted(program, folder, document), seed
        document["parts"][0]["goal"] = greatest - 1e-12
        assert not accepted(program, folder, document), seed
    assert orders > 6


def test_changes_of_one_input_are_decided_exactly_and_checked(folder: Path) -> None:
    for seed in range(6):
        program, domain = paired(seed, bins=4)
        rows = np.array(list(itertools.product(range(4), repeat=7)), np.float64)
        margin = program.margin(rows)[:, 0].reshape([4] * 7)
        largest = float((margin.max(axis=0) - margin.min(axis=0)).max())
        ask = Prover(program, domain)
        over, under = (ask(Steady(0, largest + by), Budget()) for by in (1e-9, -1e-9))
        assert (over.status, under.status) == ("proved", "refuted"), seed
        assert over.certificate is not None
        assert accepted(program, folder, json.loads(over.certificate.text())), seed
        assert ask(Monotone(0), Budget()).status == "refuted"

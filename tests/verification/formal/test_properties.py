"""Every claim against brute force over all rows that could tell two cells apart."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from shipworthy.verification.formal.claims import (
    Below,
    Budget,
    Domain,
    Monotone,
    Near,
    Robust,
    Span,
    Steady,
    Within,
)
from shipworthy.verification.formal.properties import prove

from . import small

AMPLE = Budget(50_000, 30.0)
DECIDED = {True: "proved", False: "refuted"}


def _worlds(count, *, outputs=1, at=0):
    for seed in range(at, at + count):
        random = np.random.default_rng(seed)
        levels = small.levels_of(random)
        program, where = small.program(random, levels, outputs), small.domain(random, levels)
        rows = small.rows([program], where)
        if rows is not None:
            yield seed, random, program, where, rows


def _others(rows, place):
    """Rows that differ in one input alone, as lists of positions."""
    groups = defaultdict(list)
    for at, row in enumerate(np.delete(rows, place, axis=1)):
        groups[row.tobytes()].append(at)
    return [np.array(group) for group in groups.values()]


def test_a_range_is_exact_when_it_is_sought_and_decided_when_it_is_claimed():
    for seed, _, program, where, rows in _worlds(200):
        margin = program.margin(rows)[:, 0]
        sought = prove(program, Within(-np.inf, np.inf), where, AMPLE)
        assert abs(sought.low - margin.min()) < 1e-8, seed
        assert abs(sought.high - margin.max()) < 1e-8, seed
        assert sought.certificate is not None and len(sought.certificate.parts) == 2
        low, high = float(margin.min()), float(margin.max()) - 0.1
        narrow = prove(program, Within(low - 0.1, high), where, AMPLE)
        assert narrow.status == "refuted", seed
        assert program.margin(narrow.row[None])[0, 0] >= high, seed
        assert prove(program, Within(low - 0.1, high + 0.2), where, AMPLE).status == "proved", seed


def test_the_largest_move_by_one_input_is_that_of_brute_force():
    for seed, random, program, where, rows in _worlds(250, at=1000):
        place = int(random.integers(len(where.spans)))
        margin = program.margin(rows)[:, 0]
        most = max(margin[group].max() - margin[group].min() for group in _others(rows, place))
        found = prove(program, Steady(place, np.inf), where, AMPLE)
        assert found.status == "proved", seed
        assert most <= found.high <= most + 1e-8, (seed, most, found)
        assert prove(program, Steady(place, most + 0.1), where, AMPLE).status == "proved", seed
        if most > 0:
            refuted = prove(program, Steady(place, most - 0.1), where, AMPLE)
            assert refuted.status == "refuted", seed
            both = program.margin(np.stack([refuted.row, refuted.moved]))[:, 0]
            assert both[1] - both[0] >= most - 0.1, seed
            assert (np.delete(refuted.row, place).tobytes() == np.delete(refuted.moved, place).tobytes()), seed


def test_the_largest_move_by_a_value_going_missing_is_that_of_brute_force():
    for seed, random, program, where, rows in _worlds(150, at=2000):
        place = int(random.integers(len(where.spans)))
        if not where.spans[place].missing:
            continue
        margin, most = program.margin(rows)[:, 0], 0.0
        for group in _others(rows, place):
            gone = np.isnan(rows[group, place])
            most = max(most, float(np.abs(margin[group][gone] - margin[group]).max()))
        found = prove(program, Steady(place, np.inf, only_missing=True), where, AMPLE)
        assert most <= found.high <= most + 1e-8, seed


def test_order_is_proved_where_no_two_rows_break_it_and_refuted_by_two_that_do():
    seen = set()
    for seed, random, program, where, rows in _worlds(300, at=3000):
        numbers = [place for place, span in enumerate(where.spans) if span.codes is None]
        if not numbers:
            continue
        place, rising, holds = numbers[0], bool(random.integers(2)), True
        margin = program.margin(rows)[:, 0]
        for group in _others(rows, place):
            known = group[~np.isnan(rows[group, place])]
            steps = np.diff(margin[known[np.argsort(rows[known, place])]])
            holds &= bool((steps >= 0).all() if rising else (steps <= 0).all())
        found = prove(program, Monotone(place, rising), where, AMPLE)
        assert found.status == DECIDED[holds], seed
        seen.add(holds)
        if not holds:
            before, after = program.margin(np.stack([found.row, found.moved]))[:, 0]
            assert (before - after if rising else after - before) > 1e-9, seed
            assert found.moved[place] > found.row[place], seed
    assert seen == {True, False}


def test_a_decision_is_robust_where_no_row_within_reach_turns_it():
    seen = set()
    for outputs in (1, 3):
        for seed, random, program, where, rows in _worlds(250, outputs=outputs, at=4000):
            row = rows[random.integers(len(rows))]
            reach = [0.0 if span.codes is not None else float(random.choice([0.0, 0.5, 2.0])) for span in where.spans]
            near = [span if np.isnan(x) else Span(max(span.low, x - by), min(span.high, x + by), False, span.whole)
                    for span, x, by in zip(where.spans, row, reach, strict=True)]
            inside = np.stack([np.isnan(rows[:, n]) if np.isnan(x) else rows[:, n] == x if by == 0
                               else (rows[:, n] >= near[n].low) & (rows[:, n] <= near[n].high)
                               for n, (x, by) in enumerate(zip(row, reach, strict=True))]).all(axis=0)
            margin, own = program.margin(rows[inside]), program.margin(row[None])[0]
            cut = 0.1
            if outputs == 1:
                holds = bool(((margin[:, 0] >= cut) == (own[0] >= cut)).all())
            else:
                best = int(own.argmax())
                if np.sort(own)[-1] == np.sort(own)[-2] or (np.sort(margin, axis=1)[:, -1]
                                                            == np.sort(margin, axis=1)[:, -2]).any():
                    continue
                holds = bool((margin.argmax(axis=1) == best).all())
            found = prove(program, Robust(row, reach, cut), where, AMPLE)
            assert found.status == DECIDED[holds], (seed, found)
            seen.add((outputs, holds))
    assert len(seen) == 4


def test_the_gap_of_two_programs_is_that_of_brute_force():
    for seed, random, program, where, _ in _worlds(200, at=5000):
        other = small.program(random, [one.levels for one in program.inputs])
        if other.terms[0].kind.narrow != program.terms[0].kind.narrow:
            continue
        rows = small.rows([program, other], where)
        if rows is None:
            continue
        most = float(np.abs(program.margin(rows) - other.margin(rows)).max())
        found = prove(program, Near(other, np.inf), where, AMPLE)
        assert most <= found.high <= most + 1e-8, seed
        assert prove(program, Near(other, most + 0.1), where, AMPLE).status == "proved", seed


def test_rules_that_tie_inputs_leave_out_exactly_the_rows_that_break_them():
    tried = 0
    for seed in range(7000, 7250):
        random = np.random.default_rng(seed)
        program = small.program(random, [0, 0, 0, 0])
        spans = (Span(0, 1, False, True), Span(0, 1, False, True), Span(-3.0, 3.0, True), Span(-3.0, 3.0, False))
        where = Domain(spans, one_of=((0, 1),), at_least=((2, 3),))
        rows = small.rows([program], where)
        if rows is None:
            continue
        keep = (rows[:, 0] + rows[:, 1] == 1) & ~(rows[:, 2] < rows[:, 3])
        most = float(program.margin(rows[keep])[:, 0].max())
        found = prove(program, Within(-np.inf, np.inf), where, AMPLE)
        assert abs(found.high - most) < 1e-8, (seed, found, most)
        refuted = prove(program, Below(most - 0.1), where, AMPLE)
        assert refuted.status == "refuted", seed
        row = refuted.row
        assert row[0] + row[1] == 1 and not row[2] < row[3], seed
        tried += 1
    assert tried > 100

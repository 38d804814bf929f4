"""The separate checker agrees with brute force on thousands of small programs, and refuses what was tampered with."""

from __future__ import annotations

import ast
import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shipworthy_check
from shipworthy.core.program import Program, Term
from shipworthy_check import Rejected, check, read
from shipworthy_check.program import Program as Read

from .small import certificate, every_row, program_of, spans_of, split_all, text

SEEDS = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("release")


def released(program: Program, folder: Path) -> Read:
    for name, raw in program.files().items():
        (folder / name).write_bytes(raw)
    return read(folder)


def weights_of(program: Program, random: np.random.Generator) -> list[float]:
    return [1.0] if program.outputs == 1 else random.permutation([1.0, -1.0, 0.0]).tolist()


def accepted(document: dict[str, Any], *programs: Read) -> bool:
    try:
        check(text(document), list(programs))
    except Rejected:
        return False
    return True


def test_a_goal_is_accepted_exactly_if_no_row_reaches_it(folder: Path) -> None:
    for seed in range(SEEDS):
        random, program = np.random.default_rng([seed, 1]), program_of(seed)
        ours, spans, weights = released(program, folder), spans_of(random), weights_of(program, random)
        with np.errstate(all="ignore"):
            margins = program.margin(every_row(program, spans)) @ np.array(weights)
        lines = any(term.arrays.get("fill") is not None for term in program.terms)
        most, view = float(margins.max()), [{"program": 0, "weights": weights, "set": {}}]
        tokens = split_all(ours, spans)
        assert not accepted(certificate(program, view, spans, most - 1e-9, tokens), ours), seed
        if not (lines and spans[0][0] is None):
            assert accepted(certificate(program, view, spans, most + 1e-9, tokens), ours), seed


def test_a_step_is_accepted_exactly_if_no_row_gains_that_much(folder: Path) -> None:
    values: list[list[Any]] = [[-1.0, 0.0, 0.5, 1.0, None], [0, 1, 2, None], [-1, 0, 1, 2, None]]
    for seed in range(SEEDS):
        random, program = np.random.default_rng([seed, 2]), program_of(seed)
        ours, spans, weights = released(program, folder), spans_of(random), np.array(weights_of(program, random))
        place = int(random.integers(3))
        a, b = random.permutation(np.array(values[place], object))[:2].tolist()
        rows = every_row(program, spans)
        sides = []
        for value in (a, b):
            rows[:, place] = np.nan if value is None else value
            sides.append(program.margin(rows) @ weights)
        most = float((sides[1] - sides[0]).max())
        view = [{"program": 0, "weights": (sign * weights).tolist(), "set": {str(place): value}}
                for sign, value in ((-1, a), (1, b))]
        tokens = split_all(ours, spans)
        assert not accepted(certificate(program, view, spans, most - 1e-9, tokens), ours), seed
        assert accepted(certificate(program, view, spans, most + 1e-9, tokens), ours), seed


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Program, Path, dict[str, Any]]:
    """A program of trees, its folder, and a certificate that is accepted with nothing to spare."""
    folder = tmp_path_factory.mktemp("sound")
    program = program_of(42, kinds="t")
    ours, spans = released(program, folder), [[-1.0, 2.7, True, False], [[0, 1, 2], True], [-2, 3, True, True]]
    weights = [1.0] * program.outputs
    most = float((program.margin(every_row(program, spans)) @ np.array(weights)).max())
    document = certificate(program, [{"program": 0, "weights": weights, "set": {}}], spans, most + 1e-9,
                           split_all(ours, spans))
    assert accepted(document, ours)
    return program, folder, document


def why(document: dict[str, Any], *programs: Read) -> str:
    with pytest.raises(Rejected) as caught:
        check(text(document), list(programs))
    return str(caught.value)


def tampered(document: dict[str, Any], tokens: list[str]) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    changed["parts"][0]["tokens"] = " ".join(tokens)
    return changed


def test_every_dropped_or_added_token_is_seen(sound: tuple[Program, Path, dict[str, Any]]) -> None:
    _, folder, document = sound
    ours, words = read(folder), document["parts"][0]["tokens"].split()
    assert len(words) > 20
    for at in range(len(words)):
        assert not accepted(tampered(document, words[:at] + words[at + 1:]), ours), at
        assert not accepted(tampered(document, [*words[:at], "end", *words[at:]]), ours), at
    assert why(tampered(document, [*words, "end"]), ours) == "part 0: there are spare tokens"
    assert why(tampered(document, words[:-1]), ours) == "part 0: a token is missing"


def test_a_cut_outside_its_box_is_seen(sound: tuple[Program, Path, dict[str, Any]]) -> None:
    _, folder, document = sound
    words = document["parts"][0]["tokens"].split()
    at = words.index("n")
    assert why(tampered(document, [*words[: at + 2], "99", *words[at + 3:]]), read(folder)) == (
        "part 0: a cut lies outside its box")
    at = words.index("m")
    assert why(tampered(document, [*words[: at + 2], "8000", *words[at + 3:]]), read(folder)) == (
        "part 0: bits are divided that the box does not have")


def test_a_split_that_ends_too_early_is_seen(sound: tuple[Program, Path, dict[str, Any]]) -> None:
    _, folder, document = sound
    assert why(tampered(document, ["end"]), read(folder)) == "part 0: an end is not below the goal"


def test_a_leaf_that_was_edited_is_seen_by_the_digest_and_by_the_bound(
    sound: tuple[Program, Path, dict[str, Any]], folder: Path
) -> None:
    program, _, document = sound
    [*rest, last] = program.terms
    edited = Program(program.inputs, (*rest, Term(last.kind, {**last.arrays, "leaf": last.arrays["leaf"] + 1e-6})),
                     program.link, program.classes)
    ours = released(edited, folder)
    assert why(document, ours) == "it is about another program"
    assert why({**document, "programs": [edited.digest]}, ours) == "part 0: an end is not below the goal"


def test_the_checker_reads_the_digest_that_the_program_has(folder: Path) -> None:
    for seed in range(50):
        program = program_of(seed)
        assert released(program, folder).digest == program.digest


def test_the_command_says_accepted_rejected_or_unreadable_by_its_exit_code(
    sound: tuple[Program, Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, folder, document = sound
    path = tmp_path / "proof.json"
    for written, code, said in ((document, 0, "accepted: a bound (1 part)"),
                                (tampered(document, ["end"]), 1, "rejected: part 0: an end is not below the goal"),
                                ({"format": 2}, 2, "rejected: certificate format 2 is unknown")):
        path.write_bytes(text(written))
        asked = subprocess.run([sys.executable, "-m", "shipworthy_check", path, folder], capture_output=True, text=True,
                               env={"PYTHONPATH": str(Path(shipworthy_check.__file__).parents[1])})
        assert (asked.returncode, (asked.stdout + asked.stderr).strip()) == (code, said)


def test_the_checker_imports_numpy_and_the_standard_library_alone() -> None:
    for path in Path(shipworthy_check.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
            for name in names:
                assert name.split(".")[0] in {*sys.stdlib_module_names, "numpy", "shipworthy_check"}, (path.name, name)

"""Programs with one to three numbers of their arrays spoilt: each is refused, or scored as the pure kernel scores it.

Run as a child process, so that a crash is seen: `python fuzz.py SEED ROUNDS`. Prints how many were refused and scored.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from programs import pure_margin, random_program, rows_for, same_bits

from shipworthy.core.program import Dense, Lookup, Program, Term, Trees, read_program
from shipworthy.errors import BadModel

WILD = (0, 1, 2, -1, -2, -3, 31, 32, 1_000, -1_000, 2**31 - 1, -(2**31), 2**31, 2**32, 2**33, 2**62, 2**63 - 1,
        -(2**63))
WILD_NUMBERS = (np.nan, np.inf, -np.inf, 0.5, -0.5, 1e300, -1e300, 2.0**31, 2.0**53, 4.0, 1.0, 0.0)


def spoil(program: Program, random: np.random.Generator) -> Program:
    """The program with one array of one term changed: a few numbers, its length, its kind or its shape."""
    at = int(random.integers(len(program.terms)))
    term = program.terms[at]
    key = str(random.choice(sorted(term.arrays)))
    array = term.arrays[key]
    kind: Any = term.kind
    way = random.random()
    if way < 0.7 and array.size:
        whole = array.dtype.kind in "iu"
        array = array.astype(np.int64 if whole else np.float64)
        for _ in range(random.integers(1, 4)):
            array.flat[int(random.integers(array.size))] = random.choice(WILD if whole else WILD_NUMBERS)
    elif way < 0.8:
        array = array[: int(random.integers(len(array) + 1))]
    elif way < 0.85:
        array = np.concatenate([array, array])
    elif way < 0.9:
        array = array.astype(random.choice(["f2", "f4", "u1", "i2", "u8", "c16", "U3", "M8[s]", "?"]))
    elif way < 0.95:
        array = array[..., None] if random.random() < 0.5 else array.ravel()
    elif isinstance(kind, Lookup):
        kind = Lookup(tuple(int(place) for place in random.choice([-1, 0, 4, 5, 2**40], random.integers(0, 4))))
    elif isinstance(kind, Trees):
        kind = Trees(float(random.choice([0.0, -1.0, np.inf, np.nan])), not kind.narrow)
    elif isinstance(kind, Dense):
        kind = Dense("swish")  # type: ignore[arg-type]
    terms = list(program.terms)
    terms[at] = Term(kind, {**term.arrays, key: array})
    return replace(program, terms=tuple(terms))


def main(seed: int, rounds: int) -> None:
    """Exit 1 with the seed at the first program on which the two kernels, or reader and kernel, disagree."""
    refused = scored = 0
    for number in range(seed, seed + rounds):
        random = np.random.default_rng(number)
        sound = random_program(random)
        rows = rows_for(sound, random, 37)
        with np.errstate(all="ignore"):
            program = spoil(sound, random)
        try:
            assert program.scorer is not None, "the compiled kernel is not in use"
        except BadModel:
            refused += 1
            _is_refused_when_read(program, number)
            continue
        with np.errstate(all="ignore"):
            wanted = pure_margin(program, rows)
            if not same_bits(program.margin(rows), wanted):
                sys.exit(f"seed {number}: a spoilt program is scored differently")
        if not same_bits(np.array([program.scorer.row_margin(row) for row in rows.tolist()]), wanted):
            sys.exit(f"seed {number}: a spoilt program scores single rows differently")
        scored += 1
    print(refused, scored)


def _is_refused_when_read(program: Program, number: int) -> None:
    try:
        read_program(program.files())
    except BadModel:
        return
    sys.exit(f"seed {number}: the reader accepts what the kernel refuses: {program.label}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

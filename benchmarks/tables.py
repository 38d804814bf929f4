"""The tables that a benchmark needs made or tidied first, and the profile of one, each in a process of its own.

    python -m benchmarks.tables mixed OUT ROWS        a mixed table of 20 columns, the same every time
    python -m benchmarks.tables adult SOURCE OUT      one spelling of each class, without the column that names the file
    python -m benchmarks.tables profile TABLE         read and profile; prints processor seconds as JSON
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SEED = 20_250_101
COLUMNS = 20
START = 1_700_000_000_000_000
WORDS = ("north", "south", "east", "west", "upper", "lower", "inner", "outer", "old", "new", "great", "little")


def mixed(rows: int) -> pa.Table:
    """(rows, 20) of numbers, whole numbers, categories, texts, times, truth values and gaps, by a fixed seed."""
    random = np.random.default_rng(SEED)
    columns: dict[str, pa.Array] = {}
    for place in range(6):
        numbers = random.normal(place, 1.0 + place, rows)
        columns[f"number_{place}"] = pa.array(numbers, mask=random.random(rows) < 0.03 * place)
    columns["amount"] = pa.array(np.round(random.lognormal(3.0, 1.0, rows), 2))
    columns["share"] = pa.array(random.beta(2.0, 5.0, rows).astype(np.float32))
    for place, most in enumerate((5, 100, 10_000, 2**40)):
        columns[f"count_{place}"] = pa.array(random.integers(0, most, rows))
    for place, levels in enumerate((3, 12, 400)):
        names = pa.array([f"{WORDS[n % 12]} {n}" for n in range(levels)])
        chosen = pa.array(random.integers(0, levels, rows), mask=random.random(rows) < 0.05 * place)
        columns[f"kind_{place}"] = names.take(chosen)
    codes = random.permutation(rows)
    columns["code"] = pa.array([f"R{code:09d}" for code in codes])
    pair = [pa.array(np.array(WORDS, object)[random.integers(0, len(WORDS), rows)]) for _ in range(3)]
    columns["note"] = pc.binary_join_element_wise(*pair, " ")
    columns["flag"] = pa.array(random.random(rows) < 0.2)
    moments = START + np.cumsum(random.integers(1, 60_000_000, rows))
    columns["at"] = pa.array(moments).cast(pa.timestamp("us", "UTC"))
    columns["outcome"] = pa.array(np.where(random.random(rows) < 0.3, "yes", "no"))
    table = pa.table(columns)
    assert table.num_columns == COLUMNS
    return table


def adult(source: Path) -> pa.Table:
    """The census table as one: a class has one spelling, and the column that says train or test is gone."""
    table = pq.read_table(source).drop_columns(["part"])
    income = pc.utf8_rtrim(table["income"], characters=".")
    return table.set_column(table.schema.get_field_index("income"), "income", income)


def profile_cost(path: Path) -> dict[str, float]:
    """Processor seconds of reading and profiling a Parquet file, all threads, imports paid before; and its cells."""
    from shipworthy.data.analysis.profile import profile
    from shipworthy.data.collection.read import read

    with tempfile.TemporaryDirectory() as home:
        pq.write_table(mixed(200), f"{home}/warm.parquet")
        profile(read(f"{home}/warm.parquet"))
    began = time.process_time()
    seen = profile(read(str(path)))
    return {"cpu_seconds": time.process_time() - began, "cells": seen.rows * len(seen.columns)}


def main(words: list[str]) -> int:
    """0, or 2 if the words are not one of the three commands."""
    match words:
        case ["mixed", out, rows]:
            pq.write_table(mixed(int(rows)), out)
        case ["adult", source, out]:
            pq.write_table(adult(Path(source)), out)
        case ["profile", path]:
            print(json.dumps(profile_cost(Path(path))))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

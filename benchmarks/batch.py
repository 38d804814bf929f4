"""The batch bars: how many rows a minute `shipworthy predict` scores from Parquet to Parquet, and in how much memory.

The model of the kernel bars (200 trees of 31 leaves, 14 columns of which 8 are words), an identifier for every row, 2 %
missing, all from a fixed seed. The whole command is timed, on all cores that it may use, with interpreter, imports and
opening the release.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.frame import ROOT, Bar, Broken, Ran, python, run, unmeasured
from benchmarks.kernel import INPUTS, LEVELS

ROWS, QUICK_ROWS, PART, CHUNK, GROUP = 4_000_000, 2_400_000, 4, 250_000, 122_880
SPEED = (Bar("rows a minute, millions, Parquet to Parquet", None, 2, "higher"),)
MEMORY = (Bar("peak memory, MB", None, 600, "lower"),
          Bar("peak memory over that for a quarter of the rows", None, 1.25, "lower"))
GROUPS = {"speed": SPEED, "memory": MEMORY}
PROJECT = '[project]\nname = "batch"\nsubject = "thing"\n[data]\ntarget = "y"\nidentifiers = ["id"]\n'


def measure(*, quick: bool, progress: Callable[[str], None], only: Sequence[str] = ()) -> list[Bar]:
    """Every bar, measured or with the reason why not. quick: fewer rows."""
    chosen = [name for name in GROUPS if not only or name in only]
    progress(", ".join(chosen))
    rows = QUICK_ROWS if quick else ROWS
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            run(python("-m", "benchmarks.batch", name, str(rows)), folder=ROOT).fine()
            whole, part = _scored(folder, "whole"), _scored(folder, "part")
            size = (folder / "whole.parquet").stat().st_size
    except Broken as error:
        return [bar for name in chosen for bar in unmeasured(GROUPS[name], f"broke: {error}")]
    said = f"{rows:,} rows, {size / 1e6:.0f} MB, in {whole.wall_seconds:.1f} s, {whole.cpu_seconds:.1f} s of processor"
    found = {"speed": [(rows / whole.wall_seconds * 60 / 1e6, said)],
             "memory": [(whole.peak_bytes / 1e6, f"{rows:,} rows"),
                        (whole.peak_bytes / part.peak_bytes, f"{part.peak_bytes / 1e6:.0f} MB for {rows // PART:,}")]}
    return [Bar(bar.what, value, bar.limit, bar.better, note) for name in chosen
            for bar, (value, note) in zip(GROUPS[name], found[name], strict=True)]


def _scored(folder: Path, name: str) -> Ran:
    words = ["predict", str(folder / f"{name}.parquet"), "-o", str(folder / f"{name}.scored.parquet"),
             "-p", str(folder), "--release", str(next((folder / "releases").glob("*"), "none"))]
    return run(python("-c", "from shipworthy.cli import main; main()", *words), folder=folder).fine()


# ── in the child process ─────────────────────────────────────────────────────────────────────────────────────────


def _child(folder: Path, rows: int) -> None:
    """A project with one release, and two tables: whole.parquet, and part.parquet with a quarter of its rows."""
    import shipworthy as sw
    from benchmarks.kernel import _model
    from shipworthy.core.evidence import Evidence
    from shipworthy.core.model import Model
    from shipworthy.core.release import Identity
    from shipworthy.deployment.integration.releases.release import write_release
    from shipworthy.deployment.integration.releases.shelf import project_key

    (folder / "shipworthy.toml").write_text(PROJECT, encoding="utf-8")
    place = sw.open_workspace(folder)
    model = Model(_sheet(), _model()[2])
    write_release(place.releases, name="batch", model=model, evidence=Evidence(()), extras={},
                  identity=Identity("code", model.digest, "data"), key=project_key(place.key))
    _table(folder / "whole.parquet", rows)
    _table(folder / "part.parquet", rows // PART)


def _sheet() -> Any:
    from shipworthy.core.cleaning import Cleaning, Numbers, Words
    from shipworthy.core.features import Category, Encoder, Features, Number
    from shipworthy.core.model import Sheet
    from shipworthy.core.schema import Column, Schema

    plain = INPUTS - len(LEVELS)
    numbers = [Number(f"x{n}") for n in range(plain)]
    words = [Category(f"x{n}", tuple(f"level {n:02}" for n in range(levels))) for n, levels in enumerate(LEVELS, plain)]
    encoders: list[Encoder] = [*numbers, *words]
    schema = Schema(tuple(Column(each.column, "number" if isinstance(each, Number) else "category")
                          for each in encoders))
    cleaning = Cleaning((*(Numbers(each.column) for each in numbers), *(Words(each.column) for each in words)))
    return Sheet(Features(tuple(encoders)), schema, "binary", "y", ("no", "yes"), cleaning=cleaning)


def _table(path: Path, rows: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random, writer = np.random.default_rng(1), None
    plain = INPUTS - len(LEVELS)
    for begin in range(0, rows, CHUNK):
        count = min(CHUNK, rows - begin)
        gone = random.random((INPUTS, count)) < 0.02
        columns = {"id": pa.array(np.arange(begin, begin + count)).cast(pa.string())}
        columns |= {f"x{n}": pa.array(random.normal(size=count), mask=gone[n]) for n in range(plain)}
        for n, levels in enumerate(LEVELS, plain):
            words = pa.array([f"level {level:02}" for level in range(levels)])
            columns[f"x{n}"] = words.take(pa.array(random.integers(0, levels, count), mask=gone[n]))
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=GROUP)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    _child(Path(sys.argv[1]), int(sys.argv[2]))

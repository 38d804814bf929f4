"""What libraries mutter while they work on an awkward table never reaches the user."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TALK = re.compile(r"  (discovering|collecting|profiling|cleaning|learning|judging \d+ checks|writing the release)")


def awkward(lines: list[list[str]]) -> str:
    """The tiny table with a constant, an empty column, rare categories, huge numbers, and one that is nearly empty."""
    head = "size,noise,colour,bought,constant,nothing,rare,huge,scarce\n"
    rare = [f"r{n}" if n % 40 == 0 else "x" for n in range(len(lines))]
    huge = [("1e300", "-1e300", "inf", f"{n}.5")[n % 4] for n in range(len(lines))]
    return head + "".join(f"{','.join(line)},7,,{rare[n]},{huge[n]},{n if n < 3 else ''}\n"
                          for n, line in enumerate(lines))


@pytest.fixture
def odd(project: Callable[..., Path], lines: list[list[str]]) -> Path:
    """A project with the whole ladder and the search."""
    folder = project(awkward(lines))
    path = folder / "shipworthy.toml"
    text = path.read_text().replace('search = false\nlearners = ["trivial", "linear"]\n', "")
    path.write_text(text.replace("seconds = 2", "seconds = 6"))
    return folder


def test_a_run_on_an_awkward_table_says_nothing_but_its_own_words(start: Any, odd: Path) -> None:
    child = start("run", "-p", odd)
    out, err = child.communicate()
    assert child.returncode == 0, err
    assert out.strip() == str(next(odd.glob("releases/*")))
    steps = [line for line in err.splitlines() if TALK.match(line)]
    assert "  learning" in steps and sum(line.startswith("  judging") for line in steps) == 1
    for mutter in ("Warning", "warn(", "[LightGBM]", "[I 2", "[W 2", "Traceback", "site-packages"):
        assert mutter not in err + out, err


def test_a_target_too_large_to_learn_is_no_label(
    call: Any, project: Callable[..., Path], lines: list[list[str]]
) -> None:
    rows = [f"{line[0]},{line[1]},{'1e300' if n < 5 else line[1]}\n" for n, line in enumerate(lines)]
    folder = project("size,noise,bought\n" + "".join(rows))
    path = folder / "shipworthy.toml"
    path.write_text(path.read_text().replace('positive = "yes"\n', ""))
    told = call("run", "-p", folder)
    assert told.code == 0, told.err
    assert "Warning" not in told.err

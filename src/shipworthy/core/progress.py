"""What is at work, told on stderr: a live line where somebody watches, plain lines or nothing elsewhere.

A step named "stage: detail" is a detail of its stage; plain lines tell the stages only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str], None]


@contextmanager
def progress(given: Progress | None = None, *, plain: bool = True) -> Iterator[Progress]:
    """A function that names the step at work: the one given, else a live line in a terminal or notebook.

    plain: elsewhere, one line a stage; False is nothing there.
    """
    if given is not None:
        yield given
    elif not _watched():
        yield _lines() if plain else lambda name: None
    else:
        from tqdm import tqdm

        with tqdm(total=0, bar_format="  {desc}  {elapsed}", leave=False) as bar:

            def step(name: str) -> None:
                bar.set_description_str(name[:100])
                bar.refresh()

            yield step


@contextmanager
def counted(
    total: int | None, given: Callable[[int], None] | None = None, *, start: int = 0
) -> Iterator[Callable[[int], None]]:
    """A function told how many rows more are done: the one given, else a bar in a terminal, nothing elsewhere."""
    if given is not None or not _watched():
        yield given or (lambda rows: None)
        return
    from tqdm import tqdm

    with tqdm(total=total, initial=start, unit=" rows", unit_scale=True, leave=False) as bar:
        yield lambda rows: bar.update(rows) and None


def _watched() -> bool:
    """Whether stderr is a terminal, or the page of a notebook, which is none to the system."""
    return sys.stderr.isatty() or "ipykernel" in type(sys.stderr).__module__


def _lines() -> Progress:
    """One line a stage, however many details it has."""
    before = ""

    def step(name: str) -> None:
        nonlocal before
        stage = name.partition(": ")[0]
        if stage != before:
            print(f"  {stage}", file=sys.stderr, flush=True)
        before = stage

    return step

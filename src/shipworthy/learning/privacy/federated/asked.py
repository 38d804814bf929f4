"""What a party may be asked, and how long its answer is: a sum over its rows, whose length no row decides."""

from __future__ import annotations

import msgspec

from shipworthy.errors import BadData


class Start(msgspec.Struct, frozen=True, tag="start"):
    """Own number, public keys by number, and how values are encoded: JSON of `Features`, target and its classes."""

    own: int
    publics: dict[int, bytes]
    features: bytes
    target: str
    classes: tuple[str, ...]


class Spread(msgspec.Struct, frozen=True, tag="spread"):
    """Rows by cell of a fine even grid between declared bounds: (inputs · cells + 2); then all rows and positives."""

    bounds: tuple[tuple[float, float], ...]
    cells: int


class Slope(msgspec.Struct, frozen=True, tag="slope"):
    """Gradient and curvature of the log loss at these weights: (columns + columns²).

    middle, scale: of every input; a number is centred and scaled, a level is a flag, and there is a constant.
    """

    weights: tuple[float, ...]
    middle: tuple[float, ...]
    scale: tuple[float, ...]


class Cells(msgspec.Struct, frozen=True, tag="cells"):
    """Where inputs are cut from now on; the margins begin at 0. A category has no cuts. The answer is (1): rows."""

    cuts: tuple[tuple[float, ...], ...]


class Pull(msgspec.Struct, frozen=True, tag="pull"):
    """Residuals and curvatures by cell of one input, (2 · cells), after adding a table to that of another."""

    place: int
    before: int = -1
    change: tuple[float, ...] = ()


class Grow(msgspec.Struct, frozen=True, tag="grow"):
    """Residuals and curvatures by node, input and cell, (2 · nodes · all cells).

    nodes: at this level. splits: of the level before, for every node the input and the cells that go left; an input
    below 0 is a node that stays: it is followed by two empty places.
    """

    nodes: int
    splits: tuple[tuple[int, tuple[int, ...]], ...] = ()


class Leaf(msgspec.Struct, frozen=True, tag="leaf"):
    """Add a value to the margin of the rows of every node after these splits; all are in one node again. (1): rows."""

    splits: tuple[tuple[int, tuple[int, ...]], ...]
    values: tuple[float, ...]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """There will be no more."""


Asked = Start | Spread | Slope | Cells | Pull | Grow | Leaf | Stop


def understood(request: bytes) -> Asked:
    """What a request asks. Raises BadData for bytes that ask nothing a party may be asked."""
    try:
        asked: Asked = msgspec.msgpack.decode(request, type=Asked)
    except msgspec.MsgspecError as error:
        raise BadData(f"a request cannot be understood: {error}", where="federated training",
                      hint="both ends must run the same version: compare shipworthy --version") from error
    return asked

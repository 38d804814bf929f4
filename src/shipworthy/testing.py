"""For your own tests: Hypothesis strategies of the requests that a release must answer, and of those it must refuse.

    pip install 'shipworthy[testing]'

    from hypothesis import given
    from shipworthy.testing import records

    @given(records(release.model))
    def test_my_client_can_send_whatever_is_legal(record): ...

And for a plugin's meter: whether it keeps its contract on a table of yours.

    def test_my_meter_adds_up():
        assert conform(high_value_share, table) == []
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shipworthy.core.found import Contract
from shipworthy.core.meters import conform as _conform
from shipworthy.core.meters import own_meter
from shipworthy.core.model import Model
from shipworthy.core.registry import Marked
from shipworthy.core.signature import faults as _faults
from shipworthy.core.table import Table
from shipworthy.errors import Misuse
from shipworthy.marks import MARK
from shipworthy.verification.trials.space import Field, Record, Request, space

try:
    from hypothesis import strategies
except ImportError as error:
    raise Misuse("Hypothesis is not installed", where="shipworthy.testing",
                 hint="pip install 'shipworthy[testing]'") from error

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["conform", "faults", "records"]


def records(model: Model, contract: Contract | None = None) -> SearchStrategy[Record]:
    """Legal records: levels that training had, numbers within the contract's range, times with a zone, nulls."""
    fields = space(model, contract or Contract(()))
    return strategies.fixed_dictionaries({field.name: _values(field) for field in fields})


def faults(model: Model, contract: Contract | None = None) -> SearchStrategy[Request]:
    """Records with one fault each: `fault` says which, and `field` is what an error must name."""
    fields, legal = space(model, contract or Contract(())), records(model, contract)

    def lost(field: Field, record: Record) -> Request:
        kept = {name: value for name, value in record.items() if name != field.name}
        return Request(kept, "a lost field", field.name)

    one = strategies.sampled_from(fields)
    wrong = one.flatmap(lambda field: strategies.builds(
        lambda record, value: Request({**record, field.name: value}, f"no {field.kind}", field.name),
        legal, strategies.sampled_from(field.wrong)))
    unknown = legal.map(lambda record: Request({**record, "never_declared": 1}, "a field that nobody declared",
                                               "never_declared"))
    return strategies.one_of(strategies.builds(lost, one, legal), wrong, unknown)


def conform(function: Callable[..., Any], table: Table) -> list[str]:
    """What of its contract a function marked with @meter breaks on a table; empty if it keeps it.

    Any split and any order of the rows must give the same integers, an empty table none, and the mark says how many.
    """
    facts = getattr(function, MARK, {})
    if facts.get("kind") != "meter":
        raise Misuse("this function is not marked with @meter", where="shipworthy.testing.conform",
                     hint='mark it: @meter("name", of="rows", cells=2, value=…)')
    wrong = [f"it {fault}" for fault in _faults(function, facts)]
    return wrong or _conform(own_meter(Marked(facts["name"], function, facts, function.__module__)), table)


def _values(field: Field) -> SearchStrategy[Any]:
    known: SearchStrategy[Any]
    if field.kind == "number" and field.integer:
        known = strategies.integers(int(-(-field.low // 1)), int(field.high // 1))
    elif field.kind == "number":
        known = strategies.floats(field.low, field.high, allow_nan=False)
    elif field.kind == "boolean":
        known = strategies.booleans()
    elif field.kind == "timestamp":
        known = strategies.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=strategies.just(UTC)).map(
            datetime.isoformat)
    else:
        known = strategies.sampled_from(field.levels or ("text",))
    return strategies.none() | known

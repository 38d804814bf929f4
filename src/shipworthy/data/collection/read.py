"""One door for every source: the address chooses the connector."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from shipworthy.core.registry import registry
from shipworthy.core.table import Table
from shipworthy.data import collection
from shipworthy.data.collection.folder import parts_of, stack
from shipworthy.data.collection.places import WHERE, divide, table_name
from shipworthy.data.collection.signatures import check_signed
from shipworthy.data.collection.size import bounded, in_words, largest
from shipworthy.data.collection.tidy import tidied
from shipworthy.errors import BadData
from shipworthy.marks import MARK


def read(
    address: Any, *, name: str = "", plugins: tuple[str, ...] = (), rows: int = 0, most_bytes: int = 0,
    signer: str = "", **options: Any
) -> Table:
    """A table from a file, folder, pattern, database address, or anything that speaks Arrow.

    address: "a.csv", "parts/*.parquet", "a folder", "shop.db#orders", "sqlite:///shop.db#orders",
    "postgresql://host/shop#orders", a data frame, or a dict of columns. options: those of the connector.
    rows: at most so many, drawn at random by their place; 0 is all. most_bytes: that the table may take in memory; 0 is
    a tenth of the machine's. signer: public key, in hex, that must have signed every file. Raises BadData with
    the place and a hint.
    """
    most = most_bytes or largest()
    if isinstance(address, Table):
        return replace(address, name=name or address.name)
    if not isinstance(address, str | Path):
        table = Table.of(address, name=name or "table")
        return bounded(tidied(table.data, name=table.name, origin=table.origin), rows=rows, most_bytes=most)
    address = str(address)
    if signer:
        check_signed(address, signer)
    remote = "://" in address
    place = address.partition("#")[0] if remote else divide(address)[0]
    if not remote and (any(mark in place for mark in "*?") or Path(place).is_dir()):
        parts: list[Table] = []
        for part in parts_of(place):
            parts.append(read(part, plugins=plugins, most_bytes=most, **options))
            if sum(each.data.nbytes for each in parts) > most:
                raise BadData(f"the files take more than {in_words(most)} together, a tenth of this machine's memory",
                              where=address, hint="name fewer: a pattern such as 2024-*.csv; or make one file of them")
        return bounded(stack(parts, name=name or table_name(place), origin=address), rows=rows, most_bytes=most)
    connector = connector_of(place, plugins)
    if "rows" in inspect.signature(connector).parameters:
        options = {**options, "rows": rows, "most_bytes": most}
    table = connector(address, name=name, **options)
    assert isinstance(table, Table)
    return bounded(table, rows=rows, most_bytes=most)


def connector_of(place: str, plugins: tuple[str, ...] = ()) -> Any:
    """The function that reads an address. Raises BadData when there is none."""
    lower = place.lower()
    scheme = lower.partition("://")[0] if "://" in lower else ""
    known: list[str] = []
    installed = lambda: tuple(each.function for each in registry(plugins).of("connector").values())  # noqa: E731
    for marks in (installed,) if plugins else (_own, installed):
        for function in marks():
            facts = getattr(function, MARK)
            if scheme in facts["schemes"] or (
                (not scheme or scheme == "file") and lower.endswith(facts["suffixes"] or ("\0",))
            ):
                return function
            known += [*facts["suffixes"], *(f"{each}://" for each in facts["schemes"])]
    if not Path(place).exists() and not scheme:
        raise BadData("there is no such file", where=place, hint=WHERE)
    suffix = Path(place).suffix or place
    raise BadData(f'no connector reads "{suffix}"', where=place,
                  hint=f"these are read: {', '.join(dict.fromkeys(known))}")


@cache
def _own() -> tuple[Any, ...]:
    found = []
    for info in pkgutil.iter_modules(collection.__path__):
        module = importlib.import_module(f"{collection.__name__}.{info.name}")
        found += [value for value in vars(module).values() if isinstance(getattr(value, MARK, None), dict)
                  and getattr(value, MARK)["kind"] == "connector" and value.__module__ == module.__name__]
    return tuple(found)

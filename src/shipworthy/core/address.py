"""Addresses of sources: which place and which table is meant, and what that table is called."""

from __future__ import annotations

from pathlib import Path


def divide(address: str) -> tuple[str, str]:
    """The place and the table of an address: "shop.db#orders" is ("shop.db", "orders").

    >>> divide("shop.db#orders")
    ('shop.db', 'orders')
    """
    if "#" in address and not Path(address).exists():
        place, _, table = address.rpartition("#")
        return place, table
    return address, ""


def table_name(place: str, table: str = "") -> str:
    """A short name for a table: the table itself, or the file without its suffixes.

    >>> table_name("2024/orders.csv.gz")
    'orders'
    """
    if table:
        return table
    name = Path(place).name
    while "." in name.lstrip("."):
        name = name.rpartition(".")[0]
    return name or "table"

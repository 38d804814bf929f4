"""Who is who."""

from __future__ import annotations


def same(one: str, other: str) -> bool:
    """Whether two names are of one person: equal but for case and blanks, and not empty."""
    first, second = (" ".join(name.split()).casefold() for name in (one, other))
    return bool(first) and first == second

"""Numbers with their nouns, as sentences need them."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """A number and its noun.

    >>> counted(1, "trial"), counted(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"

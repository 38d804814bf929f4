"""The first index: runs, steps, artefacts, edges, pins, releases, pointers, holdout reads and findings."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NEWEST_FIRST = ("findings", "holdout_reads", "pointers", "releases", "pins", "edges", "artefacts", "steps", "runs")


def upgrade() -> None:
    """Make the tables."""
    _make("runs", "verb status started:t ended:t? code settings by note", "started")
    _make("steps", "step key run code settings inputs outputs:j started:t ended:t? cpu_seconds:f status",
          "key run started")
    _make("artefacts", "name digest key kind path size:i at:t", "digest key at")
    _make("edges", "source target role step key at:t", "source target at")
    _make("pins", "table version:i reason at:t ended:t?", "table at")
    _make("releases", "name digest run path evidence at:t", "digest at")
    _make("pointers", "alias number:i release at:t who why evidence", "alias at")
    _make("holdout_reads", "holdout subject reader at:t", "holdout at")
    _make("findings", "run check row verdict sentence release code model data body:j at:t", "run release row at")


def downgrade() -> None:
    """Drop the tables; the records make them again."""
    for name in _NEWEST_FIRST:
        op.drop_table(name)


def _make(name: str, columns: str, lookups: str) -> None:
    """Column marks: t time, i whole number, f number, j JSON, none text; a trailing ? may be missing."""
    kinds: dict[str, sa.types.TypeEngine[Any]] = {
        "": sa.Text(),
        "t": sa.String(32),
        "i": sa.BigInteger(),
        "f": sa.Double(),
        "j": sa.JSON(),
    }
    made: list[sa.Column[Any]] = [sa.Column("id", sa.String(160), primary_key=True)]
    for column in columns.split():
        label, _, kind = column.partition(":")
        made.append(sa.Column(label, kinds[kind.rstrip("?")], nullable=kind.endswith("?")))
    op.create_table(name, *made)
    for label in lookups.split():
        op.create_index(f"ix_{name}_{label}", name, [label])

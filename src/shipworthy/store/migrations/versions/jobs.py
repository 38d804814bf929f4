"""The second index: jobs that workers take by lease, and what was told of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    words = [sa.Column(name, sa.Text(), nullable=False) for name in ("verb", "by", "state", "worker", "stopped_by")]
    counts = [sa.Column(name, sa.BigInteger(), nullable=False) for name in ("attempts", "token", "told")]
    times = [sa.Column(name, sa.String(32)) for name in ("started", "ended", "until")]
    op.create_table(
        "jobs", sa.Column("id", sa.String(160), primary_key=True), *words, *counts, *times,
        sa.Column("created", sa.String(32), nullable=False), sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False), sa.Column("key", sa.Text()),
        sa.Column("asked", sa.Text(), nullable=False))
    op.create_index("ix_jobs_state", "jobs", ["state", "created"])
    op.create_index("ix_jobs_key", "jobs", ["key"], unique=True)
    op.create_table(
        "job_events", sa.Column("job", sa.String(160), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False), sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False))


def downgrade() -> None:
    """Drop the tables; what was queued is forgotten, what was made is not."""
    op.drop_table("job_events")
    op.drop_table("jobs")

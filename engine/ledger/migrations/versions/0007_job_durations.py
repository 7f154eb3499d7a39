"""How long the last run of each job took."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; jobs fill it at their next run."""
    op.add_column("heartbeats", sa.Column("last_duration_ms", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("heartbeats", "last_duration_ms")

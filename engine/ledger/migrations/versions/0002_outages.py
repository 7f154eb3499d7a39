"""Decisions made while Redis was away, and what budgets say of a call beyond yes and no."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.ledger.types import BigInt, JsonDocument, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_FLAGS = ("fail_open", "warning_triggered", "degraded", "over_soft_budget")


def upgrade() -> None:
    """Add the columns; give `pending_events` more than one row per decision."""
    op.add_column("decisions", sa.Column("outage", sa.Text(), nullable=False, server_default=sa.text("''")))
    for flag in _FLAGS:
        op.add_column("decisions", sa.Column(flag, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("usage", sa.Column("fail_open", BigInt, nullable=False, server_default="0"))
    op.drop_index("ix_pending_events_org_id_created_at", "pending_events")
    op.rename_table("pending_events", "pending_events_0001")
    op.create_table(
        "pending_events",
        sa.Column("pending_id", BigInt, autoincrement=True, nullable=False),
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("decision_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("payload", JsonDocument, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        # Its own name: the table of 0001, still there, has the usual one.
        sa.PrimaryKeyConstraint("pending_id", name="pk_pending_events_0002"),
        sa.UniqueConstraint("decision_id", "kind", name=op.f("uq_pending_events_decision_id_kind")),
    )
    op.execute(
        "INSERT INTO pending_events (org_id, decision_id, kind, payload, created_at) "
        "SELECT org_id, decision_id, kind, payload, created_at FROM pending_events_0001 ORDER BY created_at"
    )
    op.drop_table("pending_events_0001")
    op.create_index(op.f("ix_pending_events_org_id_pending_id"), "pending_events", ["org_id", "pending_id"])


def downgrade() -> None:
    """Undo it; of several pending events of a decision the oldest stays."""
    op.drop_index(op.f("ix_pending_events_org_id_pending_id"), table_name="pending_events")
    op.rename_table("pending_events", "pending_events_0002")
    op.create_table(
        "pending_events",
        sa.Column("decision_id", sa.String(length=36), nullable=False),
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("payload", JsonDocument, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_pending_events")),
    )
    op.execute(
        "INSERT INTO pending_events (decision_id, org_id, kind, payload, created_at) "
        "SELECT decision_id, org_id, kind, payload, created_at FROM pending_events_0002 AS kept WHERE pending_id = "
        "(SELECT min(pending_id) FROM pending_events_0002 WHERE decision_id = kept.decision_id)"
    )
    op.drop_table("pending_events_0002")
    op.create_index("ix_pending_events_org_id_created_at", "pending_events", ["org_id", "created_at"])
    op.drop_column("usage", "fail_open")
    for flag in reversed(_FLAGS):
        op.drop_column("decisions", flag)
    op.drop_column("decisions", "outage")

"""Chained events in partitions, and the rollups that pages and rules read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.ledger.migrations.chained_events import chain_events, unchain_events
from engine.ledger.types import BigInt, UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_FILTERED_BY = ("agent_id", "user_id", "reason")
"""Pages of decisions with one of these are read from an index in their own order."""


def upgrade() -> None:
    """Chain the events; add the rollups."""
    chain_events()
    counted = sa.text("kind = 'denied_many'")
    op.create_index("ix_events_denied_many", "events", ["org_id", "at"], postgresql_where=counted, sqlite_where=counted)
    op.drop_index(op.f("ix_decisions_org_id_agent_id_at"), table_name="decisions")
    for column in _FILTERED_BY:
        name = op.f(f"ix_decisions_org_id_{column}_at_decision_id")
        op.create_index(name, "decisions", ["org_id", column, "at", "decision_id"])
    op.add_column("usage", sa.Column("absolute_error_micros", BigInt, nullable=False, server_default="0"))
    op.add_column("decisions", sa.Column("gate_us", sa.Integer(), nullable=True))
    op.add_column("budget_usage", sa.Column("warning_threshold", sa.Integer(), nullable=False, server_default="8000"))
    op.add_column(
        "budget_usage", sa.Column("degradation_threshold", sa.Integer(), nullable=False, server_default="9000")
    )
    op.add_column("organizations", sa.Column("backlog", BigInt, nullable=False, server_default="0"))
    op.add_column("organizations", sa.Column("backlog_since", UtcDateTime(), nullable=True))
    op.add_column("organizations", sa.Column("backlog_seen_at", UtcDateTime(), nullable=True))
    op.add_column("organizations", sa.Column("rollup_repairs", BigInt, nullable=False, server_default="0"))
    op.add_column("organizations", sa.Column("decisions_kept_from", UtcDateTime(), nullable=True))
    op.add_column("organizations", sa.Column("rollups_due_from", UtcDateTime(), nullable=True))
    # A job of the worker counts them, day by day: here it would make everybody wait.
    op.execute(
        "UPDATE organizations SET rollups_due_from = "
        "(SELECT min(at) FROM decisions WHERE decisions.org_id = organizations.org_id)"
    )
    op.create_table(
        "latencies",
        _id("org_id"),
        sa.Column("grain", sa.String(length=8), nullable=False),
        sa.Column("bucket", UtcDateTime(), nullable=False),
        sa.Column("metric", sa.String(length=32), nullable=False),
        sa.Column("bin", sa.Integer(), nullable=False),
        sa.Column("calls", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("org_id", "grain", "bucket", "metric", "bin", name=op.f("pk_latencies")),
    )
    op.create_table(
        "limits",
        _id("org_id"),
        sa.Column("bucket", UtcDateTime(), nullable=False),
        _id("rate_limit_id"),
        _id("scope"),
        sa.Column("window", sa.String(length=8), nullable=False),
        sa.Column("checks", BigInt, nullable=False),
        sa.Column("exceeded", BigInt, nullable=False),
        sa.Column("fail_open", BigInt, nullable=False),
        sa.Column("peak_permille", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "bucket", "rate_limit_id", "scope", "window", name=op.f("pk_limits")),
    )
    pressed = sa.text("peak_permille >= 500")
    op.create_index("ix_limits_pressed", "limits", ["org_id", "bucket"], postgresql_where=pressed, sqlite_where=pressed)
    op.create_table(
        "policies",
        _id("org_id"),
        sa.Column("bucket", UtcDateTime(), nullable=False),
        _id("policy_id"),
        _id("agent_id"),
        sa.Column("effect", sa.String(length=16), nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.Column("decisions", BigInt, nullable=False),
        sa.PrimaryKeyConstraint(
            "org_id", "bucket", "policy_id", "agent_id", "effect", "shadow", name=op.f("pk_policies")
        ),
    )
    op.create_table(
        "users",
        _id("org_id"),
        sa.Column("bucket", UtcDateTime(), nullable=False),
        _id("user_id"),
        _id("agent_id"),
        sa.Column("decisions", BigInt, nullable=False),
        sa.Column("denied", BigInt, nullable=False),
        sa.Column("spent_micros", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("org_id", "bucket", "user_id", "agent_id", name=op.f("pk_users")),
    )
    op.create_table(
        "crossings",
        _id("org_id"),
        _id("budget_id"),
        _id("scope"),
        sa.Column("period", sa.String(length=8), nullable=False),
        sa.Column("period_label", sa.String(length=10), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("written_at", UtcDateTime(), nullable=False),
        sa.Column("spent_micros", BigInt, nullable=False),
        sa.Column("limit_micros", BigInt, nullable=True),
        sa.Column("consumed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint(
            "org_id", "budget_id", "scope", "period", "period_label", "threshold", name=op.f("pk_crossings")
        ),
    )
    op.create_index(op.f("ix_crossings_consumed_at_written_at"), "crossings", ["consumed_at", "written_at"])


def downgrade() -> None:
    """Undo it; what the rollups hold is lost and can be counted again."""
    for table in ("crossings", "users", "policies", "limits", "latencies"):
        op.drop_table(table)
    op.drop_column("usage", "absolute_error_micros")
    op.drop_column("decisions", "gate_us")
    for column in ("warning_threshold", "degradation_threshold"):
        op.drop_column("budget_usage", column)
    for column in (
        "backlog", "backlog_since", "backlog_seen_at", "rollup_repairs", "decisions_kept_from", "rollups_due_from",
    ):  # fmt: skip
        op.drop_column("organizations", column)
    for column in reversed(_FILTERED_BY):
        op.drop_index(op.f(f"ix_decisions_org_id_{column}_at_decision_id"), table_name="decisions")
    op.create_index(op.f("ix_decisions_org_id_agent_id_at"), "decisions", ["org_id", "agent_id", "at"])
    op.drop_index("ix_events_denied_many", "events")
    unchain_events()


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=128), nullable=False)

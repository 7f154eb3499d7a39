"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.ledger.types import BigInt, JsonDocument, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.String(length=36), nullable=False),
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("rule_id", sa.String(length=128), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("dedupe_key", sa.String(length=512), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("facts", JsonDocument, nullable=False),
        sa.Column("fired_at", UtcDateTime(), nullable=False),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("dedupe_key", name=op.f("uq_alerts_dedupe_key")),
    )
    op.create_index(op.f("ix_alerts_org_id_fired_at"), "alerts", ["org_id", "fired_at"], unique=False)
    op.create_index(op.f("ix_alerts_org_id_state"), "alerts", ["org_id", "state"], unique=False)
    op.create_table(
        "budget_usage",
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("budget_id", sa.String(length=128), nullable=False),
        sa.Column("scope", sa.String(length=128), nullable=False),
        sa.Column("period", sa.String(length=8), nullable=False),
        sa.Column("period_label", sa.String(length=10), nullable=False),
        sa.Column("period_start", UtcDateTime(), nullable=False),
        sa.Column("period_end", UtcDateTime(), nullable=False),
        sa.Column("limit_micros", BigInt, nullable=True),
        sa.Column("execution_limit", BigInt, nullable=True),
        sa.Column("spent_micros", BigInt, nullable=False),
        sa.Column("held_micros", BigInt, nullable=False),
        sa.Column("executions", BigInt, nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "budget_id", "scope", "period", "period_label", name=op.f("pk_budget_usage")),
    )
    op.create_index(op.f("ix_budget_usage_org_id_period_end"), "budget_usage", ["org_id", "period_end"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.String(length=36), nullable=False),
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("team_id", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("provider", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("environment", sa.String(length=128), nullable=False),
        sa.Column("complexity", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=128), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("estimate_micros", BigInt, nullable=False),
        sa.Column("reserve_micros", BigInt, nullable=False),
        sa.Column("spent_micros", BigInt, nullable=False),
        sa.Column("actual_micros", BigInt, nullable=True),
        sa.Column("success", sa.Boolean(), nullable=True),
        sa.Column("input_tokens", BigInt, nullable=True),
        sa.Column("output_tokens", BigInt, nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("document_version", sa.Integer(), nullable=False),
        sa.Column("price_book_version", sa.String(length=64), nullable=False),
        sa.Column("prepare_us", sa.Integer(), nullable=False),
        sa.Column("tests", JsonDocument, nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_decisions")),
    )
    op.create_index(op.f("ix_decisions_org_id_agent_id_at"), "decisions", ["org_id", "agent_id", "at"], unique=False)
    op.create_index(
        op.f("ix_decisions_org_id_at_decision_id"), "decisions", ["org_id", "at", "decision_id"], unique=False
    )
    op.create_index(
        op.f("ix_decisions_org_id_state_expires_at"), "decisions", ["org_id", "state", "expires_at"], unique=False
    )
    op.create_table(
        "events",
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("seq", BigInt, nullable=False),
        sa.Column("stream_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("decision_id", sa.String(length=36), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("written_at", UtcDateTime(), nullable=False),
        sa.Column("payload", JsonDocument, nullable=False),
        sa.PrimaryKeyConstraint("org_id", "seq", name=op.f("pk_events")),
        sa.UniqueConstraint("org_id", "stream_id", name=op.f("uq_events_org_id_stream_id")),
    )
    op.create_index(op.f("ix_events_org_id_decision_id"), "events", ["org_id", "decision_id"], unique=False)
    op.create_table(
        "heartbeats",
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("last_success_at", UtcDateTime(), nullable=True),
        sa.Column("last_error_at", UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job", name=op.f("pk_heartbeats")),
    )
    op.create_table(
        "organizations",
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("cursor", sa.String(length=64), server_default="0-0", nullable=False),
        sa.Column("next_seq", BigInt, server_default="1", nullable=False),
        sa.Column("epoch", BigInt, server_default="0", nullable=False),
        sa.Column("lease_holder", sa.String(length=128), nullable=True),
        sa.Column("lease_expires_at", UtcDateTime(), nullable=True),
        sa.Column("rebuild_requested_at", UtcDateTime(), nullable=True),
        sa.Column("drained_through", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_organizations")),
    )
    op.create_table(
        "pending_events",
        sa.Column("decision_id", sa.String(length=36), nullable=False),
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("payload", JsonDocument, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_pending_events")),
    )
    op.create_index(
        op.f("ix_pending_events_org_id_created_at"), "pending_events", ["org_id", "created_at"], unique=False
    )
    op.create_table(
        "usage",
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("grain", sa.String(length=8), nullable=False),
        sa.Column("bucket", UtcDateTime(), nullable=False),
        sa.Column("team_id", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("provider", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("complexity", sa.String(length=16), nullable=False),
        sa.Column("environment", sa.String(length=128), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("decisions", BigInt, nullable=False),
        sa.Column("estimate_micros", BigInt, nullable=False),
        sa.Column("reserve_micros", BigInt, nullable=False),
        sa.Column("spent_micros", BigInt, nullable=False),
        sa.Column("settled", BigInt, nullable=False),
        sa.Column("settled_estimate_micros", BigInt, nullable=False),
        sa.Column("actual_micros", BigInt, nullable=False),
        sa.Column("failed", BigInt, nullable=False),
        sa.Column("cancelled", BigInt, nullable=False),
        sa.Column("expired", BigInt, nullable=False),
        sa.PrimaryKeyConstraint(
            "org_id",
            "grain",
            "bucket",
            "team_id",
            "agent_id",
            "provider",
            "model",
            "complexity",
            "environment",
            "outcome",
            "reason",
            name=op.f("pk_usage"),
        ),
    )
    op.create_table(
        "document_versions",
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("content", JsonDocument, nullable=False),
        sa.Column("author", sa.String(length=256), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.org_id"], name=op.f("fk_document_versions_org_id")),
        sa.PrimaryKeyConstraint("org_id", "version", name=op.f("pk_document_versions")),
    )
    op.create_table(
        "outbox",
        sa.Column("notification_id", sa.String(length=36), nullable=False),
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("alert_id", sa.String(length=36), nullable=False),
        sa.Column("channel", sa.String(length=128), nullable=False),
        sa.Column("channel_type", sa.String(length=16), nullable=False),
        sa.Column("target", sa.String(length=256), nullable=False),
        sa.Column("dedupe_key", sa.String(length=512), nullable=False),
        sa.Column("message", JsonDocument, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime(), nullable=False),
        sa.Column("lease_expires_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("delivered_at", UtcDateTime(), nullable=True),
        sa.Column("receipt", JsonDocument, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.alert_id"], name=op.f("fk_outbox_alert_id")),
        sa.PrimaryKeyConstraint("notification_id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("dedupe_key", name=op.f("uq_outbox_dedupe_key")),
    )
    op.create_index(op.f("ix_outbox_state_next_attempt_at"), "outbox", ["state", "next_attempt_at"], unique=False)


def downgrade() -> None:
    """Drop the tables."""
    op.drop_index(op.f("ix_outbox_state_next_attempt_at"), table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("document_versions")
    op.drop_table("usage")
    op.drop_index(op.f("ix_pending_events_org_id_created_at"), table_name="pending_events")
    op.drop_table("pending_events")
    op.drop_table("organizations")
    op.drop_table("heartbeats")
    op.drop_index(op.f("ix_events_org_id_decision_id"), table_name="events")
    op.drop_table("events")
    op.drop_index(op.f("ix_decisions_org_id_state_expires_at"), table_name="decisions")
    op.drop_index(op.f("ix_decisions_org_id_at_decision_id"), table_name="decisions")
    op.drop_index(op.f("ix_decisions_org_id_agent_id_at"), table_name="decisions")
    op.drop_table("decisions")
    op.drop_index(op.f("ix_budget_usage_org_id_period_end"), table_name="budget_usage")
    op.drop_table("budget_usage")
    op.drop_index(op.f("ix_alerts_org_id_state"), table_name="alerts")
    op.drop_index(op.f("ix_alerts_org_id_fired_at"), table_name="alerts")
    op.drop_table("alerts")

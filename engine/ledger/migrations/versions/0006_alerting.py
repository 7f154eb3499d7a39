"""The life of alerts, silences, how far rules were evaluated, lanes, reviews."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from engine.ledger.types import BigInt, JsonDocument, UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NEW_TABLES = ("silences", "rule_states", "late_usage", "redis_readings", "lanes", "reviews")
_ALERT_COLUMNS = (
    "alert_key", "episode", "labels", "life", "acknowledged_by", "acknowledged_at", "hidden_by", "hidden_source",
)  # fmt: skip


def upgrade() -> None:
    """Carry the alerts and messages there are over; add the tables."""
    # Not as a batch: SQLite would drop the table for it, which messages refer to.
    for column in (
        sa.Column("alert_key", sa.String(length=512), nullable=False, server_default=""),
        sa.Column("episode", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("labels", JsonDocument, nullable=False, server_default="{}"),
        sa.Column("life", JsonDocument, nullable=False, server_default="{}"),
        sa.Column("acknowledged_by", sa.String(length=256), nullable=True),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=True),
        sa.Column("hidden_by", sa.String(length=16), nullable=True),
        sa.Column("hidden_source", sa.String(length=36), nullable=True),
    ):
        op.add_column("alerts", column)
    op.add_column("crossings", sa.Column("execution_limit", BigInt, nullable=True))
    op.add_column("crossings", sa.Column("reason", sa.String(length=64), nullable=True))
    with op.batch_alter_table("outbox") as outbox:
        outbox.alter_column("alert_id", existing_type=sa.String(length=36), nullable=True)
        outbox.alter_column("target", existing_type=sa.String(length=256), type_=sa.Text(), existing_nullable=False)
        outbox.alter_column(
            "dedupe_key",
            existing_type=sa.String(length=512),
            type_=sa.String(length=768),
            existing_nullable=False,
        )
        outbox.add_column(sa.Column("action", sa.String(length=16), nullable=False, server_default="post"))
        outbox.add_column(sa.Column("first_notification_id", sa.String(length=36), nullable=True))
        outbox.add_column(sa.Column("group_key", sa.String(length=512), nullable=True))
        outbox.add_column(sa.Column("first_attempt_at", UtcDateTime(), nullable=True))
    for row in _rows("SELECT alert_id, org_id, rule_id, severity, state, dedupe_key, facts, fired_at, resolved_at "
                     "FROM alerts"):  # fmt: skip
        _carry_alert_over(row)
    # What crossed before was told by the rules of then; what still stands is found at the first look.
    op.execute("UPDATE crossings SET consumed_at = written_at")
    for row in _rows("SELECT notification_id, message FROM outbox"):
        _set("outbox", "notification_id", row["notification_id"], message=_message(row["message"]))
    op.create_index(op.f("ix_alerts_alert_key_episode"), "alerts", ["alert_key", "episode"])
    op.create_index(op.f("ix_outbox_alert_id"), "outbox", ["alert_id"])
    op.create_index(op.f("ix_outbox_org_id_created_at"), "outbox", ["org_id", "created_at"])
    unfinished = sa.text("state IN ('waiting', 'queued', 'retry', 'unknown', 'sending')")
    op.create_index(
        "ix_outbox_unfinished",
        "outbox",
        ["channel_type", "next_attempt_at"],
        postgresql_where=unfinished,
        sqlite_where=unfinished,
    )
    _add_tables()


def downgrade() -> None:
    """Undo it; what only the new tables hold is lost."""
    for table in reversed(_NEW_TABLES):
        op.drop_table(table)
    op.drop_column("crossings", "reason")
    op.drop_column("crossings", "execution_limit")
    op.drop_index("ix_outbox_unfinished", table_name="outbox")
    op.drop_index(op.f("ix_outbox_org_id_created_at"), table_name="outbox")
    op.drop_index(op.f("ix_outbox_alert_id"), table_name="outbox")
    op.drop_index(op.f("ix_alerts_alert_key_episode"), table_name="alerts")
    # The older tables cannot say that nobody was to be told, nor that it was about no alert.
    op.execute("DELETE FROM outbox WHERE alert_id IS NULL OR state IN ('waiting', 'suppressed')")
    op.execute("UPDATE outbox SET state = 'retry' WHERE state = 'unknown'")
    with op.batch_alter_table("outbox") as outbox:
        for name in ("action", "first_notification_id", "group_key", "first_attempt_at"):
            outbox.drop_column(name)
        outbox.alter_column("alert_id", existing_type=sa.String(length=36), nullable=False)
        outbox.alter_column("target", existing_type=sa.Text(), type_=sa.String(length=256), existing_nullable=False)
        outbox.alter_column(
            "dedupe_key",
            existing_type=sa.String(length=768),
            type_=sa.String(length=512),
            existing_nullable=False,
        )
    for name in _ALERT_COLUMNS:
        op.drop_column("alerts", name)
    for row in _rows("SELECT notification_id, message FROM outbox"):
        _set("outbox", "notification_id", row["notification_id"], message=_earlier_message(row["message"]))


def _add_tables() -> None:
    op.create_table(
        "silences",
        sa.Column("silence_id", sa.String(length=36), nullable=False),
        _id("org_id"),
        sa.Column("matchers", JsonDocument, nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("author", sa.String(length=256), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("ended_by", sa.String(length=256), nullable=True),
        sa.PrimaryKeyConstraint("silence_id", name=op.f("pk_silences")),
    )
    op.create_index(op.f("ix_silences_org_id_ends_at"), "silences", ["org_id", "ends_at"])
    op.create_table(
        "rule_states",
        _id("org_id"),
        _id("rule_id"),
        sa.Column("slot", UtcDateTime(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("failing_since", UtcDateTime(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("succeeded_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("org_id", "rule_id", name=op.f("pk_rule_states")),
    )
    key = ("org_id", "recorded", "bucket", "team_id", "agent_id", "provider", "model", "environment", "outcome",
           "reason")  # fmt: skip
    op.create_table(
        "late_usage",
        _id("org_id"),
        sa.Column("recorded", UtcDateTime(), nullable=False),
        sa.Column("bucket", UtcDateTime(), nullable=False),
        _id("team_id"),
        _id("agent_id"),
        _id("provider"),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("environment", sa.String(length=128), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("decisions", BigInt, nullable=False),
        sa.Column("fail_open", BigInt, nullable=False),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_late_usage")),
    )
    op.create_table(
        "redis_readings",
        sa.Column("minute", UtcDateTime(), nullable=False),
        sa.Column("evicted_keys", BigInt, nullable=False),
        sa.Column("maxmemory_policy", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("minute", name=op.f("pk_redis_readings")),
    )
    op.create_table(
        "lanes",
        sa.Column("channel_type", sa.String(length=16), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("last_started_at", UtcDateTime(), nullable=True),
        sa.Column("paused_until", UtcDateTime(), nullable=True),
        sa.Column("broken_since", UtcDateTime(), nullable=True),
        sa.Column("broken_reason", sa.Text(), nullable=True),
        sa.Column("whole_kind", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("last_delivered_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("channel_type", "target", name=op.f("pk_lanes")),
    )
    op.create_table(
        "reviews",
        _id("org_id"),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("period_label", sa.String(length=10), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("content", JsonDocument, nullable=False),
        sa.PrimaryKeyConstraint("org_id", "kind", "period_label", name=op.f("pk_reviews")),
    )


def _carry_alert_over(row: dict[str, Any]) -> None:
    """Alerts were only about the use of budgets, and told nobody more than once."""
    facts = row["facts"]
    episode = row["dedupe_key"].rpartition("|")[2]
    key = "|".join(
        (row["org_id"], row["rule_id"], facts["period_label"], facts["budget_id"], facts["scope"], facts["period"])
    )
    labels = {
        "rule": row["rule_id"], "severity": row["severity"], "budget": facts["budget_id"], "per": facts["per"],
        "scope": facts["scope"], "period": facts["period"],
    }  # fmt: skip
    if facts["per"] != "org":
        labels[facts["per"]] = facts["scope"]
    over = row["state"] == "resolved"
    fired_at, resolved_at = _instant(row["fired_at"]), _instant(row["resolved_at"]) if over else None
    life = {
        "state": row["state"],
        "since": resolved_at or fired_at,
        "episode": int(episode),
        "severity": row["severity"],
        "fired_at": fired_at,
        "resolved_at": resolved_at,
        "ending": facts.get("resolution"),
        "told_severity": row["severity"],
        "told_at": fired_at,
        "effects": 1,
    }
    if row["state"] == "superseded":
        # Nobody was told of it, and nothing happens to it any more but its end.
        life = {}
    _set("alerts", "alert_id", row["alert_id"], alert_key=key, episode=int(episode),
         dedupe_key=f"{key}|{episode}", labels=labels, life=life)  # fmt: skip


def _message(stored: dict[str, Any]) -> dict[str, Any]:
    """Messages were ready sentences; they are facts now, and sentences are some of them."""
    return {
        "severity": stored["severity"],
        "title": stored["title"],
        "alert_id": "",
        "value": "",
        "limit": "",
        "cost_of_inaction": "",
        "since": None,
        "zone": "UTC",
        "callers": [],
        "details": stored["lines"],
        "page_link": stored["link"],
        "data_link": "",
        "runbook_link": "",
        "mention": stored["mention"],
        "acknowledged_by": "",
        "resolved": None,
        "possible_repeat": stored["repeat"],
    }


def _earlier_message(stored: dict[str, Any]) -> dict[str, Any]:
    """The ready sentences again."""
    lines, link = stored["details"], stored["page_link"]
    return {
        "severity": stored["severity"],
        "title": stored["title"],
        "lines": lines,
        "link": link,
        "mention": stored["mention"],
        "repeat": stored["possible_repeat"],
        "text": "\n".join((stored["title"], *lines, link)),
    }


def _rows(query: str) -> Iterator[dict[str, Any]]:
    for row in op.get_bind().execute(sa.text(query)).mappings().all():
        found = dict(row)
        for name in ("facts", "message"):
            if isinstance(found.get(name), str):
                found[name] = json.loads(found[name])
        yield found


def _instant(stored: Any) -> str | None:
    if stored is None:
        return None
    # SQLite gives UTC as text without a zone, where PostgreSQL gives a time.
    return f"{stored.replace(' ', 'T')}+00:00" if isinstance(stored, str) else str(stored.isoformat())


def _set(table_name: str, key: str, value: str, **values: Any) -> None:
    types = dict.fromkeys(("labels", "life", "message"), JsonDocument)
    table = sa.table(table_name, sa.column(key), *(sa.column(name, types.get(name)) for name in values))
    op.execute(sa.update(table).where(table.c[key] == value).values(**values))


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=128), nullable=False)

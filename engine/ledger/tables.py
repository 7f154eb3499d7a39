"""The ledger's tables. Money is integer micro-dollars (`*_micros`), instants are UTC.

The migrations in `migrations/versions` create exactly these; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from engine.ledger.types import BigInt, JsonDocument, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = String(128)

organizations = Table(
    "organizations",
    metadata,
    Column("org_id", Id, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    # The event stream is in SQL up to here; moved by compare-and-set, in the transaction that stores the events.
    Column("cursor", String(64), nullable=False, server_default="0-0"),
    Column("next_seq", BigInt, nullable=False, server_default="1"),
    # Number of the newest state installed in Redis.
    Column("epoch", BigInt, nullable=False, server_default="0"),
    Column("lease_holder", String(128)),
    Column("lease_expires_at", UtcDateTime),
    Column("rebuild_requested_at", UtcDateTime),
    # Hash of the newest event; 32 zero bytes before the first.
    Column("chain_hash", LargeBinary(32)),
    # Every event recorded before this instant is in SQL.
    Column("drained_through", UtcDateTime),
    # How many events waited in the stream when the writer last looked, and when the oldest of them was recorded.
    Column("backlog", BigInt, nullable=False, server_default="0"),
    Column("backlog_since", UtcDateTime),
    Column("backlog_seen_at", UtcDateTime),
    # How often rollups were mended; moved by compare-and-set, so that two who mend do not do it twice.
    Column("rollup_repairs", BigInt, nullable=False, server_default="0"),
    # Retention has dropped what rollups of before this instant were counted from: they are all that is left.
    Column("decisions_kept_from", UtcDateTime),
    # Rollups of this instant's day and later ones are still to be counted from decisions of an older Bursar.
    Column("rollups_due_from", UtcDateTime),
    # How many entries the audit log has, and the hash of the newest; NULL before the first.
    Column("audit_entries", BigInt, nullable=False, server_default="0"),
    Column("audit_hash", LargeBinary(32)),
)

# Immutable: triggers, made by a migration, refuse UPDATE and DELETE.
document_versions = Table(
    "document_versions",
    metadata,
    Column("org_id", Id, ForeignKey("organizations.org_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("content", JsonDocument, nullable=False),
    Column("author", String(256), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # The file as it was applied, comments and all; NULL when the content did not come from one.
    Column("source_text", Text),
    PrimaryKeyConstraint("org_id", "version"),
)

_DENIED_MANY = text("kind = 'denied_many'")

events = Table(
    "events",
    metadata,
    Column("org_id", Id, nullable=False),
    Column("seq", BigInt, nullable=False),
    Column("stream_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("decision_id", String(36), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("written_at", UtcDateTime, nullable=False),
    Column("payload", JsonDocument, nullable=False),
    # SHA-256 over the event before it and this one.
    Column("hash", LargeBinary(32), nullable=False),
    # PostgreSQL partitions by written_at, and wants it in every unique key there; numbers and stream ids are unique
    # without it by the cursor's compare-and-set.
    PrimaryKeyConstraint("org_id", "seq", "written_at"),
    Index(None, "org_id", "decision_id"),
    Index("ix_events_denied_many", "org_id", "at", postgresql_where=_DENIED_MANY, sqlite_where=_DENIED_MANY),
    postgresql_partition_by="RANGE (written_at)",
)

# One row for each organization and month of `written_at`: where its chain begins and ends. Kept when the events go.
event_partitions = Table(
    "event_partitions",
    metadata,
    Column("org_id", Id, ForeignKey("organizations.org_id"), nullable=False),
    Column("partition", String(7), nullable=False),
    Column("first_seq", BigInt, nullable=False),
    Column("last_seq", BigInt, nullable=False),
    Column("previous_hash", LargeBinary(32), nullable=False),
    Column("last_hash", LargeBinary(32), nullable=False),
    Column("last_written_at", UtcDateTime, nullable=False),
    Column("dropped_at", UtcDateTime),
    PrimaryKeyConstraint("org_id", "partition"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", String(36), primary_key=True),
    Column("org_id", Id, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("agent_id", Id, nullable=False),
    Column("team_id", Id, nullable=False),
    Column("user_id", Id, nullable=False),
    Column("provider", Id, nullable=False),
    Column("model", String(128), nullable=False),
    Column("environment", String(128), nullable=False),
    Column("complexity", String(16), nullable=False),
    Column("action", String(128), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("estimate_micros", BigInt, nullable=False),
    Column("reserve_micros", BigInt, nullable=False),
    # What the budgets carry for this call: 0 while open, then the actual cost, or the reserve when it expired.
    Column("spent_micros", BigInt, nullable=False),
    Column("actual_micros", BigInt),
    Column("success", Boolean),
    # As settled, or as asked while nothing else is known. Cached tokens are counted apart from input tokens.
    Column("input_tokens", BigInt),
    Column("output_tokens", BigInt),
    Column("cached_input_tokens", BigInt),
    Column("cache_write_tokens", BigInt),
    # Millionths of a Copilot Credit.
    Column("microcredits", BigInt),
    # priced, backdated, assumed or given, and the tokens and credits that the estimate was made from.
    Column("estimate_basis", String(16), nullable=False, server_default="priced"),
    Column("estimated_usage", JsonDocument),
    Column("expires_at", UtcDateTime),
    Column("closed_at", UtcDateTime),
    Column("document_version", Integer, nullable=False),
    Column("price_book_version", String(64), nullable=False),
    Column("prepare_us", Integer, nullable=False),
    # How long the caller waited for the gate, as far as its settle told.
    Column("gate_us", Integer),
    # Why the gate did not decide; empty when it did.
    Column("outage", Text, nullable=False, server_default=text("''")),
    # Allowed although Redis was away.
    Column("fail_open", Boolean, nullable=False, server_default=false()),
    # A budget had reached its warning or degradation threshold, or a soft budget was passed.
    Column("warning_triggered", Boolean, nullable=False, server_default=false()),
    Column("degraded", Boolean, nullable=False, server_default=false()),
    Column("over_soft_budget", Boolean, nullable=False, server_default=false()),
    # The counters and rate scopes tested, with what they held at that moment, and the policies that matched.
    Column("tests", JsonDocument, nullable=False),
    Index(None, "org_id", "at", "decision_id"),
    # With the whole key that pages are ordered by: SQLite would rather read everything in that order than sort.
    Index(None, "org_id", "agent_id", "at", "decision_id"),
    Index(None, "org_id", "state", "expires_at"),
    Index(None, "org_id", "closed_at"),
    Index(None, "org_id", "user_id", "at", "decision_id"),
    Index(None, "org_id", "reason", "at", "decision_id"),
)

usage = Table(
    "usage",
    metadata,
    Column("org_id", Id, nullable=False),
    Column("grain", String(8), nullable=False),
    Column("bucket", UtcDateTime, nullable=False),
    Column("team_id", Id, nullable=False),
    Column("agent_id", Id, nullable=False),
    Column("provider", Id, nullable=False),
    Column("model", String(128), nullable=False),
    Column("complexity", String(16), nullable=False),
    Column("environment", String(128), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("decisions", BigInt, nullable=False),
    Column("estimate_micros", BigInt, nullable=False),
    Column("reserve_micros", BigInt, nullable=False),
    Column("spent_micros", BigInt, nullable=False),
    Column("settled", BigInt, nullable=False),
    Column("settled_estimate_micros", BigInt, nullable=False),
    Column("actual_micros", BigInt, nullable=False),
    Column("failed", BigInt, nullable=False),
    Column("cancelled", BigInt, nullable=False),
    Column("expired", BigInt, nullable=False),
    Column("fail_open", BigInt, nullable=False, server_default="0"),
    # Sum of |actual - estimate| over settled calls.
    Column("absolute_error_micros", BigInt, nullable=False, server_default="0"),
    PrimaryKeyConstraint(
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
    ),
)

# How long decisions took: calls by metric (prepare_us, gate_us, check_us) and bin of `engine.ledger.histogram`.
latencies = Table(
    "latencies",
    metadata,
    Column("org_id", Id, nullable=False),
    Column("grain", String(8), nullable=False),
    Column("bucket", UtcDateTime, nullable=False),
    Column("metric", String(32), nullable=False),
    Column("bin", Integer, nullable=False),
    Column("calls", BigInt, nullable=False),
    PrimaryKeyConstraint("org_id", "grain", "bucket", "metric", "bin"),
)

PRESSED_PERMILLE = 500
"""From here on a rate scope is worth a look: users are many, and most never come to half of their limit."""
_PRESSED = text(f"peak_permille >= {PRESSED_PERMILLE}")

# Rate scopes by hour: calls tested, calls that this window denied, calls let pass without Redis, and the fullest the
# window was, in thousandths of the limit and with the call itself counted when it was allowed.
limits = Table(
    "limits",
    metadata,
    Column("org_id", Id, nullable=False),
    Column("bucket", UtcDateTime, nullable=False),
    Column("rate_limit_id", Id, nullable=False),
    Column("scope", Id, nullable=False),
    Column("window", String(8), nullable=False),
    Column("checks", BigInt, nullable=False),
    Column("exceeded", BigInt, nullable=False),
    Column("fail_open", BigInt, nullable=False),
    Column("peak_permille", Integer, nullable=False),
    PrimaryKeyConstraint("org_id", "bucket", "rate_limit_id", "scope", "window"),
    Index("ix_limits_pressed", "org_id", "bucket", postgresql_where=_PRESSED, sqlite_where=_PRESSED),
)

# Policies that applied, by hour, agent and the effect that came of it.
policies = Table(
    "policies",
    metadata,
    Column("org_id", Id, nullable=False),
    Column("bucket", UtcDateTime, nullable=False),
    Column("policy_id", Id, nullable=False),
    Column("agent_id", Id, nullable=False),
    Column("effect", String(16), nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("decisions", BigInt, nullable=False),
    PrimaryKeyConstraint("org_id", "bucket", "policy_id", "agent_id", "effect", "shadow"),
)

# Users by UTC day and agent.
users = Table(
    "users",
    metadata,
    Column("org_id", Id, nullable=False),
    Column("bucket", UtcDateTime, nullable=False),
    Column("user_id", Id, nullable=False),
    Column("agent_id", Id, nullable=False),
    Column("decisions", BigInt, nullable=False),
    Column("denied", BigInt, nullable=False),
    Column("spent_micros", BigInt, nullable=False),
    PrimaryKeyConstraint("org_id", "bucket", "user_id", "agent_id"),
)

# A budget counter passed a threshold upward, or denied its first call of the period: once each, with the ledger commit.
crossings = Table(
    "crossings",
    metadata,
    Column("org_id", Id, nullable=False),
    Column("budget_id", Id, nullable=False),
    Column("scope", Id, nullable=False),
    Column("period", String(8), nullable=False),
    Column("period_label", String(10), nullable=False),
    # Basis points of the limit that `spent` reached (8000 is 80 %), or 0 for the first call that was denied.
    Column("threshold", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("written_at", UtcDateTime, nullable=False),
    Column("spent_micros", BigInt, nullable=False),
    Column("limit_micros", BigInt),
    # Of a denial: the limit on executions at that time, and the reason that the caller was given.
    Column("execution_limit", BigInt),
    Column("reason", String(64)),
    Column("consumed_at", UtcDateTime),
    PrimaryKeyConstraint("org_id", "budget_id", "scope", "period", "period_label", "threshold"),
    Index(None, "consumed_at", "written_at"),
)

budget_usage = Table(
    "budget_usage",
    metadata,
    Column("org_id", Id, nullable=False),
    Column("budget_id", Id, nullable=False),
    Column("scope", Id, nullable=False),
    Column("period", String(8), nullable=False),
    Column("period_label", String(10), nullable=False),
    Column("period_start", UtcDateTime, nullable=False),
    Column("period_end", UtcDateTime, nullable=False),
    Column("limit_micros", BigInt),
    Column("execution_limit", BigInt),
    # Basis points of the limit.
    Column("warning_threshold", Integer, nullable=False, server_default="8000"),
    Column("degradation_threshold", Integer, nullable=False, server_default="9000"),
    Column("spent_micros", BigInt, nullable=False),
    Column("held_micros", BigInt, nullable=False),
    Column("executions", BigInt, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("org_id", "budget_id", "scope", "period", "period_label"),
    Index(None, "org_id", "period_end"),
)

# One row for each episode of an alert, from the first breach on. `life` is the whole of it (engine/alerting/alert.py);
# the columns beside it are what is searched and shown.
alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", String(36), primary_key=True),
    Column("org_id", Id, nullable=False),
    Column("rule_id", Id, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    # What it is about, whatever the episode: organization, rule, group; of a latched one the counter and its period.
    Column("alert_key", String(512), nullable=False, server_default=text("''")),
    Column("episode", Integer, nullable=False, server_default="1"),
    # `alert_key|episode`.
    Column("dedupe_key", String(512), nullable=False, unique=True),
    Column("title", Text, nullable=False),
    # What silences and routes look at: rule, severity, team, agent, provider, budget and the like.
    Column("labels", JsonDocument, nullable=False, server_default="{}"),
    Column("facts", JsonDocument, nullable=False),
    Column("life", JsonDocument, nullable=False, server_default="{}"),
    Column("fired_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Column("acknowledged_by", String(256)),
    Column("acknowledged_at", UtcDateTime),
    # silenced | inhibited, and the id of the silence or of the alert that hides it.
    Column("hidden_by", String(16)),
    Column("hidden_source", String(36)),
    Index(None, "org_id", "fired_at"),
    Index(None, "org_id", "state"),
    Index(None, "alert_key", "episode"),
)

silences = Table(
    "silences",
    metadata,
    Column("silence_id", String(36), primary_key=True),
    Column("org_id", Id, nullable=False),
    # [{"label": ..., "comparison": "=" | "!=", "value": ...}], all of which must fit.
    Column("matchers", JsonDocument, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("author", String(256), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # Ended by hand: `ends_at` is then the moment it was.
    Column("ended_by", String(256)),
    Index(None, "org_id", "ends_at"),
)

# How far each rule was evaluated: who moves `slot` on evaluates it, in the same transaction.
rule_states = Table(
    "rule_states",
    metadata,
    Column("org_id", Id, nullable=False),
    Column("rule_id", Id, nullable=False),
    Column("slot", UtcDateTime),
    # In a row, up to now.
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("failing_since", UtcDateTime),
    Column("error", Text),
    Column("succeeded_at", UtcDateTime),
    PrimaryKeyConstraint("org_id", "rule_id"),
)

# Calls that the ledger heard of after rules had been evaluated past their time: added to the rollups by the minute
# of the call like all others, and here by the minute of recording, so that rules count them too.
late_usage = Table(
    "late_usage",
    metadata,
    Column("org_id", Id, nullable=False),
    Column("recorded", UtcDateTime, nullable=False),
    Column("bucket", UtcDateTime, nullable=False),
    Column("team_id", Id, nullable=False),
    Column("agent_id", Id, nullable=False),
    Column("provider", Id, nullable=False),
    Column("model", String(128), nullable=False),
    Column("environment", String(128), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("decisions", BigInt, nullable=False),
    Column("fail_open", BigInt, nullable=False),
    PrimaryKeyConstraint(
        "org_id", "recorded", "bucket", "team_id", "agent_id", "provider", "model", "environment", "outcome", "reason"
    ),
)

# What Redis said of itself, by the minute; old ones are removed.
redis_readings = Table(
    "redis_readings",
    metadata,
    Column("minute", UtcDateTime, primary_key=True),
    Column("evicted_keys", BigInt, nullable=False),
    Column("maxmemory_policy", String(32), nullable=False),
)

# What the sender looks at: a small part of the table.
OUTBOX_UNFINISHED = text("state IN ('waiting', 'queued', 'retry', 'unknown', 'sending')")

outbox = Table(
    "outbox",
    metadata,
    Column("notification_id", String(36), primary_key=True),
    Column("org_id", Id, nullable=False),
    # Reviews, tests and news of the rules themselves are about no alert.
    Column("alert_id", String(36), ForeignKey("alerts.alert_id")),
    Column("channel", String(128), nullable=False),
    Column("channel_type", String(16), nullable=False),
    Column("target", Text, nullable=False),
    Column("dedupe_key", String(768), nullable=False, unique=True),
    # post | reply | broadcast | edit (engine/alerting/action.py); all but post are about the first notification.
    Column("action", String(16), nullable=False, server_default="post"),
    Column("first_notification_id", String(36)),
    Column("message", JsonDocument, nullable=False),
    # waiting -> queued -> sending -> delivered | retry | unknown | dead; or suppressed from the first, with the reason.
    Column("state", String(16), nullable=False),
    # While waiting: with the others of its rule, channel and organization. Null: it waits for nobody.
    Column("group_key", String(512)),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("lease_expires_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    # From here on a day of failures counts.
    Column("first_attempt_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("receipt", JsonDocument),
    # Why it failed, is dead or suppressed.
    Column("error", Text),
    Index(None, "state", "next_attempt_at"),
    Index(None, "alert_id"),
    Index(None, "org_id", "created_at"),
    Index(
        "ix_outbox_unfinished",
        "channel_type",
        "next_attempt_at",
        postgresql_where=OUTBOX_UNFINISHED,
        sqlite_where=OUTBOX_UNFINISHED,
    ),
)

# One place that notifications go to: when it took the last, the pause that it asked for, whether it is broken.
lanes = Table(
    "lanes",
    metadata,
    Column("channel_type", String(16), nullable=False),
    Column("target", Text, nullable=False),
    Column("last_started_at", UtcDateTime),
    Column("paused_until", UtcDateTime),
    # Nothing is sent there until somebody has mended it: messages take the fallback.
    Column("broken_since", UtcDateTime),
    Column("broken_reason", Text),
    # It is not this place but what all of its channel type share: the token, the server.
    Column("whole_kind", Boolean, nullable=False, server_default=false()),
    Column("last_delivered_at", UtcDateTime),
    PrimaryKeyConstraint("channel_type", "target"),
)

# Daily, weekly and monthly reviews and recommended budgets: what was true when they were made.
reviews = Table(
    "reviews",
    metadata,
    Column("org_id", Id, nullable=False),
    # daily | weekly | monthly
    Column("kind", String(16), nullable=False),
    # The local day, the ISO week or the month that is looked back on: 2026-11-25, 2026-W47, 2026-11.
    Column("period_label", String(10), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("content", JsonDocument, nullable=False),
    PrimaryKeyConstraint("org_id", "kind", "period_label"),
)

# What Redis could not take at its time: decisions, settles and cancels made while it was away, settles whose hold it
# has forgotten. The ledger writer folds them in, oldest first.
pending_events = Table(
    "pending_events",
    metadata,
    Column("pending_id", BigInt, primary_key=True, autoincrement=True),
    Column("org_id", Id, nullable=False),
    Column("decision_id", String(36), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("payload", JsonDocument, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # Why it cannot be folded in; such a row is kept for people and passed over.
    Column("problem", Text),
    UniqueConstraint("decision_id", "kind"),
    Index(None, "org_id", "pending_id"),
)

# Immutable, as document versions are. An organization without a row is priced by the book that Bursar ships.
price_book_versions = Table(
    "price_book_versions",
    metadata,
    Column("org_id", Id, ForeignKey("organizations.org_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("content", JsonDocument, nullable=False),
    # set, import, promote or rollback.
    Column("action", String(16), nullable=False),
    Column("author", String(256), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("org_id", "version"),
)

# One segment's calls of one UTC day, estimate against actual. Counted anew by a job while late settles arrive.
cost_variance = Table(
    "cost_variance",
    metadata,
    Column("org_id", Id, nullable=False),
    Column("day", Date, nullable=False),
    Column("provider", Id, nullable=False),
    Column("model", String(128), nullable=False),
    Column("complexity", String(16), nullable=False),
    Column("agent_id", Id, nullable=False),
    # Allowed and not cancelled; of these the settled ones, whose sums follow.
    Column("calls", BigInt, nullable=False),
    Column("settled", BigInt, nullable=False),
    Column("calls_estimate_micros", BigInt, nullable=False),
    Column("estimate_micros", BigInt, nullable=False),
    Column("actual_micros", BigInt, nullable=False),
    Column("absolute_error_micros", BigInt, nullable=False),
    # Square US dollars.
    Column("estimate_squares", Float, nullable=False),
    Column("actual_squares", Float, nullable=False),
    Column("products", Float, nullable=False),
    # Calls by actual / estimate in whole percents, rounded up.
    Column("ratio_percents", JsonDocument, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("org_id", "day", "provider", "model", "complexity", "agent_id"),
)

# Proposed corrections of the price book, with the backtest that speaks for or against them.
calibrations = Table(
    "calibrations",
    metadata,
    Column("org_id", Id, ForeignKey("organizations.org_id"), nullable=False),
    Column("calibration", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("author", String(256), nullable=False),
    Column("reason", Text, nullable=False),
    # The price-book version it was compared with: 0 is the book that Bursar ships.
    Column("champion", Integer, nullable=False),
    Column("window_start", Date, nullable=False),
    Column("holdout_start", Date, nullable=False),
    Column("window_end", Date, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("content", JsonDocument, nullable=False),
    # proposed, promoted or rejected.
    Column("state", String(16), nullable=False),
    # The UTC day of a scheduled one, so that several workers make one; NULL when a person asked.
    Column("slot", Date),
    PrimaryKeyConstraint("org_id", "calibration"),
    UniqueConstraint("org_id", "slot"),
)

# What providers billed, by agent and UTC day. The same file again changes nothing, a corrected one replaces.
billed_costs = Table(
    "billed_costs",
    metadata,
    Column("org_id", Id, ForeignKey("organizations.org_id"), nullable=False),
    # Whose bill: files of one source replace each other's days.
    Column("source", Id, nullable=False),
    Column("agent_id", Id, nullable=False),
    Column("day", Date, nullable=False),
    # Negative when a bill takes more back than it charges.
    Column("billed_micros", BigInt, nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("org_id", "source", "agent_id", "day"),
    Index(None, "org_id", "day"),
)

# Who changed what, and why. Rows are only ever added.
audit_log = Table(
    "audit_log",
    metadata,
    Column("org_id", Id, ForeignKey("organizations.org_id"), nullable=False),
    Column("entry", BigInt, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("author", String(256), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", JsonDocument, nullable=False),
    # SHA-256 over the entry before it and this one. Every entry has one; one without was not written by Bursar.
    Column("hash", LargeBinary(32)),
    PrimaryKeyConstraint("org_id", "entry"),
    Index(None, "org_id", "at"),
)

# Keys that data keys are wrapped by: their names and ages. The keys themselves are with their provider.
vault_keys = Table(
    "vault_keys",
    metadata,
    Column("key_id", Id, primary_key=True),
    Column("provider", String(32), nullable=False),
    # When it was made, or first used where its provider does not know.
    Column("made_at", UtcDateTime, nullable=False),
    # Taken away from its provider: nothing may be wrapped by it any more.
    Column("forgotten_at", UtcDateTime),
)

# What agents are called with, encrypted: a data key of its own for each, wrapped by a key that is not in here.
credentials = Table(
    "credentials",
    metadata,
    Column("org_id", Id, ForeignKey("organizations.org_id"), nullable=False),
    Column("credential_id", String(36), nullable=False),
    Column("agent_id", Id, nullable=False),
    Column("name", Id, nullable=False),
    Column("kind", String(16), nullable=False),
    # Rises with every new secret.
    Column("version", Integer, nullable=False),
    Column("key_id", Id, ForeignKey("vault_keys.key_id"), nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # When the secret was given, and when its data key was last wrapped.
    Column("secret_at", UtcDateTime, nullable=False),
    Column("wrapped_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("org_id", "credential_id"),
    UniqueConstraint("org_id", "agent_id", "name"),
    Index(None, "key_id"),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("job", String(64), primary_key=True),
    Column("last_success_at", UtcDateTime),
    Column("last_error_at", UtcDateTime),
    Column("last_error", Text),
    # Of the run that last succeeded; NULL for a job that never ends, such as the ledger writer.
    Column("last_duration_ms", Integer),
)

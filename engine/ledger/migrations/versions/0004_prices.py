"""Price-book versions, estimate against actual, billed costs, and the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.ledger.types import BigInt, JsonDocument, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ONLY_ADDED = {"price_book_versions": "version", "audit_log": "entry"}
_COUNTS = ("cached_input_tokens", "cache_write_tokens", "microcredits")


def upgrade() -> None:
    """Add the tables and columns; versions and audit rows refuse to be changed."""
    for name in _COUNTS:
        op.add_column("decisions", sa.Column(name, BigInt, nullable=True))
    op.add_column(
        "decisions", sa.Column("estimate_basis", sa.String(length=16), nullable=False, server_default="priced")
    )
    op.add_column("decisions", sa.Column("estimated_usage", JsonDocument, nullable=True))
    # Until now the buffer was 20 % always, and only a caller's own estimate was held without one.
    op.execute(
        "UPDATE decisions SET estimate_basis = 'given' WHERE reserve_micros = estimate_micros AND estimate_micros > 4"
    )
    op.create_index(op.f("ix_decisions_org_id_closed_at"), "decisions", ["org_id", "closed_at"])
    op.create_table(
        "price_book_versions",
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("content", JsonDocument, nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("author", sa.String(length=256), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        _of_organization("price_book_versions"),
        sa.PrimaryKeyConstraint("org_id", "version", name=op.f("pk_price_book_versions")),
    )
    op.create_table(
        "cost_variance",
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("provider", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("complexity", sa.String(length=16), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("calls", BigInt, nullable=False),
        sa.Column("settled", BigInt, nullable=False),
        sa.Column("calls_estimate_micros", BigInt, nullable=False),
        sa.Column("estimate_micros", BigInt, nullable=False),
        sa.Column("actual_micros", BigInt, nullable=False),
        sa.Column("absolute_error_micros", BigInt, nullable=False),
        sa.Column("estimate_squares", sa.Float(), nullable=False),
        sa.Column("actual_squares", sa.Float(), nullable=False),
        sa.Column("products", sa.Float(), nullable=False),
        sa.Column("ratio_percents", JsonDocument, nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "org_id", "day", "provider", "model", "complexity", "agent_id", name=op.f("pk_cost_variance")
        ),
    )
    op.create_table(
        "calibrations",
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("calibration", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("author", sa.String(length=256), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("champion", sa.Integer(), nullable=False),
        sa.Column("window_start", sa.Date(), nullable=False),
        sa.Column("holdout_start", sa.Date(), nullable=False),
        sa.Column("window_end", sa.Date(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("content", JsonDocument, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("slot", sa.Date(), nullable=True),
        _of_organization("calibrations"),
        sa.PrimaryKeyConstraint("org_id", "calibration", name=op.f("pk_calibrations")),
        sa.UniqueConstraint("org_id", "slot", name=op.f("uq_calibrations_org_id_slot")),
    )
    op.create_table(
        "billed_costs",
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("billed_micros", BigInt, nullable=False),
        sa.Column("imported_at", UtcDateTime(), nullable=False),
        _of_organization("billed_costs"),
        sa.PrimaryKeyConstraint("org_id", "source", "agent_id", "day", name=op.f("pk_billed_costs")),
    )
    op.create_index(op.f("ix_billed_costs_org_id_day"), "billed_costs", ["org_id", "day"])
    op.create_table(
        "audit_log",
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("entry", BigInt, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("author", sa.String(length=256), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("details", JsonDocument, nullable=False),
        _of_organization("audit_log"),
        sa.PrimaryKeyConstraint("org_id", "entry", name=op.f("pk_audit_log")),
    )
    op.create_index(op.f("ix_audit_log_org_id_at"), "audit_log", ["org_id", "at"])
    for table, number in _ONLY_ADDED.items():
        for statement in (_postgres if _on_postgres() else _sqlite)(table, number):
            op.execute(statement)


def downgrade() -> None:
    """Undo it; what the tables hold is lost."""
    for table in _ONLY_ADDED:
        op.drop_table(table)
        if _on_postgres():
            op.execute(f"DROP FUNCTION refuse_{table}_change()")
    for table in ("billed_costs", "calibrations", "cost_variance"):
        op.drop_table(table)
    op.drop_index(op.f("ix_decisions_org_id_closed_at"), table_name="decisions")
    for name in ("estimated_usage", "estimate_basis", *reversed(_COUNTS)):
        op.drop_column("decisions", name)


def _of_organization(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["org_id"], ["organizations.org_id"], name=op.f(f"fk_{table}_org_id"))


def _sqlite(table: str, number: str) -> tuple[str, ...]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{_refusal(table)}'); END"
    return (
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        # REPLACE INTO deletes without telling a DELETE trigger, so a number that is taken is refused before that.
        f"""
        CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}
        WHEN EXISTS (SELECT 1 FROM {table} WHERE org_id = NEW.org_id AND {number} = NEW.{number}) {refuse}
        """,  # noqa: S608 - fixed text
    )


def _postgres(table: str, number: str) -> tuple[str, ...]:
    del number
    return (
        f"""
        CREATE FUNCTION refuse_{table}_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '{_refusal(table)}' USING ERRCODE = 'restrict_violation'; END $$
        """,
        f"""
        CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION refuse_{table}_change()
        """,
        f"""
        CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_{table}_change()
        """,
    )


def _refusal(table: str) -> str:
    return f"rows of {table} are never changed: add a new one instead"


def _on_postgres() -> bool:
    return op.get_bind().dialect.name == "postgresql"

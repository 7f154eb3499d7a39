"""Credentials, the names of their keys, and a hash chain over the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.ledger.audit_chain import entry_hash
from engine.ledger.chain import BEFORE_THE_FIRST
from engine.ledger.types import BigInt, JsonDocument, UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_REFUSAL = "rows of audit_log are never changed: add a new one instead"
_NO_UPDATE = f"""
    CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END
"""
_WITHOUT_HASH = "an audit entry needs its hash: this database was upgraded, start the newer Bursar"
# A process of before would write entries that are in no chain, and take the numbers of those that are.
_SQLITE_NEEDS_HASH = f"""
    CREATE TRIGGER audit_log_needs_hash BEFORE INSERT ON audit_log WHEN NEW.hash IS NULL
    BEGIN SELECT RAISE(ABORT, '{_WITHOUT_HASH}'); END
"""
_POSTGRES_NEEDS_HASH = (
    f"""
    CREATE FUNCTION refuse_audit_log_without_hash() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '{_WITHOUT_HASH}' USING ERRCODE = 'restrict_violation'; END $$
    """,
    """
    CREATE TRIGGER audit_log_needs_hash BEFORE INSERT ON audit_log FOR EACH ROW WHEN (NEW.hash IS NULL)
    EXECUTE FUNCTION refuse_audit_log_without_hash()
    """,
)
_entries = sa.table(
    "audit_log",
    *(sa.column(name) for name in ("org_id", "author", "action", "subject", "reason")),
    sa.column("entry", BigInt),
    sa.column("at", UtcDateTime()),
    sa.column("details", JsonDocument),
    sa.column("hash", sa.LargeBinary(length=32)),
)
_organizations = sa.table(
    "organizations",
    sa.column("org_id"),
    sa.column("audit_entries", BigInt),
    sa.column("audit_hash", sa.LargeBinary(length=32)),
)


def upgrade() -> None:
    """Add tables and columns, and chain the entries that are there: as they are now, they are taken for true."""
    op.create_table(
        "vault_keys",
        sa.Column("key_id", sa.String(length=128), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("forgotten_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_vault_keys")),
    )
    op.create_table(
        "credentials",
        sa.Column("org_id", sa.String(length=128), nullable=False),
        sa.Column("credential_id", sa.String(length=36), nullable=False),
        sa.Column("agent_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.String(length=128), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("secret_at", UtcDateTime(), nullable=False),
        sa.Column("wrapped_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.org_id"], name=op.f("fk_credentials_org_id")),
        sa.ForeignKeyConstraint(["key_id"], ["vault_keys.key_id"], name=op.f("fk_credentials_key_id")),
        sa.PrimaryKeyConstraint("org_id", "credential_id", name=op.f("pk_credentials")),
        sa.UniqueConstraint("org_id", "agent_id", "name", name=op.f("uq_credentials_org_id_agent_id_name")),
    )
    op.create_index(op.f("ix_credentials_key_id"), "credentials", ["key_id"])
    op.add_column("organizations", sa.Column("audit_entries", BigInt, nullable=False, server_default="0"))
    op.add_column("organizations", sa.Column("audit_hash", sa.LargeBinary(length=32), nullable=True))
    op.add_column("audit_log", sa.Column("hash", sa.LargeBinary(length=32), nullable=True))
    _let_entries_change()
    connection = op.get_bind()
    for org_id in list(connection.execute(sa.select(_entries.c.org_id).distinct()).scalars()):
        _chain(connection, org_id)
    _refuse_changes()
    for statement in _POSTGRES_NEEDS_HASH if _on_postgres() else (_SQLITE_NEEDS_HASH,):
        op.execute(statement)


def downgrade() -> None:
    """Undo it; credentials are lost."""
    op.execute(f"DROP TRIGGER audit_log_needs_hash{' ON audit_log' if _on_postgres() else ''}")
    if _on_postgres():
        op.execute("DROP FUNCTION refuse_audit_log_without_hash()")
    op.drop_column("audit_log", "hash")
    op.drop_column("organizations", "audit_hash")
    op.drop_column("organizations", "audit_entries")
    op.drop_index(op.f("ix_credentials_key_id"), table_name="credentials")
    op.drop_table("credentials")
    op.drop_table("vault_keys")


def _chain(connection: sa.Connection, org_id: str) -> None:
    previous, last = BEFORE_THE_FIRST, 0
    rows = connection.execute(sa.select(_entries).where(_entries.c.org_id == org_id).order_by(_entries.c.entry))
    for row in rows.all():
        previous = entry_hash(
            previous, org_id, row.entry, row.at, row.author, row.action, row.subject, row.reason, row.details
        )
        last = row.entry
        connection.execute(
            sa.update(_entries).where(_entries.c.org_id == org_id, _entries.c.entry == last).values(hash=previous)
        )
    connection.execute(
        sa.update(_organizations)
        .where(_organizations.c.org_id == org_id)
        .values(audit_entries=last, audit_hash=previous)
    )


def _on_postgres() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _let_entries_change() -> None:
    if _on_postgres():
        op.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_no_change")
    else:
        op.execute("DROP TRIGGER audit_log_no_update")


def _refuse_changes() -> None:
    if _on_postgres():
        op.execute("ALTER TABLE audit_log ENABLE TRIGGER audit_log_no_change")
    else:
        op.execute(_NO_UPDATE)

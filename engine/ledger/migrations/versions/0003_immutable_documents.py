"""Document versions keep the text they were applied from, and refuse to be changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_REFUSAL = "document versions are immutable: apply a new one instead"

_REFUSE = f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
_SQLITE = (
    f"CREATE TRIGGER document_versions_no_update BEFORE UPDATE ON document_versions {_REFUSE}",
    f"CREATE TRIGGER document_versions_no_delete BEFORE DELETE ON document_versions {_REFUSE}",
    # REPLACE INTO deletes without telling a DELETE trigger, so a number that is taken is refused before that.
    f"""
    CREATE TRIGGER document_versions_no_replace BEFORE INSERT ON document_versions
    WHEN EXISTS (SELECT 1 FROM document_versions WHERE org_id = NEW.org_id AND version = NEW.version) {_REFUSE}
    """,  # noqa: S608 - fixed text
)
_POSTGRES = (
    # The code makes it the same kind of error as on SQLite: a constraint that does not hold.
    f"""
    CREATE FUNCTION refuse_document_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$
    """,
    """
    CREATE TRIGGER document_versions_no_change BEFORE UPDATE OR DELETE ON document_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_document_change()
    """,
    """
    CREATE TRIGGER document_versions_no_truncate BEFORE TRUNCATE ON document_versions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_document_change()
    """,
)


def upgrade() -> None:
    """Add the column and the triggers."""
    op.add_column("document_versions", sa.Column("source_text", sa.Text(), nullable=True))
    for statement in _POSTGRES if _on_postgres() else _SQLITE:
        op.execute(statement)


def downgrade() -> None:
    """Undo it; the texts are lost."""
    if _on_postgres():
        op.execute("DROP TRIGGER document_versions_no_truncate ON document_versions")
        op.execute("DROP TRIGGER document_versions_no_change ON document_versions")
        op.execute("DROP FUNCTION refuse_document_change()")
    else:
        for name in ("replace", "delete", "update"):
            op.execute(f"DROP TRIGGER document_versions_no_{name}")
    op.drop_column("document_versions", "source_text")


def _on_postgres() -> bool:
    return op.get_bind().dialect.name == "postgresql"

"""Alembic migrations of the ledger: one line of versions, one head."""

"""Ledgers that pages find in the environment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import streamlit as st

from engine.ledger.database import Database
from tests.support.ledger_rows import SeededLedger, seed_ledger


@pytest.fixture
def ledger_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A ledger of this test's own."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("BURSAR_DATABASE_URL", url)
    yield url
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[SeededLedger]:
    """A month of a small company, up to now."""
    database = Database(ledger_url)
    # Not at the change of an hour, where "now" could be another bucket than the seed's.
    yield seed_ledger(database, now=datetime.now(UTC), days=30, per_day=10)
    database.close()

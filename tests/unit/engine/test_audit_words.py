"""Details of audit entries, as lists and pages say them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.ledger.audit import AuditEntry
from engine.ledger.audit_words import details_in_words


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({}, ""),
        ({"version": 2, "document_hash": "0123456789abcdef" * 4}, "document_hash 0123456789ab…, version 2"),
        ({"agent": "copilot", "user": "ada", "purpose": "a reason", "kind": "api_key"}, "kind api_key"),
        ({"before": ["key-1", "key-2"], "none": None, "empty": [], "n": 0}, "before key-1 and key-2, n 0"),
        ({"nested": {"ü": [1, "a"]}, "on": False}, 'nested {"ü": [1, "a"]}, on false'),
    ],
)
def test_only_what_the_entry_does_not_say_anyway(details: dict[str, Any], words: str) -> None:
    entry = AuditEntry(datetime(2026, 11, 26, tzinfo=UTC), "ada", "vault.add", "copilot", "a reason", details)
    assert details_in_words(entry) == words

"""Which versions changed one budget, and what it said before."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from engine.document.budget_history import budget_changes
from engine.document.load import parse_document
from engine.document.store import publish
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from tests.support.ledger_copies import LedgerCopies

OTHER = {"id": "other", "per": "team", "monthly_budget_usd": 5}


@pytest.mark.parametrize(("most", "versions"), [(50, [5, 4, 2]), (3, [5, 4]), (1, [5])])
def test_only_versions_that_changed_it_are_told_newest_first(
    database_url: str, ledger_copies: LedgerCopies, most: int, versions: list[int]
) -> None:
    mine: dict[str, Any] = {"id": "mine", "per": "org", "monthly_budget_usd": 100}
    ledger_copies.put(database_url, migrate)
    with closing(Database(database_url)) as database:
        for base, budgets in enumerate(
            (
                [OTHER],
                [OTHER, mine],
                [{**OTHER, "per": "agent"}, mine],
                [OTHER, {**mine, "monthly_budget_usd": 200}],
                [],
            )
        ):
            document = parse_document({"organization": "acme", "budgets": budgets}, "test")
            publish(database, document, base=base, author="ada", reason=f"change {base + 1}")
        with database.read() as connection:
            found = budget_changes(connection, "acme", "mine", most=most)
    assert [each.record.version for each in found] == versions
    assert (found[0].record.author, found[0].record.reason) == ("ada", "change 5")
    kinds = {each.record.version: [(change.kind, change.field) for change in each.changes] for each in found}
    assert kinds[5] == [("removed", None)]
    if 4 in kinds:
        assert kinds[4] == [("changed", "monthly_budget_usd")]
    if 2 in kinds:
        assert kinds[2] == [("added", None)]

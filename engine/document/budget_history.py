"""Which versions of the document changed one budget: who made them, when, why, and what the budget said before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from engine.document.diff import Change, diff_documents
from engine.document.load import parse_document
from engine.document.schema import GovernanceDocument
from engine.document.store import VersionRecord
from engine.errors import DocumentError
from engine.ledger.tables import document_versions

MOST_VERSIONS = 50


@dataclass(frozen=True, slots=True)
class BudgetChange:
    """One version that changed a budget, and how."""

    record: VersionRecord
    changes: tuple[Change, ...]


def budget_changes(
    connection: Connection, org_id: str, budget_id: str, *, most: int = MOST_VERSIONS
) -> list[BudgetChange]:
    """The changes of a budget among the newest `most` versions, newest first.

    Of each version only the budget is looked at, which a document of a thousand policies does not make slow. Between
    versions of which one cannot be read nothing is compared.
    """
    table = document_versions.c
    rows = connection.execute(
        select(*(table[name] for name in VersionRecord.__slots__), table.content)
        .where(table.org_id == org_id)
        .order_by(table.version.desc())
        .limit(most + 1)
    ).all()
    found = []
    for place, row in enumerate(rows[:most]):
        # Below the first version there is none; below the last one looked at there may be.
        before = rows[place + 1].content if place + 1 < len(rows) else {"organization": org_id}
        try:
            differences = diff_documents(_alone(before, budget_id), _alone(row.content, budget_id))
        except DocumentError:
            continue
        own = tuple(change for change in differences if change.object == "budget")
        if own:
            found.append(BudgetChange(VersionRecord(*row[:-1]), own))
    return found


def _alone(content: Mapping[str, Any], budget_id: str) -> GovernanceDocument:
    budgets = [each for each in content.get("budgets", ()) if each["id"] == budget_id]
    return parse_document({"organization": content["organization"], "budgets": budgets}, "a version")

"""How the databases go about a page of decisions: along an index in the order of the page, never by sorting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event

from engine.ledger.queries.decisions import DecisionCursor, DecisionFilter, decision_page
from engine.ledger.queries.export import Place, decision_batch
from tests.integration.engine.queries.conftest import NOW, Seeded

MONTH: dict[str, Any] = {"start": NOW - timedelta(days=30), "end": NOW}
BY_INDEX: dict[str, dict[str, Any]] = {
    "agent_id": {"agent_id": "copilot_hr"},
    "user_id": {"user_id": "user-003"},
    "reason": {"reason": "policy_deny"},
}


@pytest.fixture
def connection(seeded: Seeded) -> Connection:
    if seeded.connection.dialect.name == "postgresql":
        # A small table is read as a whole, and rightly; a large one has no such choice.
        for way in ("seqscan", "bitmapscan"):
            seeded.connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
    return seeded.connection


def _plan(connection: Connection, ask: Callable[[], object]) -> str:
    """Of the last statement, which is the one that reads decisions."""
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _d: Any, statement: str, parameters: Any, _x: Any, _m: bool) -> None:
        seen.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    assert ask()
    event.remove(connection, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{explain} {seen[-1][0]}", seen[-1][1])
    return "\n".join(str(row[-1]) for row in rows)


@pytest.mark.parametrize("before", [None, DecisionCursor.at_start_of(NOW - timedelta(days=2))], ids=["newest", "older"])
@pytest.mark.parametrize("span", [{}, MONTH], ids=["ever", "month"])
@pytest.mark.parametrize("column", BY_INDEX)
def test_one_filter_is_read_from_its_own_index_in_order(
    connection: Connection, column: str, span: dict[str, Any], before: DecisionCursor | None
) -> None:
    wanted = DecisionFilter(**BY_INDEX[column], **span)
    plan = _plan(connection, lambda: decision_page(connection, "acme", wanted, before=before).lines)
    assert f"ix_decisions_org_id_{column}_at_decision_id" in plan
    assert "B-TREE" not in plan, "SQLite sorts"
    assert "Sort" not in plan, "PostgreSQL sorts"


@pytest.mark.parametrize("column", BY_INDEX)
def test_a_batch_of_an_export_is_read_from_the_filters_index(connection: Connection, column: str) -> None:
    wanted, place = DecisionFilter(**BY_INDEX[column], **MONTH), Place(NOW - timedelta(days=20), "0")
    plan = _plan(connection, lambda: decision_batch(connection, "acme", wanted, after=place))
    assert f"ix_decisions_org_id_{column}_at_decision_id" in plan
    assert "B-TREE" not in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("more", [{}, {"agent_id": "copilot_hr"}, {"outcome": "denied"}, {"policy_id": "office"}])
def test_days_of_a_user_are_read_from_the_users_index_in_order(connection: Connection, more: dict[str, Any]) -> None:
    wanted = DecisionFilter(user_id="user-003", **more)
    plan = _plan(connection, lambda: decision_page(connection, "acme", wanted).lines)
    assert "B-TREE" not in plan
    assert "Sort" not in plan
    indexes = ("ix_decisions_org_id_user_id_at_decision_id", "ix_decisions_org_id_agent_id_at_decision_id")
    assert any(index in plan for index in indexes)


def test_everything_is_read_in_the_order_of_time(connection: Connection) -> None:
    plan = _plan(connection, lambda: decision_page(connection, "acme", DecisionFilter()).lines)
    assert "ix_decisions_org_id_at_decision_id" in plan
    assert "B-TREE" not in plan
    assert "Sort" not in plan

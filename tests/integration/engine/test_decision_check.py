"""Decisions are compared with their events: whoever changes a decision is found, though the chain is whole."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from engine import drain
from engine.clock import utc_now
from engine.ids import new_decision_id
from engine.ledger import decision_check
from engine.ledger.checkpoints import later_month, month_of, month_start
from engine.ledger.decision_check import COMPARED, compare_decisions
from engine.ledger.pending import PendingEvent, keep_pending, refuse_pending
from engine.ledger.retention import drop_old
from engine.ledger.tables import decisions, organizations, pending_events
from engine.ledger.verify import verify_events
from tests.integration.engine.child import live_a_little

BUDGETS = [{"id": "hooks", "per": "agent", "applies_to": {"agent": "hook"}, "daily_budget_usd": 50}]
CHANGED = {
    "at": utc_now() - timedelta(days=1),
    "estimate_micros": 7,
    "reserve_micros": 7,
    "document_version": 9,
    "spent_micros": 1,
    "actual_micros": 1,
    "success": False,
    "fail_open": True,
    "closed_at": utc_now() - timedelta(days=1),
}


@pytest.fixture
def lived(acme_on_each: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls that were allowed, denied, settled, cancelled and left to expire; several batches of them."""
    monkeypatch.setattr(decision_check, "BATCH", 4)
    acme = acme_on_each
    acme.write(budgets=BUDGETS)
    service = acme.service(hold_seconds=1)
    live_a_little(service, 3)
    for agent in ("hook", "coder"):
        assert service.check(agent, estimated_cost=60).allowed is (agent == "coder")
    acme.store()
    return acme


def first(acme: Any, **wanted: Any) -> Any:
    return next(row for row in acme.rows() if all(getattr(row, name) == value for name, value in wanted.items()))


def test_an_honest_ledger_has_no_difference(lived: Any) -> None:
    told: list[tuple[int, int]] = []
    rows = lived.rows()
    assert {row.state for row in rows} >= {"denied", "settled", "cancelled", "held"}
    result = compare_decisions(lived.open_database(), lived.org_id, lambda done, total: told.append((done, total)))
    assert (result.decisions, result.difference) == (len(rows), None)
    assert told[-1] == (len(rows), len(rows))


def test_whatever_is_changed_in_a_decision_is_named(lived: Any) -> None:
    row = first(lived, state="settled")
    database = lived.open_database()
    this = update(decisions).where(decisions.c.decision_id == row.decision_id)
    for column in COMPARED:
        with database.write() as connection:
            connection.execute(this.values(**{column: CHANGED.get(column, "forged")}))
        # The chain does not know of it.
        assert verify_events(database, lived.org_id).finding is None
        found = compare_decisions(database, lived.org_id).difference
        assert found is not None, column
        assert found.decision_id == row.decision_id
        assert found.message.startswith(f"its {column} is ")
        with database.write() as connection:
            connection.execute(this.values(**{column: getattr(row, column)}))
    assert compare_decisions(database, lived.org_id).difference is None


def test_a_decision_that_is_gone_and_one_that_was_never_made_are_named(lived: Any) -> None:
    database, row = lived.open_database(), first(lived, state="denied")
    with database.write() as connection:
        connection.execute(delete(decisions).where(decisions.c.decision_id == row.decision_id))
    gone = compare_decisions(database, lived.org_id).difference
    assert gone is not None
    assert gone.decision_id == row.decision_id
    assert gone.message.startswith("it is gone; event ")
    invented = new_decision_id()
    with database.write() as connection:
        connection.execute(insert(decisions).values(**row._mapping))
        connection.execute(insert(decisions).values(**{**row._mapping, "decision_id": invented}))
    found = compare_decisions(database, lived.org_id).difference
    assert found is not None
    assert (found.decision_id, found.message) == (invented, "no event decided it")


def test_a_ledger_that_is_written_meanwhile_has_no_difference(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(budgets=BUDGETS)
    service = acme.service()
    for _ in range(4):
        live_a_little(service, 2)
        acme.store()
        database = acme.open_database()
        # Settled between two batches.
        open_call = service.check("coder", estimated_cost=1)
        acme.store()
        service.settle(open_call, actual_cost="0.5")
        result = compare_decisions(database, acme.org_id, lambda *_: acme.store())
        assert result.difference is None
        with database.read() as connection:
            assert connection.scalar(select(decisions.c.state).where(decisions.c.decision_id == open_call.id)) == (
                "settled"
            )


def test_decisions_without_events_after_retention_are_no_forgeries(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One waits for a settle that was refused; the event of the other was written by a clock that was behind."""
    month = month_start(later_month(month_of(utc_now()), -1))
    service = acme.clocked_service(month - timedelta(days=40))
    waits = service.check("hook", estimated_cost=1)
    service.settle(waits.id, actual_cost="0.5")
    monkeypatch.setattr(drain, "utc_now", lambda: month - timedelta(days=40))
    acme.store(service)
    acme.set_clock(month + timedelta(seconds=1))
    service.check("hook", estimated_cost=1)
    monkeypatch.setattr(drain, "utc_now", lambda: month - timedelta(seconds=1))
    acme.store(service)
    monkeypatch.undo()
    database = acme.open_database()
    with database.write() as connection:
        keep_pending(connection, [PendingEvent("acme", waits.id, "settle", {"amount": 7})])
        pending = connection.execute(select(pending_events.c.pending_id)).scalar_one()
        refuse_pending(connection, pending, "settled with another amount")
    acme.set_clock(utc_now())
    service.check("hook", estimated_cost=1)
    acme.store(service)
    assert [dropped.events for dropped in drop_old(database, 1, utc_now())] != []
    result = compare_decisions(database, "acme")
    assert (result.decisions, result.difference, result.without_events) == (1, None, 2)


def test_a_forged_mark_hides_no_deleted_decision(lived: Any) -> None:
    database = lived.open_database()
    with database.write() as connection:
        connection.execute(update(organizations).values(decisions_kept_from=utc_now() + timedelta(days=1)))
        connection.execute(delete(decisions))
    found = compare_decisions(database, lived.org_id).difference
    assert found is not None
    assert found.message.startswith("it is gone; event ")


def test_a_decision_given_to_another_organization_is_missed(lived: Any) -> None:
    database, row = lived.open_database(), first(lived, state="settled")
    with database.write() as connection:
        connection.execute(update(decisions).where(decisions.c.decision_id == row.decision_id).values(org_id="nobody"))
    found = compare_decisions(database, lived.org_id).difference
    assert found is not None
    assert found.decision_id == row.decision_id

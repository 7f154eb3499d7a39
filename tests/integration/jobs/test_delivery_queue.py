"""The queue stays small to look at and does not grow for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, text, update

from engine.alerting.action import Action
from engine.alerting.outbox import digest
from engine.alerting.outbox_due import anything_due, due_notifications
from engine.alerting.outbox_pruning import prune_outbox
from engine.ids import new_decision_id
from engine.ledger.tables import alerts, outbox
from tests.support.fake_slack import FakeSlack
from tests.support.ledger_copies import LedgerCopies
from tests.support.post_room import FIRST, OPS, ORG, PostRoom


@pytest.fixture
def room(database_url: str, fake_slack: FakeSlack, ledger_copies: LedgerCopies) -> Iterator[PostRoom]:
    made = PostRoom(database_url, fake_slack, ledger_copies)
    yield made
    made.database.close()


def finished(room: PostRoom, count: int) -> list[dict[str, Any]]:
    """Rows of messages that were delivered."""
    return [
        {"notification_id": new_decision_id(), "org_id": ORG, "alert_id": None, "channel": "x", "channel_type": "slack",
         "target": "#c", "dedupe_key": f"d-{number}", "action": "post", "message": FIRST.to_json(),
         "state": "delivered", "attempts": 1, "next_attempt_at": room.now, "created_at": room.now}
        for number in range(count)
    ]  # fmt: skip


def plan_of(room: PostRoom, ask: Callable[[Connection], object]) -> str:
    """How the database answers what is asked last."""
    seen: list[tuple[str, Any]] = []

    def note(connection: object, cursor: object, statement: str, parameters: Any, *_: object) -> None:
        seen.append((statement, parameters))

    event.listen(room.database.engine, "before_cursor_execute", note)
    with room.database.read() as connection:
        ask(connection)
    event.remove(room.database.engine, "before_cursor_execute", note)
    statement, parameters = seen[-1]
    explain = "EXPLAIN QUERY PLAN " if room.database.is_sqlite else "EXPLAIN "
    with room.database.engine.connect() as connection:
        return str(connection.exec_driver_sql(explain + statement, parameters).all())


def test_looking_for_work_uses_the_index_of_what_is_unfinished(room: PostRoom) -> None:
    with room.database.write() as connection:
        connection.execute(insert(outbox), finished(room, 2_000))
        if not room.database.is_sqlite:
            connection.execute(text("ANALYZE outbox"))
    assert "ix_outbox_unfinished" in plan_of(room, lambda connection: anything_due(connection, room.now, ("slack",)))


def test_a_storm_after_a_quiet_time_is_looked_through_by_ids(room: PostRoom) -> None:
    """PostgreSQL takes the index of what is unfinished for empty then: it must not be read for each row."""
    if room.database.is_sqlite:
        pytest.skip("has no statistics")
    with room.database.write() as connection:
        connection.execute(insert(outbox), finished(room, 2_000))
        connection.execute(text("ANALYZE outbox"))
    plan = plan_of(room, lambda connection: due_notifications(connection, room.now))
    assert all(index in plan for index in ("pk_outbox", "ix_outbox_alert_id"))


def test_finished_messages_of_long_ago_are_removed_unless_their_alert_is_not_over(room: PostRoom) -> None:
    over, still = room.alert(), room.alert()
    gone = [room.put(alert_id=over), room.put(alert_id=over, suppressed="silenced: s")]
    kept = [room.put(alert_id=still), room.put("of an open alert", alert_id=still, action=Action.REPLY)]
    room.deliver_all(6)
    with room.database.write() as connection:
        connection.execute(update(alerts).where(alerts.c.alert_id == over).values(state="resolved"))
    room.later(days=100)
    kept += [room.put(alert_id=over)]
    room.deliver_all(2)
    unfinished = room.put(alert_id=over)
    assert prune_outbox(room.database, room.now - timedelta(days=90)) == len(gone)
    assert {row.notification_id for row in room.rows()} == {*kept, unfinished}


def test_a_digest_stays_as_long_as_what_it_stands_for(room: PostRoom) -> None:
    both = [room.alert(), room.alert()]
    ids = [room.put(alert_id=alert, group_key="g") for alert in both]
    with room.database.write() as connection:
        digest_id = digest(connection, ids, org_id=ORG, channel=OPS, dedupe_key="d", message=FIRST, now=room.now)
    room.deliver()
    for alert, left in zip(both, ({digest_id, ids[1]}, set()), strict=True):
        with room.database.write() as connection:
            connection.execute(update(alerts).where(alerts.c.alert_id == alert).values(state="resolved"))
        before = room.now + timedelta(days=1)
        # What stands for nothing any more goes the next time.
        prune_outbox(room.database, before)
        prune_outbox(room.database, before)
        assert {row.notification_id for row in room.rows()} == left

"""Months are dropped by several processes at once, under a live ledger writer."""

from __future__ import annotations

import contextlib
import itertools
import time
from contextlib import closing
from datetime import timedelta
from typing import Any

from engine.admission.gate import RedisGate
from engine.clock import utc_now
from engine.drain import LedgerDrain
from engine.errors import DatabaseError
from engine.ledger.database import Database
from engine.ledger.organizations import decisions_kept_from, ensure_organization, organization_ids
from engine.ledger.rebuilding import rebuild_day
from engine.ledger.retention import drop_old
from engine.ledger.tables import usage
from engine.ledger.verify import verify_events
from tests.integration.engine.child import Child, live_a_little
from tests.integration.engine.conftest import LUA_CLOCK
from tests.support.chained import write_months


def test_processes_that_drop_while_one_writes_leave_a_ledger_that_is_proved(acme_on_each: Any) -> None:
    """Months begin and are dropped all the time, with their tables, while calls of months ago are still written."""
    acme = acme_on_each
    old = utc_now() - timedelta(days=96)
    acme.write(budgets=[{"id": "org", "per": "org", "monthly_budget_usd": 50_000}])
    service = acme.clocked_service(old)
    droppers = [Child(drop_again_and_again, acme.database_url, number) for number in range(4)]
    writer = Child(write_until_told, acme.database_url, acme.redis_url, acme.org_id)
    for child in (*droppers, writer):
        assert child.hear() == "ready"
        child.tell()
    made: set[str] = set()
    for turn in range(13):
        acme.set_clock(old + timedelta(days=8 * turn))
        made |= live_a_little(service, 2)
    patience = time.monotonic() + 60
    while acme.events() or min(row.at for row in acme.rows()) < old + timedelta(days=20):
        assert time.monotonic() < patience
        time.sleep(0.1)
    for child in (*droppers, writer):
        child.tell("end")
    dropped = [child.hear() for child in droppers]
    writer.hear()
    assert [child.ending() for child in (*droppers, writer)] == [0] * 5
    assert sum(decisions for decisions, _ in dropped) > 0
    assert sum(events for _, events in dropped) > 0
    acme.store(service)
    database = acme.open_database()
    with database.read() as connection:
        known, kept_from = organization_ids(connection), decisions_kept_from(connection, "acme")
    assert len(known) > 8
    for org_id in known:
        assert verify_events(database, org_id).finding is None
    # However many are dropped, all are counted.
    assert sum(row.decisions for row in acme.rows(usage) if row.grain == "day") == len(made)
    assert kept_from is not None
    assert min(row.at for row in acme.rows()) >= kept_from
    for day in sorted({row.at.date() for row in acme.rows()}):
        assert rebuild_day(database, "acme", day, utc_now()).drifted == 0


def drop_again_and_again(line: Any, database_url: str, number: int) -> None:
    """Write events of months ago and drop what is old, until told to end; say how many decisions and events went."""
    decisions = events = 0
    line.send("ready")
    line.recv()
    with closing(Database(database_url)) as database:
        for turn in itertools.count():
            if line.poll():
                break
            time.sleep(0.05)
            if turn < 5:
                org_id = f"old-{number}-{turn}"
                with database.write() as connection:
                    ensure_organization(connection, org_id)
                write_months(database, [(utc_now() - timedelta(days=150 + 30 * number)).replace(day=1)], org_id=org_id)
            with contextlib.suppress(DatabaseError):  # a table stayed in use
                for each in drop_old(database, 1, utc_now()):
                    decisions, events = decisions + each.decisions, events + each.events
    line.send((decisions, events))


def write_until_told(line: Any, database_url: str, redis_url: str, org_id: str) -> None:
    """Be the ledger writer, with small batches, until told to end."""
    gate = RedisGate(redis_url, timeout_seconds=5.0, lua_clock=LUA_CLOCK)
    writer = LedgerDrain(Database(database_url), gate, org_id)
    writer._batch = 5
    line.send("ready")
    line.recv()
    while not line.poll():
        writer.step()
        time.sleep(0.005)
    writer.release()
    line.send("ended")

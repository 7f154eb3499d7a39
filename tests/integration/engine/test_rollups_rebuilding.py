"""Rollups counted anew: nothing differs, and what was damaged is mended while the ledger goes on being written."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update

from engine.admission.gate import RedisGate
from engine.clock import utc_now
from engine.drain import LedgerDrain
from engine.ledger import rebuilding, retention
from engine.ledger.bulk import upsert_rows
from engine.ledger.database import Database
from engine.ledger.rebuilding import DayResult, DecisionsDropped, rebuild_day
from engine.ledger.retention import drop_old
from engine.ledger.tables import (
    decisions,
    event_partitions,
    latencies,
    limits,
    organizations,
    policies,
    usage,
    users,
)
from tests.integration.engine.child import Child, live_a_little
from tests.support.outages import answers_lost

BUDGETS = [{"id": "org", "per": "org", "monthly_budget_usd": 50_000}]
RATES = [{"id": "r", "per": "user", "requests_per_minute": 20_000}]


def rebuild(acme: Any, day: date | None = None, *, mend: bool = True) -> DayResult:
    now = utc_now()
    return rebuild_day(acme.open_database(), acme.org_id, day or now.date(), now, mend=mend)


def lived(acme: Any, rounds: int = 3) -> Any:
    acme.write(budgets=BUDGETS, rate_limits=RATES)
    service = acme.service()
    live_a_little(service, rounds)
    acme.store()
    return service


def damage(acme: Any) -> dict[str, int]:
    """Make a row of each kind wrong; how many rows of each table that are."""
    hour = utc_now().replace(minute=0, second=0, microsecond=0)
    with acme.open_database().write() as connection:
        connection.execute(update(usage).where(usage.c.grain == "day").values(spent_micros=usage.c.spent_micros + 5))
        connection.execute(delete(users))
        connection.execute(update(limits).values(peak_permille=900, checks=limits.c.checks - 1))
        connection.execute(update(latencies).where(latencies.c.grain == "hour").values(calls=latencies.c.calls * 2))
        # Added, not inserted: somebody may not have mended the last damage yet.
        upsert_rows(
            connection,
            policies,
            ("org_id", "bucket", "policy_id", "agent_id", "effect", "shadow", "decisions"),
            [(acme.org_id, hour, "gone", "hook", "deny", False, 3)],
            added=("decisions",),
        )
    return {
        "usage": len([row for row in acme.rows(usage) if row.grain == "day"]),
        "latencies": len([row for row in acme.rows(latencies) if row.grain == "hour"]),
        "limits": len(acme.rows(limits)),
        "policies": 1,
    }


def test_what_the_writer_made_has_no_drift(acme_on_each: Any) -> None:
    acme = acme_on_each
    lived(acme)
    result = rebuild(acme)
    assert (result.decisions, result.drifted) == (15, 0)
    assert rebuild(acme, utc_now().date() - timedelta(days=1)) == DayResult(
        utc_now().date() - timedelta(days=1), 0, dict.fromkeys(result.drift, 0)
    )


def test_damage_is_reported_row_by_row_and_mended(acme_on_each: Any, monkeypatch: Any) -> None:
    acme = acme_on_each
    lived(acme)
    people = len(acme.rows(users))
    wanted = {**damage(acme), "users": people}
    monkeypatch.setattr(rebuilding, "BATCH", 4)
    assert rebuild(acme, mend=False).drift == wanted
    assert rebuild(acme, mend=False).drift == wanted
    assert rebuild(acme).drift == wanted
    acme.assert_adds_up()
    assert rebuild(acme).drifted == 0
    # What should not have been there is gone, not emptied.
    assert {row.policy_id for row in acme.rows(policies)} == {"go"}
    assert {row.peak_permille for row in acme.rows(limits)} < set(range(100))


def test_nothing_is_lost_or_counted_twice_while_a_writer_writes(acme_on_each: Any) -> None:
    """Damage and mending again and again, under traffic, with the writer never asked to stop."""
    acme = acme_on_each
    service = lived(acme)
    ended = threading.Event()
    problems: list[Exception] = []

    def write() -> None:
        writer = acme.writer()
        writer._batch = 9
        try:
            while not ended.is_set():
                writer.step()
                time.sleep(0.002)
            writer.release()
        except Exception as problem:  # noqa: BLE001 - shown by the test
            problems.append(problem)

    def live() -> None:
        try:
            while not ended.is_set():
                live_a_little(service, 1)
        except Exception as problem:  # noqa: BLE001
            problems.append(problem)

    threads = [threading.Thread(target=work) for work in (write, live, live)]
    for thread in threads:
        thread.start()
    drifts = []
    for _ in range(5):
        damage(acme)
        drifts.append(rebuild(acme).drifted)
        time.sleep(0.2)
    ended.set()
    for thread in threads:
        thread.join()
    assert problems == []
    assert all(drifts)
    acme.store()
    rebuilt = rebuild(acme)
    assert rebuilt.decisions > 50
    assert rebuilt.drifted == 0
    acme.assert_adds_up()


def test_several_who_mend_at_once_mend_once(acme_on_each: Any) -> None:
    acme = acme_on_each
    lived(acme)
    for _ in range(3):
        damage(acme)
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: rebuild(acme), range(4)))
        # Whoever came second counted again and found nothing.
        assert sum(result.drifted > 0 for result in results) == 1
        acme.assert_adds_up()


def test_a_rebuild_that_dies_in_the_middle_has_changed_nothing(acme_on_each: Any, monkeypatch: Any) -> None:
    acme = acme_on_each
    lived(acme)
    wanted = damage(acme)
    monkeypatch.setattr(rebuilding, "_remove_empty", _fail_at_policies)
    with pytest.raises(RuntimeError, match="power"):
        rebuild(acme)
    monkeypatch.undo()
    found = rebuild(acme).drift
    assert {table: found[table] for table in wanted} == wanted
    acme.assert_adds_up()


def _fail_at_policies(_connection: Any, table: Any, _places: Any) -> None:
    if table is policies:
        raise RuntimeError("the power went")


def test_calls_of_both_sides_of_midnight_belong_to_their_own_days(acme_on_each: Any) -> None:
    acme = acme_on_each
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    service = acme.clocked_service(midnight - timedelta(milliseconds=1))
    late = service.check("hook", estimated_cost=1)
    acme.set_clock(midnight)
    early = service.check("hook", estimated_cost=1)
    for decision in (late, early):
        service.settle(decision, actual_cost=1)
    acme.store(service)
    for day in (midnight.date() - timedelta(days=1), midnight.date()):
        result = rebuild(acme, day)
        assert (result.decisions, result.drifted) == (1, 0)


def test_days_whose_decisions_are_dropped_keep_their_rollups(acme_on_each: Any) -> None:
    acme = acme_on_each
    lived(acme)
    later = utc_now() + timedelta(days=70)
    with acme.open_database().write() as connection:
        connection.execute(update(decisions).where(decisions.c.state == "held").values(state="denied"))
        connection.execute(update(organizations).values(drained_through=later))
    before = acme.rows(usage)
    drop_old(acme.open_database(), 1, later)
    assert acme.rows() == []
    first_kept = (later.replace(day=1) - timedelta(days=1)).replace(day=1).date()
    with pytest.raises(DecisionsDropped, match=f"of before {first_kept} are no longer kept"):
        rebuild(acme)
    assert acme.rows(usage) == before


def test_days_whose_decisions_went_with_events_of_a_month_that_is_kept_are_left_alone(acme_on_each: Any) -> None:
    """Nobody wrote at the end of a month: its events lie in the next one, its decisions are of their own time."""
    acme = acme_on_each
    midnight = datetime(2026, 10, 1, tzinfo=UTC)
    service = acme.clocked_service(midnight - timedelta(hours=1))
    service.settle(service.check("hook", user_id="ada", estimated_cost=1), actual_cost=2)
    acme.store(service)
    with acme.open_database().write() as connection:
        # Written just after midnight.
        connection.execute(update(event_partitions).values(partition="2026-10", last_written_at=midnight))
        connection.execute(update(organizations).values(drained_through=midnight + timedelta(days=32)))
    before = acme.rows(usage), acme.rows(users)
    (dropped,) = drop_old(acme.open_database(), 1, midnight + timedelta(days=32))
    assert (dropped.months, dropped.decisions) == ((), 1)
    with pytest.raises(DecisionsDropped, match="of before 2026-10-01 are no longer kept, so 2026-09-30"):
        rebuild(acme, midnight.date() - timedelta(days=1))
    assert rebuild(acme, midnight.date()).drifted == 0
    assert (acme.rows(usage), acme.rows(users)) == before


def test_a_hold_that_ends_while_months_are_dropped_takes_no_rollups_with_it(
    acme_on_each: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its month was to be kept when the months were marked, and is kept until the next run."""
    acme = acme_on_each
    called = datetime(2026, 8, 20, tzinfo=UTC)
    service = acme.clocked_service(called)
    service.settle(service.check("hook", estimated_cost=1), actual_cost=2)
    service.check("hook", estimated_cost=1)
    acme.store(service)
    database = acme.open_database()
    with database.write() as connection:
        connection.execute(update(event_partitions).values(partition="2026-10"))
        connection.execute(update(organizations).values(drained_through=datetime(2026, 11, 2, tzinfo=UTC)))
    mark = retention._mark

    def mark_and_settle(connection: Any, *arguments: Any) -> Any:
        marked = mark(connection, *arguments)
        connection.execute(update(decisions).values(state="settled", actual_micros=0, success=True))
        return marked

    with monkeypatch.context() as patched:
        patched.setattr(retention, "_mark", mark_and_settle)
        assert drop_old(database, 1, datetime(2026, 11, 2, tzinfo=UTC)) == []
    # What was not marked is dropped by the next run, which says so.
    assert len(acme.rows()) == 2
    assert rebuild(acme, called.date()).decisions == 2
    before = acme.rows(usage)
    (dropped,) = drop_old(database, 1, datetime(2026, 11, 2, tzinfo=UTC))
    assert (dropped.decisions, acme.rows()) == (2, [])
    with pytest.raises(DecisionsDropped):
        rebuild(acme, called.date())
    assert acme.rows(usage) == before


@pytest.mark.parametrize("o_clock", [0, 14])
def test_a_denial_that_was_replaced_after_an_outage_is_no_drift(acme_on_each: Any, o_clock: int) -> None:
    """Its reading stays in `limits`: when it was made the window was that full."""
    acme = acme_on_each
    acme.write(rate_limits=[{"id": "r", "per": "org", "requests_per_minute": 2, "on_outage": "open"}])
    hour = utc_now().replace(hour=o_clock, minute=0, second=0, microsecond=0) - timedelta(days=1)
    service = acme.clocked_service(hour - timedelta(seconds=5))
    for _ in range(2):
        assert service.check("hook", estimated_cost=0).allowed
    other = acme.clocked_service(hour + timedelta(seconds=1), state_dir=acme.folder / "other")
    other.gate.sweep(acme.org_id)  # tells it the time
    with answers_lost(other):
        alone = other.check("hook", estimated_cost=0)
    assert alone.fail_open
    acme.store(service)
    assert acme.state_of(alone.id) == ("denied", 0)
    acme.store_everything(service)
    assert acme.state_of(alone.id) == ("held", 0)
    (peak,) = [row.peak_permille for row in acme.rows(limits) if row.bucket == hour]
    assert peak == 1000
    assert rebuild(acme, hour.date()).drifted == 0
    acme.assert_rollups_add_up()
    # What is wrong by itself is drift in such an hour as in any other.
    with acme.open_database().write() as connection:
        connection.execute(update(limits).where(limits.c.bucket == hour).values(checks=limits.c.checks + 1))
    assert rebuild(acme, hour.date()).drift["limits"] == 1
    assert rebuild(acme, hour.date()).drifted == 0
    assert [row.peak_permille for row in acme.rows(limits) if row.bucket == hour] == [1000]


def test_a_peak_that_is_too_high_without_an_outage_is_drift(acme_on_each: Any) -> None:
    acme = acme_on_each
    lived(acme)
    with acme.open_database().write() as connection:
        connection.execute(update(limits).values(peak_permille=900))
    assert rebuild(acme).drift["limits"] == len(acme.rows(limits))
    acme.assert_rollups_add_up()


def test_processes_that_mend_while_one_writes_add_up(acme_on_each: Any) -> None:
    acme = acme_on_each
    service = lived(acme)
    menders = [Child(mend_again_and_again, acme.database_url, acme.org_id) for _ in range(4)]
    writer = Child(write_until_told, acme.database_url, acme.redis_url, acme.org_id)
    for child in (*menders, writer):
        assert child.hear() == "ready"
        child.tell()
    for _ in range(6):
        live_a_little(service, 2)
        damage(acme)
    for child in (*menders, writer):
        child.tell("end")
    mended = [child.hear() for child in menders]
    writer.hear()
    assert [child.ending() for child in (*menders, writer)] == [0] * 5
    assert sum(mended) > 0
    acme.store()
    rebuild(acme)
    assert rebuild(acme).drifted == 0
    acme.assert_adds_up()


def mend_again_and_again(line: Any, database_url: str, org_id: str) -> None:
    """Mend the rollups of today until told to end; say how many rows were wrong."""
    database = Database(database_url)
    drifted = 0
    line.send("ready")
    line.recv()
    while not line.poll():
        drifted += rebuild_day(database, org_id, utc_now().date(), utc_now()).drifted
        time.sleep(0.01)
    line.send(drifted)


def write_until_told(line: Any, database_url: str, redis_url: str, org_id: str) -> None:
    """Be the ledger writer, with small batches, until told to end."""
    writer = LedgerDrain(Database(database_url), RedisGate(redis_url, timeout_seconds=5.0), org_id)
    writer._batch = 5
    line.send("ready")
    line.recv()
    while not line.poll():
        writer.step()
        time.sleep(0.005)
    writer.release()
    line.send("ended")


def test_rollups_of_before_there_were_any_are_made(acme_on_each: Any) -> None:
    """After an upgrade: decisions are there, most tables are empty."""
    acme = acme_on_each
    lived(acme)
    with acme.open_database().write() as connection:
        for table in (latencies, limits, policies, users):
            connection.execute(delete(table))
        connection.execute(update(usage).values(absolute_error_micros=0))
    assert rebuild(acme).drifted > 10
    acme.assert_adds_up()

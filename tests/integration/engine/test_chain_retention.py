"""What is old is dropped, and the rest still proves itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import event as listened
from sqlalchemy import func, select, update

from engine.errors import DatabaseError, InvalidValue
from engine.ledger import retention, totals, verify
from engine.ledger.audit import audit_entries
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.partitions import stored_months
from engine.ledger.pending import PendingEvent, keep_pending
from engine.ledger.retention import drop_old
from engine.ledger.signed_heads import sign_head
from engine.ledger.stored_events import stored_events
from engine.ledger.tables import decisions, event_partitions, events, latencies, organizations, usage
from engine.ledger.verify import head_of, verify_events
from jobs.retention import keep_months
from tests.support.chained import append, some_events, write_months
from tests.support.ledger_copies import LedgerCopies
from tests.support.ledger_rows import seed_ledger

MONTHS = [datetime(2026, month, 1, tzinfo=UTC) for month in (8, 9, 10, 11)]
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def lived(database: Database) -> None:
    migrate(database)
    write_months(database, MONTHS)


@pytest.fixture
def database(database_url: str, ledger_copies: LedgerCopies, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(retention, "DELETE_BATCH", 7)
    ledger_copies.put(database_url, lived)
    with closing(Database(database_url)) as opened:
        yield opened


def stored(database: Database, org_id: str = "acme") -> list[int]:
    with database.read() as connection:
        return list(
            connection.execute(select(events.c.seq).where(events.c.org_id == org_id).order_by(events.c.seq)).scalars()
        )


def audited(database: Database, org_id: str = "acme") -> list[Any]:
    with database.read() as connection:
        return audit_entries(connection, org_id)


def test_old_months_go_and_the_rest_is_proved_from_its_checkpoint(database: Database) -> None:
    kept = sign_head(Ed25519PrivateKey.generate(), "acme", *head_of(database, "acme"), NOW)
    (dropped,) = drop_old(database, 1, NOW)
    assert ([month.partition for month in dropped.months], dropped.events) == (["2026-08", "2026-09"], 40)
    assert stored(database) == list(range(41, 81))
    proof = verify_events(database, "acme", head=kept)
    assert (proof.finding, proof.first, proof.last, proof.events) == (None, 41, 80, 40)
    assert [month.partition for month in proof.dropped] == ["2026-08", "2026-09"]
    with database.read() as connection:
        assert stored_months(connection) == ([] if database.is_sqlite else ["2026-10", "2026-11"])
    with pytest.raises(InvalidValue, match="--from: the first event that is kept is 41; up to 40 they were dropped"):
        verify_events(database, "acme", first=1)


def test_what_is_changed_in_the_rest_is_still_found(database: Database) -> None:
    drop_old(database, 1, NOW)
    with database.write() as connection:
        connection.execute(update(events).where(events.c.seq == 41).values(kind="cancel"))
    finding = verify_events(database, "acme").finding
    assert finding is not None
    assert finding.seq == 41


def test_heads_of_dropped_events_are_compared_only_where_a_month_ended(database: Database) -> None:
    key = Ed25519PrivateKey.generate()
    with database.read() as connection:
        checkpoint = connection.execute(
            select(event_partitions.c.last_hash).where(event_partitions.c.partition == "2026-09")
        ).scalar_one()
    drop_old(database, 1, NOW)
    assert verify_events(database, "acme", head=sign_head(key, "acme", 40, checkpoint, NOW)).finding is None
    finding = verify_events(database, "acme", head=sign_head(key, "acme", 40, bytes(32), NOW)).finding
    assert finding is not None
    assert finding.seq == 40
    with pytest.raises(InvalidValue, match="--against: event 33 was dropped"):
        verify_events(database, "acme", head=sign_head(key, "acme", 33, checkpoint, NOW))


def test_one_audit_entry_says_what_a_run_dropped_and_the_next_run_drops_nothing(database: Database) -> None:
    write_months(database, MONTHS[2:], org_id="young")
    assert len(drop_old(database, 2, NOW)) == 1
    (entry,) = audited(database)
    assert (entry.author, entry.action, entry.subject) == ("bursar", "ledger.drop", "before 2026-09")
    assert entry.reason == "BURSAR_RETENTION_MONTHS is 2"
    assert entry.details["months"] == ["2026-08"]
    assert (entry.details["first_seq"], entry.details["last_seq"], entry.details["events"]) == (1, 20, 20)
    assert audited(database, "young") == []
    assert drop_old(database, 2, NOW) == []
    assert drop_old(database, 12, NOW) == []
    assert len(audited(database)) == 1


def test_several_may_drop_at_once(database_url: str, database: Database) -> None:
    def drop(_: int) -> int:
        with closing(Database(database_url)) as own:
            return len(drop_old(own, 1, NOW))

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(drop, range(4))) == 1
    assert len(audited(database)) == 1
    assert verify_events(database, "acme").finding is None


def test_a_run_that_died_is_finished_by_the_next(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "DELETE_BATCH", 7)
    with closing(Database(sqlite_url)) as database:
        migrate(database)
        write_months(database, MONTHS)
        with monkeypatch.context() as patched:
            patched.setattr(retention, "_delete_events", lambda database, org_id: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                drop_old(database, 1, NOW)
        assert len(stored(database)) == 80
        assert verify_events(database, "acme").finding is None, "leftovers of a dropped month are no harm"
        assert drop_old(database, 1, NOW) == []
        assert stored(database) == list(range(41, 81))


def test_a_late_clock_writes_into_no_month_that_was_dropped(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        migrate(database)
        write_months(database, MONTHS[:2])
        with database.write() as connection:
            # Nothing has happened since, as Redis' clock says.
            connection.execute(update(organizations).values(drained_through=NOW))
        drop_old(database, 1, NOW)
        assert stored(database) == []
        with database.write() as connection:
            append(connection, "acme", some_events(3, NOW), MONTHS[1] + timedelta(days=25))
        proof = verify_events(database, "acme")
        assert (proof.finding, proof.first, proof.last) == (None, 41, 43)
        with database.read() as connection:
            newest = connection.execute(select(func.max(event_partitions.c.partition))).scalar_one()
        assert newest == "2026-10"


def test_the_present_and_the_month_before_are_never_dropped(database: Database) -> None:
    with pytest.raises(InvalidValue, match="BURSAR_RETENTION_MONTHS: must be at least 1"):
        drop_old(database, 0, NOW)
    drop_old(database, 1, datetime(2026, 11, 1, tzinfo=UTC))
    assert stored(database)[0] == 41


@pytest.mark.parametrize("ahead", [timedelta(days=90), timedelta(days=4000)])
def test_a_host_clock_that_is_ahead_drops_nothing(database: Database, ahead: timedelta) -> None:
    assert drop_old(database, 2, MONTHS[-1] + ahead) != []
    assert stored(database)[0] == 21, "what it would drop by the ledger's own time"
    assert drop_old(database, 2, NOW + ahead) == []
    keep_months(database, 2, NOW + ahead)
    assert stored(database) == list(range(21, 81))


def test_a_ledger_that_nobody_writes_to_is_dropped_by_redis_time(database: Database) -> None:
    with database.write() as connection:
        connection.execute(update(organizations).values(drained_through=NOW + timedelta(days=65)))
    (dropped,) = drop_old(database, 1, NOW + timedelta(days=66))
    assert dropped.months[-1].partition == "2026-11"


def test_a_ledger_without_events_drops_nothing(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        migrate(database)
        assert drop_old(database, 1, NOW) == []


def test_a_table_in_use_is_left_for_the_next_run(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PATIENCE_MS", 200)
    with closing(Database(postgres_url)) as database:
        migrate(database)
        write_months(database, MONTHS)
        with database.read() as connection:
            connection.execute(select(events)).all()
            with pytest.raises(DatabaseError, match="lock timeout"):
                drop_old(database, 1, NOW)
        assert audited(database) == []
        assert verify_events(database, "acme").first == 1
        drop_old(database, 1, NOW)
        assert verify_events(database, "acme").first == 41


def test_old_decisions_go_and_rollups_stay(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "DELETE_BATCH", 50)
    with closing(Database(database_url)) as database:
        seed_ledger(database, now=NOW, days=150, per_day=3)
        before = _ages(database)
        cells = _count(database, usage)
        drop_old(database, 1, NOW)
        assert _ages(database) == [at for at in before if at >= datetime(2026, 10, 1, tzinfo=UTC)]
        assert 0 < len(_ages(database)) < len(before)
        assert _count(database, usage) == cells
        (entry,) = audited(database)
        assert entry.details["decisions"] == len(before) - len(_ages(database))
        assert verify_events(database, "acme").finding is None


@pytest.mark.parametrize("needed", ["held", "pending"])
def test_what_an_open_hold_or_a_waiting_settle_is_counted_by_stays(database_url: str, needed: str) -> None:
    with closing(Database(database_url)) as database:
        seed_ledger(database, now=NOW, days=150, per_day=3)
        with database.write() as connection:
            row = connection.execute(
                select(decisions)
                .where(decisions.c.at >= datetime(2026, 8, 10, tzinfo=UTC), decisions.c.state == "settled")
                .order_by(decisions.c.at)
                .limit(1)
            ).one()
            if needed == "held":
                connection.execute(
                    update(decisions).where(decisions.c.decision_id == row.decision_id).values(state="held")
                )
            else:
                keep_pending(connection, [PendingEvent("acme", row.decision_id, "settle", {})])
        expected = [at for at in _ages(database) if at >= datetime(2026, 7, 1, tzinfo=UTC)]
        drop_old(database, 1, NOW)
        assert _ages(database) == expected


def test_the_job_drops_by_the_setting_only(database: Database) -> None:
    keep_months(database, None, NOW)
    assert len(stored(database)) == 80
    keep_months(database, 1, NOW)
    assert len(stored(database)) == 40


def test_the_job_removes_old_rows_by_the_minute_whatever_is_kept(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals, "PRUNE_BATCH", 10)
    with closing(Database(database_url)) as database:
        seed_ledger(database, now=NOW, days=5, per_day=40)

        def instants(table: Any, *grains: str) -> list[datetime]:
            with database.read() as connection:
                found = select(table.c.bucket).where(table.c.grain.in_(grains)).order_by(table.c.bucket)
                return list(connection.execute(found).scalars())

        for late in (timedelta(0), timedelta(hours=20), timedelta(days=9)):
            before = {
                table: (instants(table, "minute"), instants(table, "hour", "day")) for table in (usage, latencies)
            }
            with _rows_of_deletes(database) as taken:
                keep_months(database, None, NOW + late)
            oldest = NOW + late - timedelta(days=2, hours=1)
            for table, (minutes, larger) in before.items():
                assert instants(table, "minute") == [at for at in minutes if at >= oldest]
                assert instants(table, "hour", "day") == larger
            assert sum(taken) == sum(at < oldest for minutes, _ in before.values() for at in minutes)
            most = max(taken) if taken else 0
            assert most <= 10 + max(Counter(minutes).most_common(1)[0][1] for minutes, _ in before.values())
        assert instants(usage, "minute") == []


@contextmanager
def _rows_of_deletes(database: Database) -> Iterator[list[int]]:
    """How many rows each DELETE takes."""
    taken: list[int] = []

    def note(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE"):
            taken.append(cursor.rowcount)

    listened.listen(database.engine, "after_cursor_execute", note)
    try:
        yield taken
    finally:
        listened.remove(database.engine, "after_cursor_execute", note)


def test_others_can_write_while_sqlite_deletes(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "DELETE_BATCH", 5)
    with closing(Database(sqlite_url)) as database, closing(Database(sqlite_url)) as other:
        migrate(database)
        write_months(database, MONTHS, each=100)
        with ThreadPoolExecutor(1) as threads:
            dropping = threads.submit(drop_old, database, 1, NOW)
            for turn in range(10):
                with other.write() as connection:
                    append(connection, "acme", some_events(2, NOW + timedelta(seconds=turn)), NOW)
                assert verify_events(other, "acme").finding is None
            dropping.result(30)
        proof = verify_events(database, "acme")
        assert (proof.finding, proof.first, proof.last) == (None, 401, 820)


def _ages(database: Database) -> list[datetime]:
    with database.read() as connection:
        return list(connection.execute(select(decisions.c.at).order_by(decisions.c.at)).scalars())


def _count(database: Database, table: Any) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def test_a_month_dropped_while_it_is_read_is_no_finding(database: Database) -> None:
    real = stored_events
    dropped: list[int] = []

    def drop_first(*arguments: Any) -> Any:
        if not dropped:
            dropped.append(len(drop_old(database, 1, NOW)))
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(verify, "stored_events", drop_first)
        proof = verify_events(database, "acme")
    assert (proof.finding, proof.events, len(proof.dropped)) == (None, 40, 2)

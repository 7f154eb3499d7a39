"""The proof of one decision's events: what is as it was written is proved, and what is not says why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, update

from engine.ledger.database import Database
from engine.ledger.proof import prove_events
from engine.ledger.tables import event_partitions, events
from tests.support.ledger_rows import SeededLedger, seed_ledger


@pytest.fixture
def kept(database_url: str) -> Iterator[tuple[Database, SeededLedger]]:
    database = Database(database_url)
    yield database, seed_ledger(database, now=datetime(2026, 11, 10, 12, tzinfo=UTC), days=20, per_day=3)
    database.close()


def _change(database: Database, table: Any, where: Any, **values: Any) -> None:
    with database.write() as connection:
        connection.execute(update(table).where(where).values(**values))


def test_events_as_they_were_written_are_proved_over_the_change_of_a_month(kept: tuple[Database, SeededLedger]) -> None:
    database, ledger = kept
    proofs = prove_events(database, "acme", range(1, len(ledger.events) + 1))
    assert [proof.seq for proof in proofs] == list(range(1, len(ledger.events) + 1))
    assert {proof.problem for proof in proofs} == {None}
    assert {proof.partition for proof in proofs} == {"2026-10", "2026-11"}
    assert [proof.previous for proof in proofs] == ["00" * 32, *(proof.hash for proof in proofs[:-1])]


def test_a_changed_content_a_changed_hash_and_a_missing_neighbour_are_found(
    kept: tuple[Database, SeededLedger],
) -> None:
    database, _ = kept
    _change(database, events, events.c.seq == 5, payload={"spent_micros": 1})
    _change(database, events, events.c.seq == 9, hash=bytes(32))
    with database.write() as connection:
        connection.execute(delete(events).where(events.c.seq == 20))
    problems = {proof.seq: proof.problem for proof in prove_events(database, "acme", (4, 5, 6, 9, 10, 20, 21))}
    assert problems[4] is None
    assert "event 5 does not have the hash of its content" in str(problems[5])
    # Its own hash still follows from the stored one before it.
    assert problems[6] is None
    assert "event 9" in str(problems[9])
    assert "event 10" in str(problems[10])
    assert problems[20] == "event 20 is missing"
    assert "event 20, which comes before it, is missing" in str(problems[21])


def test_a_checkpoint_that_does_not_fit_its_last_event_is_found(kept: tuple[Database, SeededLedger]) -> None:
    database, ledger = kept
    last = len(ledger.events)
    _change(database, event_partitions, event_partitions.c.partition == "2026-11", last_hash=bytes(32))
    [proof] = prove_events(database, "acme", [last])
    assert "the checkpoint of 2026-11 has another hash than its last event" in str(proof.problem)


def test_no_events_have_no_proof(kept: tuple[Database, SeededLedger]) -> None:
    assert prove_events(kept[0], "acme", []) == []

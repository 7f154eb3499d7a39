"""The ledger writer of a worker: one organization that fails keeps no other back, and still shows."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select

from engine.admission.gate import RedisGate
from engine.admission.keys import events_key, state_keys
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.errors import GateUnavailable
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.organizations import ensure_organization
from engine.ledger.tables import decisions, events, heartbeats, organizations
from engine.ledger.verify import verify_events
from engine.service import GovernanceService
from engine.settings import Settings
from jobs.writer_loop import WriterLoop
from tests.support.ledger_copies import LedgerCopies
from tests.support.servers import connect

PATIENCE_SECONDS = 30.0


class Offices:
    """Several organizations on one ledger and one Redis."""

    def __init__(self, database_url: str, redis_url: str, opened: ExitStack) -> None:
        self.database_url, self.redis_url, self._opened = database_url, redis_url, opened
        self.database = self._opened.enter_context(closing(Database(database_url)))
        self.redis = opened.enter_context(connect(redis_url))

    def service(self, org_id: str) -> GovernanceService:
        content = {
            "organization": org_id,
            "agents": {"hook": {"provider": "webhook"}},
            "policies": [{"policy_id": "go", "effect": "allow"}],
        }
        live = publish_document(self.database, parse_document(content, "test"), author="test", reason="test")
        settings = Settings(database_url=self.database_url, redis_url=self.redis_url, rebuild_patience_seconds=10)
        return self._opened.enter_context(GovernanceService(self.database, self.gate(), live, settings))

    def gate(self) -> RedisGate:
        return self._opened.enter_context(closing(RedisGate(self.redis_url, timeout_seconds=5.0)))

    def loop(self) -> WriterLoop:
        """Another worker's."""
        database = self._opened.enter_context(closing(Database(self.database_url)))
        return WriterLoop(database, self.gate(), lease_seconds=2)

    def stored(self, org_id: str) -> set[str]:
        with self.database.read() as connection:
            found = select(decisions.c.decision_id).where(decisions.c.org_id == org_id)
            return set(connection.execute(found).scalars())

    def heartbeat(self) -> Any:
        with self.database.read() as connection:
            return connection.execute(select(heartbeats).where(heartbeats.c.job == "ledger")).one_or_none()


@pytest.fixture
def offices(database_url: str, valkey_url: str, ledger_copies: LedgerCopies) -> Iterator[Offices]:
    ledger_copies.put(database_url, migrate)
    with ExitStack() as opened:
        yield Offices(database_url, valkey_url, opened)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ruin_stream(offices: Offices, org_id: str) -> None:
    """What no retry mends: its stream cannot be read."""
    offices.redis.delete(events_key(org_id))
    offices.redis.set(events_key(org_id), "not a stream")


def ruin_state(offices: Offices, org_id: str) -> None:
    """Its stream can be read, but nothing due can be expired."""
    offices.redis.delete(state_keys(org_id)[2])
    offices.redis.set(state_keys(org_id)[2], "not a sorted set")


@pytest.mark.parametrize("ruin", [ruin_stream, ruin_state])
def test_one_organization_that_always_fails_does_not_slow_the_others(
    offices: Offices, ruin: Any, caplog: pytest.LogCaptureFixture
) -> None:
    services = {name: offices.service(name) for name in ("a-good", "b-bad", "c-good")}
    for service in services.values():
        service.check("hook", estimated_cost=0)
    ruin(offices, "b-bad")
    with caplog.at_level(logging.INFO, "jobs"):
        loop = offices.loop()
        loop.start()
        try:
            eventually(lambda: (beat := offices.heartbeat()) is not None and beat.last_error_at is not None)
            # Until the pauses of the bad one have become long.
            eventually(lambda: any(trouble.pause >= 3.2 for trouble in list(loop._troubles.values())))
            slowest = 0.0
            for _ in range(12):
                made = {name: services[name].check("hook", estimated_cost=0).id for name in ("a-good", "c-good")}
                called = time.monotonic()
                eventually(lambda made=made: all(made[name] in offices.stored(name) for name in made))  # type: ignore[misc]
                slowest = max(slowest, time.monotonic() - called)
            assert slowest < 2
            beat = offices.heartbeat()
            assert "1 of 3 organizations; b-bad: " in beat.last_error
            assert "WRONGTYPE" in beat.last_error
            # The worker is there: pages must not say that it is silent.
            assert time.time() - beat.last_success_at.timestamp() < 4
            assert time.time() - beat.last_error_at.timestamp() < 4
            with offices.database.read() as connection:
                looked = connection.execute(select(organizations.c.org_id, organizations.c.backlog_seen_at)).all()
            seen = {row.org_id: row.backlog_seen_at for row in looked}
            newest = max(each for each in seen.values() if each is not None)
            assert (newest - (seen["c-good"] or newest)).total_seconds() < 4
            assert seen["c-good"] is not None
        finally:
            loop.stop()
    told = [record.getMessage() for record in caplog.records if "written now" in record.getMessage()]
    assert len(told) == 1, "what goes on and on is said once"


def test_what_has_become_well_again_is_written_and_said(offices: Offices, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = offices.service("good"), offices.service("bad")
    bad.check("hook", estimated_cost=0)
    offices.redis.rename(events_key("bad"), "aside")
    offices.redis.set(events_key("bad"), "not a stream")
    with caplog.at_level(logging.INFO, "jobs"):
        loop = offices.loop()
        loop.start()
        try:
            eventually(lambda: "written now" in caplog.text)
            eventually(lambda: (beat := offices.heartbeat()) is not None and beat.last_error_at is not None)
            made = good.check("hook", estimated_cost=0)
            eventually(lambda: made.id in offices.stored("good"))
            offices.redis.rename("aside", events_key("bad"))
            eventually(lambda: len(offices.stored("bad")) == 1)
            eventually(lambda: "the ledger is being written again: bad" in caplog.text)
            failed_at = offices.heartbeat().last_error_at
            eventually(lambda: (offices.heartbeat().last_success_at - failed_at).total_seconds() > 2)
        finally:
            loop.stop()


def test_a_worker_that_can_write_nothing_is_silent(offices: Offices) -> None:
    offices.service("bad").check("hook", estimated_cost=0)
    ruin_stream(offices, "bad")
    loop = offices.loop()
    loop.start()
    try:
        eventually(lambda: (beat := offices.heartbeat()) is not None and beat.last_error_at is not None)
        time.sleep(2)
        beat = offices.heartbeat()
        assert beat.last_success_at is None or beat.last_success_at < beat.last_error_at
    finally:
        loop.stop()


def test_a_worker_that_stands_by_does_not_cover_for_one_that_fails(offices: Offices) -> None:
    service = offices.service("bad")
    first, second = offices.loop(), offices.loop()
    first.start()
    try:
        eventually(lambda: (beat := offices.heartbeat()) is not None and beat.last_success_at is not None)
        second.start()
        time.sleep(1.5)
        service.check("hook", estimated_cost=0)
        ruin_stream(offices, "bad")
        eventually(lambda: offices.heartbeat().last_error_at is not None)
        time.sleep(3)
        beat = offices.heartbeat()
        assert (beat.last_error_at - beat.last_success_at).total_seconds() > 1.5
    finally:
        second.stop()
        first.stop()


def test_what_another_worker_leads_now_is_not_said_to_be_written_again(
    offices: Offices, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    loop = offices.loop()

    def fail() -> bool:
        raise GateUnavailable("Redis hangs")

    loop._try("a", "store", fail)
    loop._tell()
    time.sleep(0.2)
    loop._try("a", "store", lambda: False)
    loop._tell()
    assert [record.message for record in caplog.records] == [
        "the ledger cannot be written now: 1 of 0 organizations; a: Redis hangs"
    ]


def test_an_organization_without_a_document_is_passed_over(offices: Offices) -> None:
    offices.service("good")
    with offices.database.write() as connection:
        ensure_organization(connection, "half-made")
    loop = offices.loop()
    loop.start()
    try:
        eventually(lambda: (beat := offices.heartbeat()) is not None and beat.last_success_at is not None)
        time.sleep(1.5)
        assert offices.heartbeat().last_error_at is None
    finally:
        loop.stop()


def test_pauses_grow_for_the_one_that_fails_and_end_with_its_trouble(
    offices: Offices, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = offices.loop()
    now = 100.0
    monkeypatch.setattr("jobs.writer_loop.time.monotonic", lambda: now)
    tries: list[float] = []

    def fail() -> bool:
        tries.append(now)
        raise RuntimeError("broken")

    for _ in range(3000):
        loop._try("bad", "store", fail)
        now += 0.01
    gaps = [round(later - earlier, 1) for earlier, later in pairwise(tries)]
    assert gaps == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]
    now += 5
    loop._try("bad", "store", lambda: True)
    loop._try("bad", "store", fail)
    assert loop._troubles["bad", "store"].pause == 0.1


def test_two_workers_share_many_organizations(offices: Offices) -> None:
    """Whoever leads where: everything is stored once, and a worker that ends leaves its part to the other."""
    names = [f"org-{number:02}" for number in range(16)]
    services = {name: offices.service(name) for name in names}
    offices.service("org-bad").check("hook", estimated_cost=0)
    ruin_stream(offices, "org-bad")
    first, second = offices.loop(), offices.loop()
    made: dict[str, set[str]] = {name: set() for name in names}

    def call_all() -> None:
        for name in names:
            decision = services[name].check("hook", estimated_cost=1)
            services[name].settle(decision, actual_cost=1)
            made[name].add(decision.id)

    first.start()
    second.start()
    try:
        for _ in range(4):
            call_all()
        eventually(lambda: all(offices.stored(name) == made[name] for name in names))
        first.stop()
        call_all()
        eventually(lambda: all(offices.stored(name) == made[name] for name in names))
    finally:
        first.stop()
        second.stop()
    with offices.database.read() as connection:
        numbers = [
            sorted(connection.execute(select(events.c.seq).where(events.c.org_id == name)).scalars()) for name in names
        ]
        holders = set(connection.execute(select(organizations.c.lease_holder)).scalars())
    assert numbers == [list(range(1, 11))] * 16
    assert all(verify_events(offices.database, name).finding is None for name in names)
    assert len(holders - {None}) <= 1, "only the bad one's lease is left to run out"

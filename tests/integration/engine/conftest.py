"""One organization on real servers: its document, services, ledger writers, and what must always add up."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from sqlalchemy import select

from engine.admission.gate import RedisGate
from engine.admission.keys import state_keys
from engine.clock import to_ms, utc_now
from engine.document.load import read_document
from engine.document.store import publish_document
from engine.drain import LedgerDrain
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.tables import budget_usage, decisions, events, pending_events
from engine.service import GovernanceService
from engine.settings import Settings
from tests.support.ledger_copies import LedgerCopies
from tests.support.rollups_by_hand import as_stored, by_hand, peaks_by_hand, stored_peaks, two_days_before
from tests.support.servers import connect

PATIENT_SECONDS = 5.0
"""Deadline for tests that are about counting: a busy machine must not turn into denials."""

AGENTS = {
    "copilot_hr": {"provider": "copilot_studio", "team": "team-hr", "environment": "production"},
    "coder": {"provider": "azure_openai", "model": "gpt-4o", "team": "team-eng", "environment": "production"},
    "hook": {"provider": "webhook"},
}
OPEN = [{"policy_id": "go", "effect": "allow"}]
CLOCK_KEY = "test:clock"


LUA_CLOCK = f"now_ms = function() return tonumber(redis.call('GET', '{CLOCK_KEY}')) end"
"""Makes the real scripts read Redis' clock from a key."""


class Acme:
    """The organization `acme`."""

    org_id = "acme"

    def __init__(self, folder: Path, database_url: str, redis_url: str, opened: ExitStack) -> None:
        self.folder = folder
        self.database_url = database_url
        self.redis_url = redis_url
        self._redis: redis.Redis | None = None
        self.opened = opened
        self.databases: list[Database] = []
        self.document = self.write()

    @property
    def redis(self) -> redis.Redis:
        """A client of the server that `redis_url` names first."""
        if self._redis is None:
            self._redis = self.opened.enter_context(connect(self.redis_url))
        return self._redis

    def write(self, **parts: Any) -> Path:
        """Write a document with these parts; agents and an open policy unless given."""
        path = self.folder / "bursar.yaml"
        content = {"organization": self.org_id, "agents": AGENTS, "policies": OPEN, **parts}
        path.write_text(yaml.safe_dump(content))
        self.document = path
        return path

    def settings(self, **changed: Any) -> Settings:
        return Settings(
            **{"database_url": self.database_url, "redis_url": self.redis_url, "state_dir": self.folder / "state",
               "redis_timeout_seconds": PATIENT_SECONDS, "rebuild_patience_seconds": 10,
               "ledger_patience_seconds": PATIENT_SECONDS, **changed}
        )  # fmt: skip

    def service(self, **changed: Any) -> GovernanceService:
        """A service on the document as written last."""
        service = self.opened.enter_context(
            GovernanceService.from_document(self.document, settings=self.settings(**changed))
        )
        self.databases.append(service.database)
        return service

    def clocked_service(self, at: datetime, **changed: Any) -> GovernanceService:
        """A service whose Redis believes that it is `at`; move it with `set_clock`."""
        self.set_clock(at)
        return self.unopened_service(LUA_CLOCK, **changed)

    def unopened_service(self, lua_clock: str = "", **changed: Any) -> GovernanceService:
        """A service that has not looked whether its state is in Redis."""
        database = self.open_database()
        live = publish_document(database, read_document(self.document), author="test", reason="test")
        gate = self.opened.enter_context(
            closing(RedisGate(self.redis_url, timeout_seconds=PATIENT_SECONDS, lua_clock=lua_clock))
        )
        return self.opened.enter_context(GovernanceService(database, gate, live, self.settings(**changed)))

    def set_clock(self, at: datetime) -> None:
        self.redis.set(CLOCK_KEY, to_ms(at))

    def open_database(self) -> Database:
        database = self.opened.enter_context(closing(Database(self.database_url)))
        self.databases.append(database)
        migrate(database)
        return database

    def writer(self, service: GovernanceService | None = None, *, lease_seconds: int = 10) -> LedgerDrain:
        """A ledger writer, on connections of its own unless a service lends its gate."""
        gate = (
            service.gate
            if service
            else self.opened.enter_context(closing(RedisGate(self.redis_url, timeout_seconds=PATIENT_SECONDS)))
        )
        return LedgerDrain(self.open_database(), gate, self.org_id, lease_seconds=lease_seconds)

    def store(self, service: GovernanceService | None = None) -> None:
        """Bring the ledger up to date and give the lease back."""
        writer = self.writer(service)
        assert writer.drain(give_up_after=20)
        writer.release()

    def store_everything(self, service: GovernanceService | None = None) -> None:
        """The same until nothing waits any more: what is folded in leaves events, and only so much is at once."""
        patience = time.monotonic() + 30
        while True:
            self.store(service)
            if not self.rows(pending_events) and not self.events():
                return
            assert time.monotonic() < patience

    def counters(self) -> dict[str, int]:
        """What Redis counts, zeros left out."""
        stored: Any = self.redis.hgetall(state_keys(self.org_id)[0])
        return {name: int(value) for name, value in stored.items() if "|" in name and int(value)}

    def events(self) -> list[dict[str, str]]:
        """The stream's entries that are not in SQL yet."""
        entries: Any = self.redis.xrange(state_keys(self.org_id)[3])
        return [fields for _, fields in entries]

    def rows(self, *tables: Any) -> list[Any]:
        with self.open_database().read() as connection:
            return list(connection.execute(select(*tables or (decisions,))).all())

    def state_of(self, decision_id: str) -> tuple[str, int]:
        (row,) = [row for row in self.rows() if row.decision_id == decision_id]
        return row.state, row.spent_micros

    def assert_adds_up(self) -> None:
        """Every event is there once, and every total equals a count of the decisions done by hand."""
        recorded = sorted(self.rows(events), key=lambda row: int(row.seq))
        assert [row.seq for row in recorded] == list(range(1, len(recorded) + 1))
        places = [tuple(map(int, row.stream_id.split("-"))) for row in recorded]
        assert places == sorted(set(places))
        stored = self.rows(decisions)
        assert {row.org_id for row in self.rows(budget_usage)} <= {self.org_id}
        counted = {
            (row.budget_id, row.scope, row.period, row.period_label): (
                row.spent_micros,
                row.held_micros,
                row.executions,
            )
            for row in self.rows(budget_usage)
        }
        by_hand = _count_budgets(stored)
        assert {key: value for key, value in counted.items() if any(value)} == by_hand
        assert _redis_counters(by_hand) == self.counters()
        self.assert_rollups_add_up()

    def assert_rollups_add_up(self) -> None:
        """Every rollup equals a count of the decisions done by hand."""
        stored, minutes_from = self.rows(), two_days_before(utc_now())
        wanted = by_hand(stored, minutes_from)
        with self.open_database().read() as connection:
            kept, peaks = as_stored(connection, self.org_id, minutes_from), stored_peaks(connection)
        for table, cells in wanted.items():
            assert kept[table] == cells, table
        wanted_peaks, outages = peaks_by_hand(stored), _hours_near_outages(stored)
        for key in peaks.keys() | wanted_peaks.keys():
            peak, wanted_peak = peaks.get(key, 0), wanted_peaks.get(key, 0)
            # A denial that an outage's decision took the place of has left its reading.
            assert peak >= wanted_peak if key[0] in outages else peak == wanted_peak, key


def _hours_near_outages(stored: list[Any]) -> set[datetime]:
    hours = {row.at.replace(minute=0, second=0, microsecond=0) for row in stored if row.fail_open}
    return {hour + timedelta(hours=shift) for hour in hours for shift in (-1, 0, 1)}


def _count_budgets(stored: list[Any]) -> dict[tuple[str, ...], tuple[int, ...]]:
    totals: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in stored:
        for counter in row.tests["counters"] if row.outcome == "allowed" else ():
            total = totals[(counter["budget_id"], counter["scope"], counter["period"], counter["period_label"])]
            total[0] += row.spent_micros
            total[1] += row.reserve_micros if row.state == "held" else 0
            total[2] += row.state != "cancelled"
    return {key: tuple(value) for key, value in totals.items() if any(value)}


def _redis_counters(totals: dict[tuple[str, ...], tuple[int, ...]]) -> dict[str, int]:
    named = {
        f"{'|'.join(key)}:{suffix}": value
        for key, values in totals.items()
        for suffix, value in zip("shx", values, strict=True)
    }
    return {name: value for name, value in named.items() if value}


@pytest.fixture
def acme(tmp_path: Path, sqlite_url: str, valkey_url: str, ledger_copies: LedgerCopies) -> Iterator[Acme]:
    """The organization on SQLite."""
    ledger_copies.put(sqlite_url, migrate)
    with ExitStack() as opened:
        yield Acme(tmp_path, sqlite_url, valkey_url, opened)


@pytest.fixture
def acme_on_each(tmp_path: Path, database_url: str, valkey_url: str, ledger_copies: LedgerCopies) -> Iterator[Acme]:
    """The organization, once on each kind of database."""
    ledger_copies.put(database_url, migrate)
    with ExitStack() as opened:
        yield Acme(tmp_path, database_url, valkey_url, opened)


@pytest.fixture
def in_a_while() -> Any:
    """An instant so many seconds from now."""
    return lambda **duration: utc_now() + timedelta(**duration)

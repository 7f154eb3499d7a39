"""Pages of decisions whose matches are rare or long ago: none is left out, and none is sought in the whole ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event

from engine.clock import to_ms
from engine.ids import new_decision_id
from engine.ledger.database import Database
from engine.ledger.queries.decisions import DecisionCursor, DecisionFilter, DecisionPage, decision_page
from engine.ledger.queries.user_days import CALLS_READ, ChosenDays, UserDay, chosen_days, user_days
from engine.ledger.queries.where_to_look import where_to_look
from engine.ledger.tables import decisions, metadata
from tests.support.ledger_rollups import minutes_kept, rollup_rows
from tests.support.ledger_rows import seed_ledger
from tests.support.servers import PostgresServer

NOW = datetime(2026, 11, 23, 9, 42, 10, tzinfo=UTC)
TODAY = datetime(2026, 11, 23, tzinfo=UTC)
NOON = TODAY - timedelta(hours=12)
DAYS = 130
RETIRED_FOR = 105
"""More days than are looked at for one page."""
BUSY = {"user_id": "busy", "agent_id": "daily", "team_id": "many", "provider": "webhook"}


@dataclass
class Far:
    """One call a day of team `rare` at 20:05, six a day of user `busy`, of whose agents one has long been retired."""

    rows: list[dict[str, Any]]
    connection: Connection

    def walk(self, wanted: dict[str, Any], *, before: datetime | None = None, limit: int = 50) -> list[DecisionPage]:
        cursor = DecisionCursor.at_start_of(before) if before else None
        pages: list[DecisionPage] = []
        while not pages or cursor:
            assert len(pages) <= 500
            page = decision_page(self.connection, "acme", DecisionFilter(**wanted), before=cursor, limit=limit)
            pages.append(page)
            cursor = page.older
        return pages

    def expected(self, wanted: dict[str, Any], before: datetime | None = None) -> list[str]:
        values = dict(wanted)
        start, end = values.pop("start", None), values.pop("end", None)
        found = [
            (row["at"], row["decision_id"])
            for row in self.rows
            if all(row[name] == value for name, value in values.items())
            and (start is None or row["at"] >= start)
            and (end is None or row["at"] < end)
            and (before is None or row["at"] < before)
        ]
        return [decision_id for _, decision_id in sorted(found, reverse=True)]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def far(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    if request.param == "sqlite":
        yield from _far(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}")
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        with server.new_database() as url:
            yield from _far(url)


def _far(url: str) -> Iterator[Far]:
    database = Database(url)
    made = seed_ledger(database, now=NOW, days=1, per_day=1).decisions[0]
    rows = [{**made, **row} for row in _made_up()]
    for row in rows:
        row["decision_id"] = new_decision_id(to_ms(row["at"]))
    with database.write() as connection:
        for table in (decisions, *(metadata.tables[name] for name in ("usage", "users", "policies", "latencies"))):
            connection.execute(table.delete())
        connection.execute(decisions.insert(), rows)
        for name, found in rollup_rows(rows, minutes_kept(NOW)).items():
            if found and name != "limits":
                connection.execute(metadata.tables[name].insert(), found)
    with database.read() as connection:
        yield Far(rows, connection)
    database.close()


def _made_up() -> Iterator[dict[str, Any]]:
    denied = {"outcome": "denied", "reason": "policy_deny", "state": "denied", "spent_micros": 0, "actual_micros": None,
              "success": None, "closed_at": None, "expires_at": None, "fail_open": False}  # fmt: skip
    allowed = {**denied, "outcome": "allowed", "reason": "allowed", "state": "cancelled"}
    for back in range(1, DAYS + 1):
        day = TODAY - timedelta(days=back)
        yield {**denied, "at": day.replace(hour=20, minute=5), "team_id": "rare", "agent_id": "seldom",
               "user_id": "quiet", "provider": "custom_rest_api"}  # fmt: skip
        for hour in range(0, 24, 4):
            retired = hour == 8 and back >= RETIRED_FOR
            own = {"agent_id": "retired", "team_id": "gone"} if retired else {}
            verdict = denied if hour == 12 and back % 9 == 0 else allowed
            yield {**verdict, "at": day.replace(hour=hour, minute=1), **BUSY, **own}
        # Another user's denials of the same agent in the same day: the daily cells cannot tell them apart.
        yield {**denied, "at": day.replace(hour=3, minute=7), **BUSY, "user_id": "other", "reason": "policy_no_allow"}


@contextmanager
def _asked_of_decisions(connection: Connection) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_c: Any, _d: Any, statement: str, _p: Any, _x: Any, _m: bool) -> None:
        if "FROM decisions" in statement:
            seen.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    yield seen
    event.remove(connection, "before_cursor_execute", note)


@pytest.mark.parametrize("limit", [7, 50])
@pytest.mark.parametrize(
    "wanted",
    [
        {"team_id": "rare"},
        {"team_id": "rare", "end": NOON},
        {"team_id": "rare", "end": NOON - timedelta(days=60), "start": NOON - timedelta(days=120)},
        {"team_id": "rare", "outcome": "denied", "end": TODAY - timedelta(days=1)},
        {"user_id": "quiet", "team_id": "rare", "end": NOON},
        {"user_id": "busy", "agent_id": "retired"},
        {"user_id": "busy", "agent_id": "retired", "end": NOON - timedelta(days=110)},
        {"user_id": "busy", "reason": "policy_deny", "end": NOON},
        {"user_id": "busy", "outcome": "denied"},
        {"user_id": "busy", "outcome": "allowed", "start": NOON - timedelta(days=20), "end": NOON},
        {"user_id": "busy", "team_id": "gone"},
    ],
    ids=",".join,
)
def test_walking_meets_every_match_also_where_the_end_lies_within_a_day(
    far: Far, wanted: dict[str, Any], limit: int
) -> None:
    seen = [line.decision_id for page in far.walk(wanted, limit=limit) for line in page.lines]
    assert seen == far.expected(wanted)
    assert len(seen) > 3


@pytest.mark.parametrize(
    "wanted", [{"team_id": "rare"}, {"provider": "custom_rest_api", "outcome": "denied"},
               {"user_id": "quiet", "agent_id": "seldom"}], ids=",".join,
)  # fmt: skip
def test_a_page_may_begin_anywhere(far: Far, wanted: dict[str, Any]) -> None:
    for before in (NOON, NOON - timedelta(days=3), TODAY, TODAY - timedelta(days=50, hours=4)):
        seen = [line.decision_id for page in far.walk(wanted, before=before) for line in page.lines]
        assert seen == far.expected(wanted, before)


@pytest.mark.parametrize(
    "never", [{"agent_id": "never"}, {"team_id": "never"}, {"team_id": "rare"}, {"reason": "unknown_price"},
              {"model": "never"}, {"outcome": "never"}], ids=",".join,
)  # fmt: skip
def test_what_a_user_never_did_is_not_sought_in_the_users_calls(far: Far, never: dict[str, Any]) -> None:
    with _asked_of_decisions(far.connection) as asked:
        pages = far.walk({"user_id": "busy", **never})
    assert asked == []
    assert [page.lines for page in pages] == [[]] * len(pages)
    assert len(pages) == 2, "130 days are looked at 100 at a time"


def test_an_agent_that_was_retired_is_sought_where_it_was_called(far: Far) -> None:
    wanted = DecisionFilter(user_id="busy", agent_id="retired")
    first = where_to_look(far.connection, "acme", wanted)
    assert first.spans == []
    assert first.older == TODAY - timedelta(days=100)
    second = where_to_look(far.connection, "acme", wanted, DecisionCursor.at_start_of(first.older))
    [span] = second.spans
    assert span == (TODAY - timedelta(days=DAYS), TODAY - timedelta(days=RETIRED_FOR - 1))
    assert second.older is None


def test_days_are_those_in_which_anybody_called(far: Far) -> None:
    wanted = DecisionFilter(user_id="busy", outcome="denied", start=NOON - timedelta(days=30), end=NOON)
    found = user_days(far.connection, "acme", wanted, before=None)
    assert [day.day for day in found] == [TODAY - timedelta(days=back) for back in range(1, 32)]
    assert {day.calls for day in found} == {6}
    assert [day.day for day in found if day.may_match] == [TODAY - timedelta(days=back) for back in (9, 18, 27)]
    reasons = user_days(far.connection, "acme", DecisionFilter(user_id="busy", reason="policy_deny"), before=None)
    assert [day.day for day in reasons if day.may_match] == [TODAY - timedelta(days=9 * n) for n in range(1, 12)]
    assert len(reasons) == 100
    assert user_days(far.connection, "acme", wanted, before=NOON - timedelta(days=4), limit=3) == found[4:7]
    assert user_days(far.connection, "nobody", wanted, before=None) == []


def _days(*calls: int, matching: tuple[int, ...]) -> list[UserDay]:
    return [UserDay(TODAY - timedelta(days=number), each, number in matching) for number, each in enumerate(calls)]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ([], (None, None, None)),
        (_days(9, 9, matching=()), (None, None, None)),
        (_days(9, 9, 9, matching=()), (None, None, 2)),
        (_days(9, 5, 9, matching=(1,)), (1, 1, 2)),
        (_days(1, 1, matching=(0, 1)), (0, 1, None)),
        # Not more than ten calls, those of the days between counted along.
        (_days(4, 2, 4, matching=(0, 2)), (0, 2, 2)),
        (_days(4, 3, 4, matching=(0, 2)), (0, 0, 0)),
        # A whole day at least.
        (_days(0, 99, matching=(1,)), (1, 1, None)),
    ],
)
def test_as_many_days_are_chosen_as_have_so_many_calls(
    days: list[UserDay], expected: tuple[int | None, int | None, int | None]
) -> None:
    at = [None if back is None else TODAY - timedelta(days=back) for back in expected]
    assert chosen_days(days, looked_at_most=3, calls_read=10) == ChosenDays(*at)


def test_a_page_of_a_very_busy_user_reads_a_bounded_number_of_calls() -> None:
    days = _days(*[1_500] * 100, matching=tuple(range(100)))
    chosen = chosen_days(days)
    assert chosen == (TODAY, TODAY - timedelta(days=2), TODAY - timedelta(days=2))
    assert 3 * 1_500 <= CALLS_READ < 4 * 1_500

"""The ledger that is measured: its rollups are those of its decisions, and every question finds an answer in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, case, func, select

from benchmarks.blocks import CannotRun
from benchmarks.ledger_cases import cases
from benchmarks.ledger_fill import decisions_in, fill, kept_decisions
from benchmarks.ledger_filled import look_around, newest_decision
from benchmarks.ledger_server import LOADING, SERVING, private_postgres
from benchmarks.ledger_timing import plans_of, time_cases
from engine.ledger.database import Database
from engine.ledger.queries.measures import Measures
from engine.ledger.queries.slice import Slice
from engine.ledger.queries.spend import spend_totals
from engine.ledger.tables import budget_usage, decisions, latencies, limits, usage, users
from tests.support.servers import PostgresServer

NOW = datetime(2026, 11, 23, 9, 42, 10, tzinfo=UTC)
ROWS = 6_000


@pytest.fixture(scope="module")
def measured(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.new_database() as url, closing(Database(url)) as database:
        assert decisions_in(database) == 0
        fill(database, ROWS, now=NOW)
        yield database


def _sums(connection: Connection, *columns: Any) -> list[int]:
    return [int(value or 0) for value in connection.execute(select(*columns)).one()]


def test_it_has_as_many_decisions_as_asked_for_and_none_after_now(measured: Database) -> None:
    assert decisions_in(measured) == ROWS
    with measured.read() as connection:
        newest = newest_decision(connection)
        assert NOW - timedelta(hours=3) < newest <= NOW


def test_its_rollups_are_those_of_its_decisions(measured: Database) -> None:
    table = decisions
    settled = table.c.state == "settled"
    with measured.read() as connection:
        expected = _sums(
            connection,
            func.count(),
            func.sum(table.c.estimate_micros),
            func.sum(table.c.spent_micros),
            func.sum(table.c.actual_micros),
            func.sum(case((settled, func.abs(table.c.actual_micros - table.c.estimate_micros)), else_=0)),
            func.sum(case((table.c.success.is_(False), 1), else_=0)),
            func.sum(case((table.c.fail_open, 1), else_=0)),
        )
        names = ("decisions", "estimate_micros", "spent_micros", "actual_micros", "absolute_error_micros", "failed",
                 "fail_open")  # fmt: skip
        for grain in ("hour", "day"):
            columns = [func.sum(usage.c[name]).filter(usage.c.grain == grain) for name in names]
            assert _sums(connection, *columns) == expected
        assert _sums(connection, func.sum(users.c.decisions), func.sum(users.c.spent_micros)) == [
            expected[0],
            expected[2],
        ]
        assert _sums(
            connection,
            func.sum(latencies.c.calls).filter(latencies.c.grain == "day", latencies.c.metric == "prepare_us"),
        ) == [ROWS]
        org = budget_usage.c.budget_id == "org"
        assert _sums(
            connection, func.sum(budget_usage.c.spent_micros).filter(org, budget_usage.c.period == "month")
        ) == [expected[2]]
        part = Slice("acme", NOW - timedelta(days=100), NOW)
        totals = spend_totals(connection, part)
        assert isinstance(totals, Measures)
        assert (totals.decisions, totals.spent_micros, totals.fail_open) == (ROWS, expected[2], expected[6])


NOTHING = re.compile(
    r"no such|none|never|another|rare (agent|team|user|provider|reason)|(agent|user), reason|user, agent|user, team"
    r"|everything|retired|5 min"
)
"""Names of questions that may find nothing: they ask for what is rare, never occurs together, or is a moment long."""
QUIET = {
    "waiting_in_stream", "backlog", "open_holds", "ledger_lag", "is_settled", "budget_metrics: from 80 %",
    "undelivered", "outdated_decisions", "latest_redis_reading", "last_tests", "alert_acts", "linked_alerts",
}  # fmt: skip
"""Nothing waits for a ledger that nobody writes, nobody has acted on it or asked Redis beside it, and so small a one is
far below its budgets."""


def test_every_question_finds_an_answer(measured: Database) -> None:
    with measured.read() as connection:
        asked = cases(look_around(connection, newest_decision(connection)))
    timings = time_cases(measured, asked, rounds=1)
    assert set(timings) == set(asked)
    # At most two for a view; three says whether everything is settled, for the demo.
    assert {name for name, timing in timings.items() if timing.statements > 2} <= {"is_settled"}
    empty = {name for name, timing in timings.items() if timing.empty}
    assert {name for name in empty if not NOTHING.search(name)} <= QUIET
    # Rare is not absent.
    for found in ("rare agent", "rare team", "rare user", "rare provider", "rare reason"):
        assert f"decision_page: {found}" not in empty
    assert {f"decision_page: {absent}" for absent in ("user, agent", "user, team", "no such reason")} <= empty
    assert all("Execution Time" in plan for plan in plans_of(measured, asked["decision_page: everything"]))


def test_what_is_rare_is_rare_and_never_with_others(measured: Database) -> None:
    with measured.read() as connection:
        filled = look_around(connection, newest_decision(connection))

        def called(**wanted: str) -> list[Any]:
            conditions = [decisions.c[name] == value for name, value in wanted.items()]
            return list(connection.execute(select(decisions).where(*conditions).order_by(decisions.c.at)))

        rare = called(agent_id=filled.rare_agent)
        assert len(rare) == len(called(team_id=filled.rare_team)) == len(called(user_id=filled.rare_user)) == 5
        assert {(row.team_id, row.user_id) for row in rare} == {(filled.rare_team, filled.rare_user)}
        assert {row.reason for row in rare} == {"allowed", "policy_deny", "rate_per_minute"}
        assert not called(agent_id=filled.rare_agent, user_id=filled.busy_user)
        retired = called(agent_id=filled.retired_agent)
        assert len(retired) > 5
        assert retired[-1].at < NOW - timedelta(days=79)
        for reason in ("policy_error", "budget_monthly_cost"):
            assert 1 <= len(called(reason=reason)) <= 5


def test_limits_are_used_as_far_as_the_calls_use_them(measured: Database) -> None:
    minutes: Counter[tuple[str, datetime]] = Counter()
    hours: Counter[tuple[str, datetime]] = Counter()
    denied: set[tuple[str, datetime]] = set()
    with measured.read() as connection:
        for row in connection.execute(select(decisions.c.at, decisions.c.user_id, decisions.c.reason)):
            hour = row.at.replace(minute=0, second=0, microsecond=0)
            for scope in (row.user_id, "acme"):
                minutes[scope, row.at.replace(second=0, microsecond=0)] += row.reason == "allowed"
                hours[scope, hour] += row.reason == "allowed"
            if row.reason == "rate_per_minute":
                denied.add((row.user_id, hour))
        peaks = {
            (row.scope, row.bucket, row.window): row.peak_permille
            for row in connection.execute(
                select(limits.c.scope, limits.c.bucket, limits.c.window, limits.c.peak_permille)
            )
        }
    by_minute: Counter[tuple[str, datetime]] = Counter()
    for (scope, minute), number in minutes.items():
        by_minute[scope, minute.replace(minute=0)] = max(by_minute[scope, minute.replace(minute=0)], number)
    checked = 0
    for (scope, bucket, window), peak in peaks.items():
        if window == "day" or (window == "minute" and (scope, bucket) in denied):
            continue
        limit = {("minute", True): 2_000, ("hour", True): 20_000, ("minute", False): 10, ("hour", False): 100}[
            window, scope == "acme"
        ]
        used = (by_minute if window == "minute" else hours)[scope, bucket]
        exceeded = peak == 1000 and window == "hour"
        assert exceeded or peak == min(1000, used * 1000 // limit)
        checked += 1
    assert checked > 1_000
    assert {peaks[scope, hour, "minute"] for scope, hour in denied} == {1000}


def test_a_ledger_is_kept_only_when_its_fill_was_finished(postgres_server: PostgresServer) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with postgres_server.new_database() as url, closing(Database(url)) as database:
        assert kept_decisions(database) is None
        with pytest.raises(KeyboardInterrupt):
            fill(database, 1_000, now=NOW, after_rows=stop)
        with pytest.raises(CannotRun, match="fill was not finished"):
            kept_decisions(database)


def test_a_ledger_of_another_made_up_world_is_not_asked(measured: Database) -> None:
    assert kept_decisions(measured) == ROWS
    with measured.write() as connection:
        connection.exec_driver_sql("UPDATE benchmark_fill SET world = world - 1")
    with pytest.raises(CannotRun, match="another version"):
        kept_decisions(measured)


@pytest.mark.timeout(120)
def test_the_measured_server_waits_for_its_disk_and_has_what_was_loaded() -> None:
    try:
        with private_postgres(None) as server:
            server.start(LOADING)
            assert server.settings()["fsync"] == "off"
            with closing(Database(server.url)) as database, database.write() as connection:
                connection.exec_driver_sql("CREATE TABLE loaded AS SELECT 1 AS number")
            server.start(SERVING)
            assert SERVING.items() <= server.settings().items()
            with closing(Database(server.url)) as database, database.read() as connection:
                assert connection.exec_driver_sql("SELECT number FROM loaded").scalar_one() == 1
    except CannotRun as problem:
        pytest.skip(str(problem))

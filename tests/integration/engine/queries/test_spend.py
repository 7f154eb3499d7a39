"""Spend, compared with sums over the seeded decisions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, event

from engine.analytics.forecast import forecast_month
from engine.errors import InvalidValue
from engine.ledger.queries.measures import Measures
from engine.ledger.queries.names import known_names
from engine.ledger.queries.slice import Slice
from engine.ledger.queries.spend import OTHER, SPLIT_COLUMNS, Split, agent_spend, spend_by, spend_moves, spend_totals
from engine.ledger.queries.spend_days import spend_by_day, spend_history
from engine.ledger.queries.users import top_users
from tests.integration.engine.queries.conftest import FILTERS, NOW, Seeded, slice_of

TODAY = datetime(2026, 11, 23, tzinfo=UTC)
MONTH = TODAY.replace(day=1)
SPANS = {
    "the month to date": (MONTH, NOW),
    "the month before": (datetime(2026, 10, 1, tzinfo=UTC), MONTH),
    "a New York month": (datetime(2026, 11, 1, tzinfo=ZoneInfo("America/New_York")), NOW),
    "the last hour": (NOW.replace(second=0) - timedelta(minutes=59), NOW),
    "yesterday, from ten to ten past eleven": (
        TODAY - timedelta(hours=14),
        TODAY - timedelta(hours=12, minutes=50),
    ),
    "today": (TODAY, NOW),
    "all": (NOW.replace(second=0, minute=0) - timedelta(days=60), NOW),
    "nothing": (MONTH, MONTH),
    "long before": (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC)),
}
COLUMNS: dict[Split, str] = {
    "team": "team_id",
    "agent": "agent_id",
    "provider": "provider",
    "model": "model",
    "environment": "environment",
    "complexity": "complexity",
    "reason": "reason",
}


def counted(rows: list[dict[str, Any]]) -> Measures:
    """The measures of decisions, one by one."""
    settled = [row for row in rows if row["state"] == "settled"]
    denied = [row for row in rows if row["outcome"] == "denied"]
    return Measures(
        decisions=len(rows),
        spent_micros=sum(row["spent_micros"] for row in rows),
        settled=len(settled),
        settled_estimate_micros=sum(row["estimate_micros"] for row in settled),
        actual_micros=sum(row["actual_micros"] for row in settled),
        absolute_error_micros=sum(abs(row["actual_micros"] - row["estimate_micros"]) for row in settled),
        failed=sum(row["success"] is False for row in rows),
        cancelled=sum(row["state"] == "cancelled" for row in rows),
        expired=sum(row["state"] == "expired" for row in rows),
        fail_open=sum(row["fail_open"] for row in rows),
        denied=len(denied),
        denied_estimate_micros=sum(row["estimate_micros"] for row in denied),
        allowed_estimate_micros=sum(row["estimate_micros"] for row in rows if row["outcome"] == "allowed"),
    )


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("words", FILTERS)
def test_totals_are_the_sums_of_the_slices_decisions(seeded: Seeded, span: str, words: str) -> None:
    part = slice_of("acme", *SPANS[span], **FILTERS[words])
    assert spend_totals(seeded.connection, part) == counted(seeded.rows(part))


def test_every_measure_occurs_in_the_seed(seeded: Seeded) -> None:
    totals = spend_totals(seeded.connection, slice_of("acme", *SPANS["all"]))
    assert all(getattr(totals, name) > 0 for name in Measures.__slots__)
    assert totals.allowed + totals.denied == totals.decisions
    assert totals.cost_per_success_micros == round(totals.spent_micros / (totals.settled - totals.failed))
    assert totals.settled_share == totals.settled / (totals.allowed - totals.cancelled)
    assert totals.settled_cost_share == totals.settled_estimate_micros / totals.allowed_estimate_micros < 1
    assert totals.unsettled_share == totals.expired / (totals.settled + totals.expired)
    assert totals.bias == totals.actual_micros / totals.settled_estimate_micros - 1 or totals.bias is not None


def test_ratios_of_nothing_are_none(seeded: Seeded) -> None:
    totals = spend_totals(seeded.connection, slice_of("nobody", MONTH, NOW))
    assert totals == Measures()
    assert {totals.cost_per_success_micros, totals.settled_share, totals.settled_cost_share,
            totals.unsettled_share, totals.bias, totals.wape, totals.denied_share} == {None}  # fmt: skip


@pytest.mark.parametrize("split", SPLIT_COLUMNS)
@pytest.mark.parametrize("words", ["everything", "a team", "an agent"])
def test_a_split_adds_up_to_its_names_the_dearest_first(seeded: Seeded, split: Split, words: str) -> None:
    part = slice_of("acme", *SPANS["the month to date"], **FILTERS[words])
    by_name: dict[str, list[Any]] = defaultdict(list)
    for row in seeded.rows(part):
        by_name[row[COLUMNS[split]]].append(row)
    found = spend_by(seeded.connection, part, split)
    assert {each.name: each.sums for each in found} == {name: counted(rows) for name, rows in by_name.items()}
    spent = [each.sums.spent_micros for each in found]
    assert spent == sorted(spent, reverse=True)
    assert len(spend_by(seeded.connection, part, split, limit=1)) == min(1, len(found))


@pytest.mark.parametrize("words", FILTERS)
def test_agents_come_with_their_team_and_provider(seeded: Seeded, words: str) -> None:
    part = slice_of("acme", *SPANS["the month to date"], **FILTERS[words])
    by_agent: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for row in seeded.rows(part):
        by_agent[row["agent_id"], row["team_id"], row["provider"]].append(row)
    found = agent_spend(seeded.connection, part)
    assert {(each.agent_id, each.team_id, each.provider): each.sums for each in found} == {
        name: counted(rows) for name, rows in by_agent.items()
    }


@pytest.mark.parametrize("split", ["team", "agent", "provider"])
def test_movers_are_those_whose_spend_changed_most(seeded: Seeded, split: Split) -> None:
    now = slice_of("acme", MONTH, NOW)
    before = now.during(MONTH - timedelta(days=31), MONTH - timedelta(days=31) + timedelta(days=22))
    change: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for part, index in ((now, 0), (before, 1)):
        for row in seeded.rows(part):
            change[row[COLUMNS[split]]][index] += row["spent_micros"]
    expected = {name: sums for name, sums in change.items() if sums[0] != sums[1]}
    moves = spend_moves(seeded.connection, now, before, split)
    assert {move.name: [move.now_micros, move.before_micros] for move in moves} == expected
    sizes = [abs(move.change_micros) for move in moves]
    assert sizes == sorted(sizes, reverse=True)
    assert spend_moves(seeded.connection, now, before, split, limit=2) == moves[:2]


def test_movers_of_overlapping_slices_are_refused(seeded: Seeded) -> None:
    part = slice_of("acme", MONTH, NOW)
    with pytest.raises(InvalidValue, match="before"):
        spend_moves(seeded.connection, part, part, "team")


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo", "Pacific/Auckland"])
@pytest.mark.parametrize("words", ["everything", "a provider", "an unknown agent"])
def test_days_are_those_of_the_zone(seeded: Seeded, zone: str, words: str) -> None:
    """The clocks of New York and Auckland change within these days."""
    start = datetime(2026, 10, 20, tzinfo=ZoneInfo(zone))
    part = slice_of("acme", start, NOW, **FILTERS[words])
    names = ["copilot_hr", "coding_assistant"]
    expected: dict[tuple[date, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in seeded.rows(part):
        name = row["agent_id"] if row["agent_id"] in names else OTHER
        cell = expected[row["at"].astimezone(ZoneInfo(zone)).date(), name]
        cell[0] += row["spent_micros"]
        cell[1] += 1
        cell[2] += row["outcome"] == "denied"
    found = spend_by_day(seeded.connection, part, "agent", names, zone=zone)
    assert {(each.day, each.name): [each.spent_micros, each.decisions, each.denied] for each in found} == expected
    assert [each.day for each in found] == sorted(each.day for each in found)


def test_days_of_a_half_hour_zone_lose_no_call_and_are_at_most_an_hour_off(seeded: Seeded) -> None:
    zone = "Asia/Kolkata"
    part = slice_of("acme", datetime(2026, 10, 20, tzinfo=ZoneInfo(zone)), NOW)
    rows = [row for row in seeded.rows(part) if row["at"] >= part.bounds()[0]]
    found = spend_by_day(seeded.connection, part, "agent", [], zone=zone)
    assert sum(each.spent_micros for each in found) == sum(row["spent_micros"] for row in rows)
    moved = timedelta(minutes=30)
    expected = Counter((row["at"] - moved).astimezone(ZoneInfo(zone)).date() for row in rows)
    assert {each.day: each.decisions for each in found} == expected


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_history_is_what_a_forecast_takes(seeded: Seeded, zone: str) -> None:
    local = ZoneInfo(zone)
    part = slice_of("acme", datetime(2026, 9, 14, tzinfo=local), NOW)
    spent: Counter[date] = Counter()
    for row in seeded.rows(part):
        spent[row["at"].astimezone(local).date()] += row["spent_micros"]
    history = spend_history(seeded.connection, part, zone=zone)
    assert history is not None
    assert history.today == NOW.astimezone(local).date()
    assert history.first_day == min(spent)
    assert history.so_far_micros == spent[history.today]
    days = [history.first_day + timedelta(days=number) for number in range(len(history.days))]
    assert days[-1] == history.today - timedelta(days=1)
    assert dict(zip(days, history.days, strict=True)) == {day: spent[day] for day in days}
    forecast = forecast_month(history.days, today=history.today, so_far_micros=history.so_far_micros)
    assert forecast is not None
    assert forecast.month_to_date_micros == sum(amount for day, amount in spent.items() if day.month == 11)


@pytest.mark.parametrize("ask", [
    lambda connection, part: spend_by_day(connection, part, "agent", [], zone="America/New_York"),
    lambda connection, part: spend_history(connection, part, zone="America/New_York"),
], ids=["by_day", "history"])  # fmt: skip
def test_days_are_read_along_an_index(seeded: Seeded, ask: Callable[[Connection, Slice], object]) -> None:
    """Days of a zone have hours on both sides of every midnight: as so many ranges they make a database read it all."""
    if seeded.connection.dialect.name != "sqlite":
        pytest.skip("PostgreSQL reads a small table as a whole, and rightly")
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _d: Any, statement: str, parameters: Any, _x: Any, _m: bool) -> None:
        statements.append((statement, parameters))

    event.listen(seeded.connection, "before_cursor_execute", note)
    assert ask(seeded.connection, slice_of("acme", datetime(2026, 9, 14, tzinfo=ZoneInfo("America/New_York")), NOW))
    event.remove(seeded.connection, "before_cursor_execute", note)
    statement, parameters = statements[-1]
    plan = [str(row[-1]) for row in seeded.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    looked_up = [step for step in plan if "usage" in step]
    assert looked_up
    assert all("bucket" in step for step in looked_up), looked_up


def test_nothing_has_no_history(seeded: Seeded) -> None:
    assert spend_history(seeded.connection, slice_of("nobody", MONTH, NOW)) is None
    assert spend_by_day(seeded.connection, slice_of("nobody", MONTH, NOW), "team", []) == []


def test_known_names_are_those_seen(seeded: Seeded) -> None:
    rows = seeded.rows(slice_of("acme", MONTH, NOW))
    names = known_names(seeded.connection, "acme", since=MONTH)
    assert names.teams == sorted({row["team_id"] for row in rows})
    assert names.providers == sorted({row["provider"] for row in rows})
    assert names.agents == sorted({row["agent_id"] for row in rows})
    later = known_names(seeded.connection, "globex", since=NOW + timedelta(days=1))
    assert (later.teams, later.providers, later.agents) == ([], [], [])


def test_known_names_are_of_the_whole_day_in_which_they_are_asked_from(seeded: Seeded) -> None:
    rows = seeded.rows(slice_of("acme", TODAY - timedelta(days=1), NOW))
    for since in (NOW - timedelta(days=1), (NOW - timedelta(days=1)).astimezone(ZoneInfo("Asia/Tokyo"))):
        found = known_names(seeded.connection, "acme", since=since)
        assert found.agents == sorted({row["agent_id"] for row in rows})
    assert known_names(seeded.connection, "acme", since=NOW).agents


@pytest.mark.parametrize("agent", [None, "copilot_hr"])
def test_users_are_those_of_whole_utc_days(seeded: Seeded, agent: str | None) -> None:
    part = slice_of("acme", TODAY - timedelta(days=6), NOW, agent_id=agent)
    expected: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in seeded.rows(part):
        cell = expected[row["user_id"]]
        cell[0] += 1
        cell[1] += row["outcome"] == "denied"
        cell[2] += row["spent_micros"]
    found = top_users(seeded.connection, part)
    assert {each.user_id: [each.decisions, each.denied, each.spent_micros] for each in found} == expected
    assert [each.spent_micros for each in found] == sorted((each.spent_micros for each in found), reverse=True)
    assert top_users(seeded.connection, part, limit=2) == found[:2]
    with pytest.raises(InvalidValue, match="8 days"):
        top_users(seeded.connection, part.during(MONTH, NOW))

"""The Spend page: every number against the seeded rows, its links, its states."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.parts.spend_table import budgets_of
from dashboard.wording import money, percent, plural
from engine.analytics.forecast import forecast_month
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from tests.support.app_pages import open_page, pages_of, text_of, with_tables
from tests.support.ledger_rows import MONTHLY_LIMITS, SeededLedger, seed_empty_organization, seed_ledger

Row = dict[str, Any]

ZONE = ZoneInfo("America/New_York")
DAYS = 75
WORTH = Decimal("0.20")
LIMIT = 60
DOCUMENT = {
    "organization": "acme",
    "timezone": "America/New_York",
    "agents": {
        "copilot_hr": {"provider": "copilot_studio", "team": "team-hr", "value_per_success_usd": "0.20"},
        "coding_assistant": {"provider": "azure_openai", "team": "team-eng"},
    },
    "budgets": [
        {"id": "org", "per": "org", "monthly_budget_usd": LIMIT},
        {"id": "copilots", "per": "agent", "applies_to": {"provider": "copilot_studio"}, "monthly_budget_usd": 120},
    ],
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeededLedger]:
    """Two and a half months, which these tests only read."""
    url = f"sqlite:///{tmp_path_factory.mktemp('spend') / 'ledger.db'}"
    database = Database(url)
    seeded = seed_ledger(database, now=datetime.now(UTC), days=DAYS, per_day=12)
    publish_document(database, parse_document(DOCUMENT, "test"), author="test", reason="test")
    database.close()
    with pages_of(url):
        yield seeded


@pytest.fixture(scope="module")
def page(ledger: SeededLedger) -> AppTest:
    """The page as it opens."""
    app = with_tables(open_page("spend"))
    assert not app.exception
    return app


def local(row: Row) -> date:
    day: date = row["at"].astimezone(ZONE).date()
    return day


def today(ledger: SeededLedger) -> date:
    return ledger.now.astimezone(ZONE).date()


def last_days(ledger: SeededLedger, number: int) -> list[Row]:
    first = today(ledger) - timedelta(days=number - 1)
    return [row for row in ledger.decisions if local(row) >= first]


def this_month(ledger: SeededLedger) -> list[Row]:
    first = today(ledger).replace(day=1)
    return [row for row in ledger.decisions if local(row) >= first]


def spent(rows: list[Row]) -> int:
    return sum(row["spent_micros"] for row in rows)


def shown(app: AppTest) -> dict[str, tuple[str, str]]:
    return {metric.label: (metric.value, metric.delta.replace("\\", "")) for metric in app.metric}


def table_of(app: AppTest, column: str) -> Any:
    """The table beside a chart: only those with clickable rows have a key in this runner."""
    [table] = [each.value for each in app.dataframe if each.key is None and column in each.value]
    return table


def month_bounds(ledger: SeededLedger) -> tuple[datetime, datetime]:
    first = today(ledger).replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    start, end = (datetime(day.year, day.month, 1, tzinfo=ZONE).astimezone(UTC) for day in (first, following))
    return start, end


def test_the_month_is_compared_with_the_plan_pro_rata(ledger: SeededLedger, page: AppTest) -> None:
    value, beside = shown(page)["Month to date"]
    assert value == money(spent(this_month(ledger)))
    start, end = month_bounds(ledger)
    planned = LIMIT * 1_000_000 * ((ledger.now - start) / (end - start))
    apart = spent(this_month(ledger)) - planned
    amount, words = beside.split(" ", 1)
    assert words == f"{'above' if apart > 0 else 'below'} plan"
    # The plan goes on between the seed and the page.
    assert abs(float(amount.removeprefix("$")) - abs(apart) / 1_000_000) < 0.02


def test_the_forecast_is_that_of_the_days_of_the_rows(ledger: SeededLedger, page: AppTest) -> None:
    by_day: Counter[date] = Counter()
    for row in ledger.decisions:
        by_day[local(row)] += row["spent_micros"]
    first = min(by_day)
    days = [by_day[first + timedelta(days=number)] for number in range((today(ledger) - first).days)]
    forecast = forecast_month(
        days, today=today(ledger), so_far_micros=by_day[today(ledger)], limit_micros=LIMIT * 1_000_000
    )
    assert forecast is not None
    value, beside = shown(page)["Month forecast"]
    assert value == money(forecast.total_micros)
    assert (
        f"80 % of such months end between {money(forecast.low_micros)} and {money(forecast.high_micros)}."
        in text_of(page)
    )
    if forecast.crossing is not None and forecast.crossing.day is not None:
        assert beside.endswith(f" plan {forecast.crossing.day:%d %b}")
    else:
        assert beside.startswith("80 %: ")


def test_costs_denials_and_coverage_are_those_of_the_range(ledger: SeededLedger) -> None:
    numbers = shown(open_page("spend", range="7d"))
    week = last_days(ledger, 7)
    succeeded = sum(row["success"] is True for row in week)
    denied = [row for row in week if row["outcome"] == "denied"]
    assert numbers["Cost per success"][0] == money(round(spent(week) / succeeded))
    assert numbers["Blocked (estimated)"] == (
        money(sum(row["estimate_micros"] for row in denied)),
        f"{len(denied)} denied, 7 days",
    )
    # The organization's budget is about every call.
    assert numbers["Spend under a budget"] == (percent(1.0), "in 7 days")


def test_a_row_has_spend_month_use_days_and_return(ledger: SeededLedger, page: AppTest) -> None:
    table = {row["Agent"]: row for row in page.dataframe(key="spend_agent").value.to_dict("records")}
    month, recent = this_month(ledger), last_days(ledger, 30)
    by_agent: dict[str, list[Row]] = defaultdict(list)
    for row in recent:
        by_agent[row["agent_id"]].append(row)
    assert list(table) == sorted(by_agent, key=lambda name: (-spent(by_agent[name]), name))
    for name, rows in by_agent.items():
        assert table[name]["Spent, the last 30 days"] == pytest.approx(spent(rows) / 1_000_000)
        own = [row for row in month if row["agent_id"] == name]
        assert table[name]["Month to date"] == pytest.approx(spent(own) / 1_000_000)
    rows = by_agent["copilot_hr"]
    line = list(table["copilot_hr"]["Last 30 days"])
    assert len(line) == 30
    assert sum(line) == pytest.approx(spent(rows) / 1_000_000)
    assert line[-1] == pytest.approx(spent([row for row in rows if local(row) == today(ledger)]) / 1_000_000)
    value = float(WORTH) * sum(row["success"] is True for row in rows)
    cost = spent(rows) / 1_000_000
    assert table["copilot_hr"]["ROI"] == pytest.approx(100 * (value - cost) / cost)
    counter = next(
        use for use in ledger.budgets
        if (use["budget_id"], use["scope"], use["period_label"]) == ("copilots", "copilot_hr", f"{ledger.now:%Y-%m}")
    )  # fmt: skip
    assert table["copilot_hr"]["Budget used"] == pytest.approx(
        100 * counter["spent_micros"] / MONTHLY_LIMITS["copilots"]
    )


def test_what_moved_is_the_difference_of_two_spans_of_equal_length(ledger: SeededLedger, page: AppTest) -> None:
    now, day = ledger.now.astimezone(ZONE), today(ledger)
    month = day.replace(day=1)
    last_month = (month - timedelta(days=1)).replace(day=1)
    if day.day >= 3:
        first, before, back = month, last_month, month - last_month
    else:
        first, before, back = day - timedelta(days=29), day - timedelta(days=59), timedelta(days=30)
    until = min((now - back).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1), _midnight(first))
    change: Counter[str] = Counter()
    for row in ledger.decisions:
        at = row["at"].astimezone(ZONE)
        if at >= _midnight(first):
            change[row["agent_id"]] += row["spent_micros"]
        # Minutes are not kept so long: the hour that has begun belongs to it.
        elif _midnight(before) <= at < until:
            change[row["agent_id"]] -= row["spent_micros"]
    table = table_of(page, "Change")
    expected = {name: micros for name, micros in change.items() if micros}
    assert {row["Agent"]: row["Change"] for row in table.to_dict("records")} == {
        name: money(micros) if micros < 0 else f"+{money(micros)}" for name, micros in expected.items()
    }
    assert list(table["Agent"]) == sorted(expected, key=lambda name: (-abs(expected[name]), name))


def test_the_days_of_the_chart_and_the_burn_up_add_up_to_the_rows(ledger: SeededLedger, page: AppTest) -> None:
    by_day = table_of(page, "Provider")
    days = by_day["Day (America/New_York)"]
    cells: dict[tuple[str, str], int] = defaultdict(int)
    for row in last_days(ledger, 30):
        cells[row["provider"], local(row).isoformat()] += row["spent_micros"]
    found = dict(zip(zip(by_day["Provider"], days, strict=True), by_day["Spent"], strict=True))
    others = {key: value for key, value in found.items() if key[0] != "others"}
    assert others == {key: money(micros) for key, micros in cells.items() if key in others}
    assert len(others) > 30
    burn = table_of(page, "Until")
    assert list(burn["Spent"])[-1] == money(spent(this_month(ledger)))
    assert len(burn) == today(ledger).day


def test_a_link_by_team_over_a_day_shows_teams_and_hours(ledger: SeededLedger) -> None:
    app = with_tables(open_page("spend", org="acme", range="24h", by="Team"))
    assert not app.exception
    table = {row["Team"]: row for row in app.dataframe(key="spend_team").value.to_dict("records")}
    start = ledger.now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=23)
    teams: Counter[str] = Counter()
    for row in ledger.decisions:
        if row["at"] >= start:
            teams[row["team_id"] or "–"] += row["spent_micros"]
    assert {name: row["Spent, the last 24 hours"] for name, row in table.items()} == pytest.approx(
        {name: micros / 1_000_000 for name, micros in teams.items()}
    )
    hours = table_of(app, "Provider")
    assert set(hours) == {"Provider", "Hour (UTC)", "Spent"}


def test_a_team_is_shown_alone_and_without_the_plan_of_all(ledger: SeededLedger) -> None:
    app = open_page("spend", team="team-eng")
    value, beside = shown(app)["Month to date"]
    assert value == money(spent([row for row in this_month(ledger) if row["team_id"] == "team-eng"]))
    assert beside == "no plan"
    assert "monthly_budget_usd" in text_of(app)
    assert list(app.dataframe(key="spend_agent").value["Agent"]) == ["coding_assistant"]


def test_the_headline_names_who_moved_it_and_held_money_is_said_apart(ledger: SeededLedger, page: AppTest) -> None:
    text = text_of(page)
    most = table_of(page, "Change")["Agent"]
    assert " moved it most: " in text
    assert any(f"{name} moved it most" in text for name in most)
    held = [row for row in ledger.decisions if row["state"] == "held"]
    micros = sum(row["reserve_micros"] for row in held)
    assert held, "money is held in the seeded ledger"
    assert f"in no number here: {money(micros)} in {plural(len(held), 'open call')}" in text


def test_a_viewer_sees_it_and_may_take_the_report(ledger: SeededLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "viewer")
    app = open_page("spend")
    assert not app.exception
    assert len(app.metric) == 5
    assert "report" in [button.key for button in app.get("download_button")]


def test_a_part_without_calls_says_how_to_see_more(ledger: SeededLedger) -> None:
    app = open_page("spend", agent="ghost")
    assert "No calls match these filters" in text_of(app)
    assert not app.metric


@pytest.mark.parametrize(
    ("level", "name", "expected"),
    [
        ("team", "team-hr", {"org": "acme", "team": "team-hr"}),
        ("agent", "copilot_hr", {"org": "acme", "agent": "copilot_hr"}),
        ("team", "", {"org": "acme"}),
    ],
)
def test_a_row_leads_to_its_budgets(level: Any, name: str, expected: dict[str, str]) -> None:
    assert budgets_of("acme", level, name) == expected


def few_days(database: Database) -> None:
    seed_ledger(database, now=datetime.now(UTC), days=4, per_day=8)


def nothing(database: Database) -> None:
    seed_empty_organization(database, now=datetime.now(UTC))


@pytest.mark.parametrize(
    ("fill", "said"), [(few_days, "rough, from "), (nothing, "Run `bursar demo`, or make a first check.")]
)
def test_a_young_ledger_says_what_it_does_not_know_yet(
    ledger_url: str, fill: Callable[[Database], None], said: str
) -> None:
    database = Database(ledger_url)
    fill(database)
    database.close()
    app = open_page("spend")
    assert not app.exception
    assert said in text_of(app)
    for metric in app.metric:
        assert "None" not in f"{metric.value}{metric.delta}"
        assert "nan" not in f"{metric.value}{metric.delta}"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZONE)

from datetime import UTC, datetime, timedelta
from typing import Any

from dashboard.charts import budget_use, decisions_over_time, spend_over_time
from dashboard.palette import palette_for
from dashboard.windows import Window
from engine.ledger.queries.budgets import BudgetUse
from engine.ledger.queries.spend import OTHER
from engine.ledger.queries.usage_series import UsageCell

PALETTE = palette_for("light")
END = datetime(2026, 11, 23, 10, tzinfo=UTC)
WINDOW = Window("hour", END - timedelta(hours=24), END)
NOW_BUCKET = END - timedelta(hours=1)
BEFORE = END - timedelta(hours=2)


def _cell(bucket: datetime, name: str, micros: int, reason: str = "allowed", decisions: int = 1) -> UsageCell:
    outcome = "allowed" if reason == "allowed" else "denied"
    return UsageCell(bucket, name, outcome, reason, decisions, micros)


def _budget(limit: int | None, spent: int, held: int = 0, budget_id: str = "copilots") -> BudgetUse:
    return BudgetUse(budget_id, "copilot_hr", "month", "2026-11", END, limit, None, spent, held, 3)


def _bars(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_spend_is_stacked_by_name_in_dollars() -> None:
    cells = [_cell(BEFORE, "a", 3_000_000), _cell(BEFORE, "a", 0, "policy_deny"), _cell(BEFORE, OTHER, 1_000_000)]
    chart = spend_over_time(cells, WINDOW, ["a"], "the last 24 hours", PALETTE)
    assert {name: list(trace.y) for name, trace in _bars(chart.figure).items()} == {"a": [3.0], "others": [1.0]}
    assert chart.figure.layout.barmode == "stack"
    assert chart.title == "a spent 75 % of $4.00 in the last 24 hours"
    assert chart.rows[0] == {"Name": "a", "Spent": "$3.00", "Share": "75 %"}


def test_the_current_bucket_is_fainter_because_it_is_not_over() -> None:
    cells = [_cell(BEFORE, "a", 10), _cell(NOW_BUCKET, "a", 10)]
    chart = spend_over_time(cells, WINDOW, ["a"], "x", PALETTE)
    assert list(_bars(chart.figure)["a"].marker.opacity) == [1.0, 0.5]


def test_a_lone_bar_fills_its_own_hour() -> None:
    [bar] = spend_over_time([_cell(BEFORE, "a", 10)], WINDOW, ["a"], "x", PALETTE).figure.data
    middle = BEFORE.replace(tzinfo=None) + timedelta(minutes=30)
    assert list(bar.x) == [middle]
    assert 0.5 * 3_600_000 < bar.width < 3_600_000


def test_the_time_axis_covers_the_whole_window_in_utc() -> None:
    chart = spend_over_time([_cell(BEFORE, "a", 10)], WINDOW, ["a"], "x", PALETTE)
    start, end = chart.figure.layout.xaxis.range
    assert (start, end) == (WINDOW.start.replace(tzinfo=None), WINDOW.end.replace(tzinfo=None))


def test_a_name_keeps_its_colour_when_another_one_leaves() -> None:
    both = [_cell(BEFORE, "copilot_studio", 5), _cell(BEFORE, "azure_openai", 9)]
    first = _bars(spend_over_time(both, WINDOW, ["azure_openai", "copilot_studio"], "x", PALETTE).figure)
    second = _bars(spend_over_time(both[:1], WINDOW, ["copilot_studio"], "x", PALETTE).figure)
    assert first["copilot_studio"].marker.color == second["copilot_studio"].marker.color


def test_nothing_spent_is_said_in_words() -> None:
    assert spend_over_time([], WINDOW, [], "the last 24 hours", PALETTE).title == "Nothing spent in the last 24 hours"


def test_denied_decisions_are_grouped_by_cause_below_the_allowed_ones() -> None:
    cells = [
        _cell(BEFORE, "a", 0, decisions=6),
        _cell(BEFORE, "a", 0, "policy_deny", 1),
        _cell(BEFORE, "b", 0, "policy_no_allow", 2),
        _cell(BEFORE, "a", 0, "rate_per_minute", 1),
    ]
    chart = decisions_over_time(cells, WINDOW, "the last 24 hours", PALETTE)
    assert [(trace.name, list(trace.y)) for trace in chart.figure.data] == [
        ("Denied by rate limit", [1]),
        ("Denied by policy", [3]),
        ("Allowed", [6]),
    ]
    assert chart.title == "40 % of 10 calls denied, most by policy"


def test_a_reason_of_a_newer_version_is_still_counted() -> None:
    chart = decisions_over_time([_cell(BEFORE, "a", 0, "quota_of_2030", 4)], WINDOW, "x", PALETTE)
    assert [(trace.name, list(trace.y)) for trace in chart.figure.data] == [("quota_of_2030", [4])]


def test_budget_bars_are_shares_of_their_limits_with_held_apart_from_spent() -> None:
    chart = budget_use([_budget(100, 60, 20), _budget(200, 50)], PALETTE)
    bars = _bars(chart.figure)
    assert list(bars["Spent"].x) == [0.6, 0.25]
    assert list(bars["Held"].x) == [0.2, 0.0]
    assert bars["Spent"].marker.color != bars["Held"].marker.color
    assert [shape.x0 for shape in chart.figure.layout.shapes] == [1]
    assert chart.title == "Fullest: copilots · copilot_hr · this month, 60 % spent"


def test_a_full_budget_is_named_and_a_limit_of_zero_divides_nothing() -> None:
    chart = budget_use([_budget(0, 0), _budget(100, 100), _budget(100, 99)], PALETTE)
    assert chart.title == "2 budgets are full"
    assert "full" in chart.figure.layout.annotations[1].text


def test_unlimited_budgets_are_in_the_table_only() -> None:
    chart = budget_use([_budget(None, 70)], PALETTE)
    assert list(_bars(chart.figure)["Spent"].x) == []
    assert chart.rows[0]["Limit"] == "no limit"
    assert chart.title == "No budget with a money limit is in use"

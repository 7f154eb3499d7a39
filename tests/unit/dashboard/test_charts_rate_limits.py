"""Figures of the Rate limits page: their numbers, their finding in words, both palettes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.charts.rate_limits import denied_by_tier, fail_open_strip, throttled_by_window, utilisation
from dashboard.palette import Palette, palette_for
from dashboard.parts.rate_scopes import narrowed, scope_rows, suggested_limit
from dashboard.windows import window_of
from engine.document.load import parse_document
from engine.ledger.queries.rate_limits import HeatCell, ScopePressure, Throttling, TierDenials

NOW = datetime(2026, 11, 26, 9, 42, tzinfo=UTC)
HOUR = datetime(2026, 11, 26, 9, tzinfo=UTC)
DAY = window_of("24h", NOW)
WORDS = "the last 24 hours"


@pytest.fixture(params=["light", "dark"])
def palette(request: pytest.FixtureRequest) -> Palette:
    return palette_for(request.param)


def test_denials_are_stacked_by_the_window_that_said_no_and_the_running_hour_is_fainter(palette: Palette) -> None:
    cells = [
        Throttling(HOUR - timedelta(hours=1), 100, minute=7, hour=2, day=0, fail_open=0),
        Throttling(HOUR, 50, minute=1, hour=0, day=0, fail_open=0),
    ]
    chart = throttled_by_window(cells, DAY, WORDS, palette)
    assert chart.title == "10 of 150 calls throttled, most by the limit per minute"
    assert [(bar.name, list(bar.y)) for bar in chart.figure.data] == [
        ("Limit per minute", [7, 1]),
        ("Limit per hour", [2, 0]),
    ]
    assert list(chart.figure.data[0].marker.opacity) == [1.0, 0.5]
    assert chart.rows[0]["Limit per hour"] == "2"


@pytest.mark.parametrize(
    ("cells", "title"),
    [
        ([], "No calls in the last 24 hours"),
        ([Throttling(HOUR, 8, 0, 0, 0, 0)], "None of 8 calls was throttled in the last 24 hours"),
    ],
)
def test_nothing_to_show_is_said(cells: list[Throttling], title: str, palette: Palette) -> None:
    chart = throttled_by_window(cells, DAY, WORDS, palette)
    assert (chart.title, chart.rows) == (title, [])
    assert title in chart.alt


def test_each_tier_is_named_by_whom_it_limits_and_hours_add_up_to_the_days_of_a_longer_range(palette: Palette) -> None:
    week = window_of("7d", NOW)
    cells = [
        TierDenials(HOUR, "each-user", 6),
        TierDenials(HOUR - timedelta(hours=2), "each-user", 3),
        TierDenials(HOUR, "ceiling", 1),
    ]
    chart = denied_by_tier(cells, {"each-user": "user"}, week, "the last 7 days", palette)
    assert chart.title == "each-user (per user) made 90 % of 10 denials by rate limits"
    assert [(bar.name, list(bar.y)) for bar in chart.figure.data] == [("each-user (per user)", [9]), ("ceiling", [1])]
    assert [row["Tier"] for row in chart.rows] == ["user", "–"]


def test_the_heat_map_has_every_hour_and_the_scope_that_denied_most_on_top(palette: Palette) -> None:
    cells = [
        HeatCell(HOUR, "each-user", "ann", 1000, 12),
        HeatCell(HOUR - timedelta(hours=3), "each-user", "bob", 700, 0),
    ]
    chart = utilisation(cells, DAY, palette)
    heat = chart.figure.data[0]
    assert list(heat.y) == ["bob · each-user", "ann · each-user"]
    assert len(heat.x) == 24
    assert [value for value in heat.z[1] if value is not None] == [1.0]
    assert heat.z[0][20] == 0.7
    assert chart.title == "1 scope used a whole limit"
    assert chart.rows[0] == {
        "Hour (UTC)": "26 Nov 09:00", "Scope": "ann", "Rate limit": "each-user", "Fullest": "100 %", "Denied": "12",
    }  # fmt: skip


def test_the_strip_has_only_the_hours_without_the_limiter(palette: Palette) -> None:
    cells = [Throttling(HOUR - timedelta(hours=1), 9, 0, 0, 0, 4), Throttling(HOUR, 9, 0, 0, 0, 0)]
    chart = fail_open_strip(cells, DAY, WORDS, palette)
    assert chart.title == "4 calls let through while the limiter was away"
    assert list(chart.figure.data[0].y) == [4]
    assert chart.figure.data[0].marker.color == palette.over_limit


@pytest.mark.parametrize(("limit", "denied", "suggested"), [(30, 14, 49), (100, 1, 120), (1000, 250, 1400), (1, 1, 3)])
def test_the_suggested_limit_would_have_kept_the_worst_hour(limit: int, denied: int, suggested: int) -> None:
    assert suggested_limit(limit, denied) == suggested >= limit + denied


def test_rows_name_the_limit_with_bursts_and_lead_to_the_calls_they_are_about() -> None:
    document = parse_document(
        {
            "organization": "acme",
            "rate_limits": [{"id": "u", "per": "user", "requests_per_minute": 10, "burst_multiplier": 1.5}],
        },
        "test",
    )
    lines = [
        ScopePressure("u", "ann", "minute", 3, 1, 90, 6, 4, 0, 1000),
        ScopePressure("u", "bob", "minute", 1, 0, 9, 0, 0, 2, 600),
        ScopePressure("gone", "acme", "hour", 1, 1, 9, 2, 2, 0, 1200),
    ]
    ann, bob, gone = scope_rows(lines, document)
    assert (ann.shown["Limit"], ann.shown["429s"], ann.shown["Suggested limit"]) == ("15", 6, "21")
    assert ann.link == {"outcome": "denied", "reason": "rate_per_minute", "user": "ann"}
    assert (bob.shown["Suggested limit"], bob.link) == ("keep", {"user": "bob"})
    assert (gone.shown["Limit"], gone.shown["Suggested limit"], gone.shown["Peak"]) == ("–", "limit is gone", 100.0)
    assert [line.scope for line in narrowed(lines, "u", None)] == ["ann", "bob"]
    assert [line.scope for line in narrowed(lines, None, "acme")] == ["acme"]

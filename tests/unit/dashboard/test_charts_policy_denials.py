"""Figures and rows of the Policy denials page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.charts.policy_denials import denials_by_policy, policy_by_agent
from dashboard.palette import Palette, palette_for
from dashboard.parts.policy_table import policy_rows
from dashboard.windows import window_of
from engine.document.load import parse_document
from engine.ledger.queries.policy_denials import PolicyAgent, PolicyEffect
from engine.policy.lint.findings import Finding, FindingCode

NOW = datetime(2026, 11, 26, 9, 42, tzinfo=UTC)
HOUR = datetime(2026, 11, 26, 9, tzinfo=UTC)
WEEK, WORDS = window_of("7d", NOW), "the last 7 days"


@pytest.fixture(params=["light", "dark"])
def palette(request: pytest.FixtureRequest) -> Palette:
    return palette_for(request.param)


def test_denials_of_hours_add_up_to_days_and_the_title_names_the_policy_behind_most(palette: Palette) -> None:
    cells = [(HOUR, "block_dev", 3), (HOUR - timedelta(hours=1), "block_dev", 3), (HOUR, "region", 2)]
    chart = denials_by_policy(cells, WEEK, WORDS, palette)
    assert chart.title == "block_dev is behind 75 % of 8 denials in the last 7 days"
    assert [(bar.name, list(bar.y)) for bar in chart.figure.data] == [("block_dev", [6]), ("region", [2])]
    assert [row["Denied"] for row in chart.rows] == ["6", "2"]


def test_no_denial_is_said_in_words(palette: Palette) -> None:
    chart = denials_by_policy([], WEEK, WORDS, palette)
    assert chart.title == "Policies denied no call in the last 7 days"
    assert policy_by_agent([], WORDS, palette).title == "No policy denied an agent in the last 7 days"


def test_the_matrix_has_the_number_in_each_field_and_the_policy_that_denied_most_on_top(palette: Palette) -> None:
    cells = [
        PolicyAgent("block_dev", "bot", 9, HOUR, HOUR),
        PolicyAgent("region", "bot", 2, HOUR, HOUR),
        PolicyAgent("region", "hr", 1, HOUR, HOUR),
    ]
    chart = policy_by_agent(cells, WORDS, palette)
    heat = chart.figure.data[0]
    assert (list(heat.x), list(heat.y)) == (["bot", "hr"], ["region", "block_dev"])
    assert [list(row) for row in heat.z] == [[2, 1], [9, None]]
    assert chart.title == "block_dev denies bot most: 9 times"
    assert chart.rows[0]["Last hour (UTC)"] == "26 Nov 09:00"


def test_the_table_has_policies_that_never_applied_and_those_that_are_gone() -> None:
    document = parse_document(
        {
            "organization": "acme",
            "policies": [
                {"policy_id": "allow_all", "effect": "allow", "priority": 51, "conditions": [{"environments": ["p"]}]},
                {"policy_id": "try", "effect": "deny", "priority": 2, "shadow": True,
                 "conditions": [{"environments": ["q"]}]},
                {"policy_id": "off", "effect": "deny", "priority": 3, "enabled": False,
                 "conditions": [{"environments": ["q"]}]},
            ],
        },
        "test",
    )  # fmt: skip
    effects = [
        PolicyEffect("old", "deny", False, 5, 1, HOUR, HOUR),
        PolicyEffect("allow_all", "allow", False, 70, 2, HOUR - timedelta(hours=3), HOUR),
        PolicyEffect("try", "deny", True, 4, 1, HOUR, HOUR),
    ]
    rows = policy_rows(document, effects, [Finding(FindingCode.BAND, "off", "is outside of its band.")])
    assert [(row["Policy"], row["State"], row["Denied"]) for row in rows] == [
        ("old", "no longer in the document", 5),
        ("try", "in shadow", 0),
        ("off", "disabled", 0),
        ("allow_all", "enforced", 0),
    ]
    by_id = {row["Policy"]: row for row in rows}
    assert by_id["try"]["In shadow"] == "would deny 4"
    assert (by_id["allow_all"]["Allowed"], by_id["allow_all"]["First seen"]) == (70, "26 Nov 06:00")
    assert (by_id["off"]["Lint"], by_id["off"]["Last seen"]) == ("is outside of its band.", "never here")

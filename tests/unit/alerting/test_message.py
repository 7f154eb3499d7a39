"""What notifications say, and where they go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from engine.alerting.budget_usage import AlertState, Counter, CounterUse, Crossing, find_crossings
from engine.alerting.message import Message, Spenders, crossing_message, crossing_title
from engine.alerting.routing import LOG, Channel, channels_for
from engine.document.load import parse_document
from engine.document.schema import AlertsSpec
from jobs.delivery.slack import slack_blocks, slack_text

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOVEMBER = (datetime(2026, 11, 1, 4, tzinfo=UTC), datetime(2026, 12, 1, 5, tzinfo=UTC))


def crossing(spent: int, limit: str = "500", per: str = "agent", **budget: Any) -> Crossing:
    document = parse_document(
        {"organization": "acme", "budgets": [{"id": "copilots", "per": per, "monthly_budget_usd": limit, **budget}]},
        "t",
    )
    use = CounterUse(Counter("copilots", "copilot_hr", "month", "2026-11"), *NOVEMBER, spent)
    return find_crossings(document, [use], [], NOW).crossings[0]


def message(found: Crossing, spenders: Spenders | None = None, mention: str | None = "@oncall") -> Message:
    return crossing_message(
        found,
        spenders or Spenders(),
        org_id="acme",
        zone="America/New_York",
        dashboard_url="https://bursar.example/",
        mention=mention,
    )


def test_a_message_says_what_how_bad_until_when_who_and_where_to_look() -> None:
    spenders = Spenders(agents=[("copilot_hr", 300_000_000), ("bot", 5_000)], users=[("user-001", 12_000_000)])
    assert message(crossing(481_500_000), spenders).text == (
        "Critical: Monthly budget 'copilots' of agent copilot_hr is at 96.3 %\n"
        "$481.50 of $500.00 spent; critical from 95 % on.\n"
        "Period 2026-11 ends 2026-12-01 00:00 America/New_York.\n"
        "Most by agents: copilot_hr $300.00, bot $0.005.\n"
        "Most by users, in the latest calls: user-001 $12.00.\n"
        "https://bursar.example/spend?org=acme&range=30d"
    )


def test_the_percentage_is_never_rounded_up_over_a_threshold() -> None:
    assert crossing_title(crossing(474_999_999)).endswith("is at 94.9 %")
    assert crossing_title(crossing(475_000_000, per="org")) == "Monthly budget 'copilots' is at 95.0 %"
    assert crossing_title(crossing(12_345_000_000)).endswith("is at 2,469.0 %")


def test_a_budget_of_nothing_is_told_without_a_percentage() -> None:
    assert crossing_title(crossing(50_000, limit="0")).endswith("allows no spend, and $0.05 was spent")


def test_a_message_survives_its_storage() -> None:
    told = message(crossing(481_500_000))
    assert Message.from_json(told.to_json()) == told


def test_only_critical_messages_mention_somebody() -> None:
    assert message(crossing(481_500_000)).mention == "@oncall"
    assert message(crossing(410_000_000)).mention is None


def test_slack_text_is_escaped_and_carries_mention_and_repeat_mark() -> None:
    told = replace(message(crossing(481_500_000), mention="@here"), repeat=True)
    assert slack_text(told).startswith("<!here> (possible repeat) Critical: ")
    assert "?org=acme&amp;range=30d" in slack_text(told)
    headline, facts = slack_blocks(told)
    assert headline["text"]["text"].startswith("<!here> *(possible repeat) Critical: ")
    assert "<https://bursar.example/spend?org=acme&amp;range=30d|Open the spend page>" in facts["text"]["text"]
    for mention, written in [("@oncall", "@oncall "), ("<!subteam^S0AB>", "<!subteam^S0AB> "), ("<x>", "&lt;x&gt; ")]:
        assert slack_text(replace(told, mention=mention)).startswith(written)


def test_severities_go_to_their_channels_once_and_to_the_log_without_a_route() -> None:
    alerts = AlertsSpec.model_validate(
        {
            "channels": {"ops": {"slack": "#agent-ops", "mention": "@oncall"}, "file": {"log": True}},
            "routes": {"critical": ["ops", "file", "ops"]},
        }
    )
    assert channels_for(alerts, "critical") == [
        Channel("ops", "slack", "#agent-ops", "@oncall"),
        Channel("file", "log"),
    ]
    assert channels_for(alerts, "warning") == [LOG]
    assert channels_for(AlertsSpec(), "critical") == [LOG]
    assert crossing(481_500_000).state is AlertState.FIRING

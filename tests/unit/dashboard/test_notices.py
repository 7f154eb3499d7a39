"""What the list of notifications says of an alert, and of each that was told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dashboard.notices import notification_text
from engine.ledger.queries.notifications import NotificationLine, Told

NOW = datetime(2026, 11, 23, 9, 42, tzinfo=UTC)
TOLD = Told("ops", "slack", "#agent-ops", "delivered", 1, NOW, None, "slack")
LINE = NotificationLine("a", "policy_deny", "critical", "Many calls are denied", "firing", NOW, None, None, (TOLD,))


def text(line: NotificationLine = LINE, **told: Any) -> str:
    """As it reads, without what Markdown needs."""
    if told:
        line = replace(line, told=(replace(TOLD, **told),))
    return notification_text(line, NOW).replace("\\", "")


def test_what_was_delivered_is_said_to_be_where_it_is() -> None:
    assert "delivered] to slack #agent-ops" in text()
    assert "delivered] to the log channel (for #agent-ops)" in text(by="log")
    assert "delivered] to the log channel (for #agent-ops)" in text(channel_type="log", by="log")
    assert text(channel="log", channel_type="log", target="", by="log").endswith("delivered] to the log channel]")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"state": "waiting"}, "waiting to be sent with others] to slack #agent-ops"),
        ({"state": "queued"}, "waiting] to slack #agent-ops"),
        (
            {"state": "unknown", "attempts": 2, "error": "timed out"},
            "may have arrived, will be sent again] to slack #agent-ops after 2 attempts: timed out",
        ),
        ({"state": "dead", "error": "channel_not_found"}, "after 1 attempt: channel_not_found"),
        ({"state": "suppressed", "error": "silenced: 019a"}, "not sent: silenced] slack #agent-ops"),
        ({"state": "suppressed", "error": "inhibited: 019a"}, "not sent: another alert said it] slack"),
        ({"state": "suppressed", "error": "digest:019a"}, "told in one message with others] slack #agent-ops"),
    ],
)
def test_what_became_of_a_message_is_said_in_words(told: dict[str, Any], said: str) -> None:
    assert said in text(**told)
    assert "019a" not in text(**told)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"acknowledged_by": "dana"}, ":blue[acknowledged by dana]"),
        ({"hidden_by": "silenced"}, ":gray[silenced]"),
        ({"hidden_by": "inhibited"}, "another alert says it]"),
        ({"alert_state": "recovering"}, ":orange[recovering]"),
        ({"alert_state": "resolved"}, ":green[resolved]"),
    ],
)
def test_where_the_alert_is_in_its_life_stands_beside_it(facts: dict[str, Any], said: str) -> None:
    assert said in text(replace(LINE, **facts))
    assert said not in text()


def test_of_what_is_over_nobody_needs_to_know_who_had_it() -> None:
    assert "dana" not in text(replace(LINE, alert_state="resolved", acknowledged_by="dana"))


def test_an_alert_told_with_another_says_so_and_one_for_pages_only_too() -> None:
    superseded = text(replace(LINE, alert_state="superseded", told=()))
    assert "told with the higher threshold" in superseded
    assert "shown here only" not in superseded
    assert text(replace(LINE, told=())).endswith("shown here only]")


def test_all_who_were_told_are_on_the_one_line() -> None:
    other = replace(TOLD, channel="leads", channel_type="email", target="leads@example.com", by="email")
    assert text(replace(LINE, told=(TOLD, other))).count("delivered]") == 2

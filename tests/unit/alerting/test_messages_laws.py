"""What holds of messages whatever is known of an alert, and of the runbooks that they name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.alerting.alert import Alert, Ending, State
from engine.alerting.alert_message import AlertMessage
from engine.alerting.effects import COUNTED, EffectKind, Why
from engine.alerting.messages.found import Found
from jobs.delivery.email_body import html_body, subject, text_body
from jobs.delivery.facts import plain_text
from jobs.delivery.slack_blocks import slack_blocks, slack_text
from tests.support.block_kit import message_problem
from tests.support.tellings import (
    BUDGET_FACTS,
    BUDGET_LABELS,
    POLICY_FACTS,
    RULES,
    VARIANCE_FACTS,
    VARIANCE_LABELS,
    message,
    telling,
)

names = st.text(max_size=40) | st.sampled_from(["<!channel>", "@here", "coder", "x" * 5_000, "a|b", "\x00", "\ud800"])
values: Any = (
    st.none() | st.booleans() | st.integers() | st.floats() | names | st.decimals().map(str)
    | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | st.lists(names, max_size=12)
    | st.lists(st.dictionaries(names, names, max_size=2), max_size=2)
)  # fmt: skip
FACTS = sorted({*BUDGET_FACTS, *VARIANCE_FACTS, *POLICY_FACTS, "slot", "day", "expected_micros", "fullest",
                "maxmemory_policy", "exhausted_on", "per_day_micros", "lower_micros"})  # fmt: skip
moments = st.datetimes(datetime(1971, 1, 1), datetime(9990, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
lives = st.builds(
    Alert,
    state=st.sampled_from(State),
    seen_at=st.none() | moments,
    severity=st.sampled_from(["critical", "warning", "info"]),
    value=st.none() | st.decimals(allow_nan=False),
    fired_at=st.none() | moments,
    resolved_at=st.none() | moments,
    ending=st.none() | st.sampled_from(Ending),
)
kinds = [kind for kind in EffectKind if kind not in COUNTED]


@given(
    st.sampled_from(sorted(RULES)),
    st.sampled_from(kinds),
    st.sampled_from(Why),
    st.dictionaries(st.sampled_from(FACTS), values),
    st.dictionaries(st.sampled_from([*VARIANCE_LABELS, *BUDGET_LABELS, "user", "environment", "reason"]), names),
    lives,
    moments,
    st.builds(Found, *[st.none() | st.integers(0, 10**15), st.booleans(), *[st.none() | st.integers(0, 10**9)] * 2]),
    st.integers(0, 5),
)
def test_whatever_is_known_there_is_a_message_that_slack_takes(
    rule: str, kind: EffectKind, why: Why, facts: Any, labels: Any, alert: Alert, now: datetime, found: Found, step: int
) -> None:
    told = telling(rule, kind, why, facts=facts, labels=labels, now=now, step=step, by="\x00<x>")
    sent = message(replace(told, alert=alert), found)
    assert sent.title
    _fits(sent)
    assert AlertMessage.from_json(sent.to_json()) == sent


def _fits(sent: AlertMessage) -> None:
    text = slack_text(sent)
    assert text.strip()
    assert message_problem({"text": text, "blocks": slack_blocks(sent, buttons=True)}) is None
    for render in (subject, text_body, html_body, plain_text):
        assert render(sent)
    for call in ("<!", "@here"):
        assert call not in slack_text(replace(sent, mention=None))


def test_every_runbook_link_of_a_shipped_rule_names_a_section_that_speaks_of_the_rule() -> None:
    sections = _sections(Path(__file__).parents[3] / "docs" / "alerts.md")
    for rule in RULES.values():
        assert rule.runbook is not None
        file, _, anchor = rule.runbook.partition("#")
        assert file == "docs/alerts.md"
        assert f"`{rule.rule_id}`" in sections[anchor], rule.rule_id
        assert "**Do.**" in sections[anchor]


def _sections(page: Path) -> dict[str, str]:
    """The text under each heading of the second level."""
    parts = page.read_text(encoding="utf-8").split("\n## ")[1:]
    return {heading: text for heading, _, text in (part.partition("\n") for part in parts)}

"""What people read: golden Block Kit, text and HTML; Slack's limits; nothing in a name becomes markup.

BURSAR_GOLDEN=1 writes the golden files anew.
"""

from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alerting.alert_message import AlertMessage, Caller, Resolution
from engine.alerting.messages import digest_of, health_news
from engine.alerting.messages.found import Found
from engine.alerting.rule_health import RuleHealth
from jobs.delivery.email_body import LONGEST_SUBJECT, html_body, subject, text_body
from jobs.delivery.facts import facts, lead, links, plain_text
from jobs.delivery.slack_blocks import calls_by_name, escaped, slack_blocks, slack_text
from tests.support import tellings
from tests.support.alert_messages import BARE, FIRING, RESOLVED
from tests.support.block_kit import message_problem
from tests.support.tellings import NOW, RULES, URL

EVERYTHING = (
    "96.2 %", "$481.20", "$500.00", "$41/h", "2026-11-23 07:00 America/New_York", "copilot_hr $310.00",
    "ann@example.com $120.50", "team-hr $51.00", "Period 2026-11", "/spend?org=acme", "/decisions?org",
    "runbooks/budget",
)  # fmt: skip
GOLDEN = Path(__file__).parent / "golden"
BUDGET_CRITICAL = tellings.message(tellings.BUDGET_CRITICAL)
RESOLVE_LINE = tellings.message(tellings.RESOLVE_LINE, tellings.OVER_FOUND)
CASES = {
    "bare": BARE,
    "budget_critical": BUDGET_CRITICAL,
    "budget_denied": tellings.message(
        tellings.BUDGET_DENIED, replace(tellings.BUDGET_FOUND, calls_per_hour=38), "<!subteam^S0123>"
    ),
    "burn_update": tellings.message(tellings.BURN_UPDATE, tellings.BURN_FOUND),
    "resolved": tellings.message(tellings.RESOLVED_PARENT, tellings.OVER_FOUND),
    "resolve_line": RESOLVE_LINE,
    "denials_over": tellings.message(tellings.DENIALS_OVER, Found(turned_away_while_open=1_240)),
    "policy_deny": tellings.message(tellings.POLICY_DENY, tellings.POLICY_FOUND),
    "variance": tellings.message(tellings.VARIANCE, Found()),
    "escalation": tellings.message(tellings.ESCALATION),
    "acknowledged": tellings.message(tellings.ACKNOWLEDGED),
    "possible_repeat": replace(BUDGET_CRITICAL, possible_repeat=True),
    "digest": digest_of(
        RULES["cost_variance"],
        [(f"Estimates are off: agent a{number} (more than 15 %)", f"{30 - number}.4 %") for number in range(5)],
        14, org_id="acme", severity="warning", dashboard_url=URL, zone="America/New_York",
    ),
    "rule_health": health_news(
        "cost_variance", RuleHealth(3, NOW, "no such table: <cost_variance>"), works_again=False, org_id="acme",
        dashboard_url=URL, zone="America/New_York", now=NOW,
    ),
}  # fmt: skip


def same_as_golden(name: str, produced: str) -> None:
    path = GOLDEN / name
    if os.environ.get("BURSAR_GOLDEN"):
        path.write_text(produced, encoding="utf-8")
    assert produced == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_slack_shows_what_the_golden_file_says(case: str) -> None:
    message = CASES[case]
    content = {"text": slack_text(message), "blocks": slack_blocks(message, buttons=True)}
    assert message_problem(content) is None
    same_as_golden(f"{case}.slack.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("case", CASES)
def test_mail_says_what_the_golden_files_say(case: str) -> None:
    message = CASES[case]
    same_as_golden(f"{case}.txt", f"Subject: {subject(message)}\n\n{text_body(message)}")
    same_as_golden(f"{case}.html", html_body(message))


def test_every_fact_is_in_every_rendering() -> None:
    for rendering in (plain_text(FIRING), json.dumps(slack_blocks(FIRING, buttons=True)), html_body(FIRING)):
        for words in EVERYTHING:
            assert words in rendering, words
        assert "never-shown" not in rendering, "three callers are enough"


def test_without_a_listener_there_are_no_buttons_and_the_page_is_a_link() -> None:
    blocks = slack_blocks(FIRING, buttons=False, note="small print")
    assert [block["type"] for block in blocks].count("actions") == 0
    assert "<https://bursar.example.com/spend?org=acme&amp;range=30d|Open in Bursar>" in json.dumps(blocks)
    assert blocks[-1]["elements"][0]["text"] == "small print"


def test_an_alert_that_is_over_or_acknowledged_offers_only_what_still_makes_sense() -> None:
    def offered(message: AlertMessage) -> list[str]:
        return [
            element["text"]["text"]
            for block in slack_blocks(message, buttons=True)
            if block["type"] == "actions"
            for element in block["elements"]
        ]

    assert offered(FIRING) == ["Acknowledge", "Silence 1 h", "Open"]
    assert offered(replace(FIRING, acknowledged_by="bob")) == ["Silence 1 h", "Open"]
    assert offered(RESOLVED) == ["Open"]
    assert offered(replace(RESOLVED, page_link="")) == []
    assert offered(BARE) == []


def test_a_line_in_the_thread_is_nothing_but_the_line_in_slack_and_complete_in_mail() -> None:
    update = CASES["burn_update"]
    (only,) = slack_blocks(update, buttons=True)
    assert only["text"]["text"] == update.line
    assert slack_text(update) == update.line
    assert subject(update).startswith("Warning: Monthly budget")
    assert update.line in html_body(update)
    assert links(update)[0].url in text_body(update)
    repeat = replace(update, possible_repeat=True)
    assert lead(repeat) == slack_text(repeat) == f"(possible repeat) {update.line}"


def test_a_runbook_in_the_repository_is_named_and_is_no_link() -> None:
    assert "Runbook: docs/alerts.md#budget_usage" in plain_text(BUDGET_CRITICAL)
    assert [link.label for link in links(BUDGET_CRITICAL)] == ["Open in Bursar", "Budget", "Data"]
    assert next(link.url for link in links(BUDGET_CRITICAL)) == f"{URL}/alerts?org=acme&alert={tellings.ALERT_ID}"
    on_the_web = replace(BUDGET_CRITICAL, runbook_link="https://wiki.example.com/budget")
    assert [link.label for link in links(on_the_web)] == ["Open in Bursar", "Budget", "Data", "Runbook"]
    assert "Runbook" not in [fact.label for fact in facts(on_the_web)]


def test_an_alert_that_is_over_calls_nobody_and_no_longer_says_what_waiting_costs() -> None:
    assert slack_text(FIRING).startswith("@oncall Critical: ")
    assert slack_text(RESOLVED).startswith("Resolved: ")
    assert not calls_by_name(RESOLVED)
    assert "Cost of inaction" not in plain_text(RESOLVED)
    assert "Lasted: 1 h 12 min" in plain_text(RESOLVED)
    assert "Cost meanwhile: $31.20" in plain_text(RESOLVED)


def test_the_end_of_denials_is_told_in_calls() -> None:
    told = plain_text(CASES["denials_over"])
    assert "Turned away meanwhile: 1,240 calls" in told
    assert "$" not in told


@pytest.mark.parametrize(
    ("mention", "shown", "by_name"),
    [("@oncall", "@oncall ", True), ("@here", "<!here> ", False), ("<@U012AB3CD>", "<@U012AB3CD> ", False),
     ("<!subteam^S0123>", "<!subteam^S0123> ", False), ("<!channel|x>", "&lt;!channel|x&gt; ", True),
     (None, "", False)],
)  # fmt: skip
def test_a_mention_calls_whom_it_names(mention: str | None, shown: str, by_name: bool) -> None:
    message = replace(BARE, mention=mention)
    assert slack_text(message) == f"{shown}Info: Test message"
    assert calls_by_name(message) == by_name


def test_a_name_that_looks_like_a_call_calls_nobody() -> None:
    hostile = replace(
        BARE,
        title="<!channel> @here #general @everyone",
        callers=(Caller("user", "@channel", 1), Caller("user", "<https://evil.test|click>", 1)),
        runbook_link="javascript:alert(1)",
    )
    said = slack_text(hostile) + json.dumps(slack_blocks(hostile, buttons=True), ensure_ascii=False)
    for call in ("<!", "@here", "#general", "@everyone", "@channel", "<https://evil", "javascript:"):
        assert call not in said, call
    assert escaped("ann@example.com & <b>") == "ann@example.com &amp; &lt;b&gt;"


def test_an_address_in_a_name_is_no_link_where_somebody_is_called() -> None:
    hostile = replace(FIRING, title="Checks are slow: model https://evil.test/now", line="http://evil.test is slow")
    headline = slack_blocks(hostile, buttons=True)[0]["text"]
    assert not headline.get("verbatim")
    assert "evil.test" in headline["text"]
    assert "://" not in headline["text"]


def test_nothing_in_a_message_becomes_html() -> None:
    evil = "<script>alert('x')</script>\"><img src=x onerror=y>"
    hostile = AlertMessage(
        severity="critical", title=evil, value=evil, limit=evil, cost_of_inaction=evil, details=(evil,),
        acknowledged_by=evil, callers=(Caller("user", evil, 1),), page_link=f"https://x.test/{evil}",
        runbook_link="javascript:alert(1)", data_link="https://x.test/?a=1&b='2'",
        resolved=None,
    )  # fmt: skip
    page = Elements()
    page.feed(html_body(hostile))
    assert page.found <= {"html", "head", "meta", "title", "body", "div", "table", "tr", "td", "span", "h1", "p", "a"}
    assert page.links == ["https://x.test/?a=1&b='2'"]


class Elements(HTMLParser):
    """The elements and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.links += [value for name, value in attrs if name in {"href", "src"}]
        assert not any(name.startswith("on") for name, _ in attrs)


def test_a_subject_is_one_line_and_short() -> None:
    long = replace(BARE, title="a\r\nBcc: eve@example.com\x00" + "x" * 500)
    assert "\r" not in subject(long)
    assert "\n" not in subject(long)
    assert subject(long).startswith("Info: a Bcc: eve@example.com x")
    assert len(subject(long)) == LONGEST_SUBJECT


words = st.text(max_size=60) | st.builds(lambda part, times: part * times, st.text(max_size=12), st.integers(0, 800))
messages = st.builds(
    AlertMessage,
    severity=st.sampled_from(["critical", "warning", "info"]),
    title=words,
    alert_id=st.sampled_from(["", "a-1"]),
    line=words,
    brief=st.booleans(),
    value=words,
    limit=words,
    cost_of_inaction=words,
    since=st.none() | st.datetimes(timezones=st.just(FIRING.since.tzinfo if FIRING.since else None)),
    callers=st.lists(
        st.builds(Caller, st.just("user"), words, *[st.none() | st.integers(0, 10**12)] * 2), max_size=4
    ).map(tuple),
    details=st.lists(words, max_size=60).map(tuple),
    page_link=words.map(lambda text: f"https://x.test/{text}"),
    mention=st.none() | words,
    acknowledged_by=words,
    resolved=st.none()
    | st.builds(Resolution, st.just(RESOLVED.resolved and RESOLVED.resolved.at), st.integers(0, 10**7)),
)


@given(messages, st.booleans(), words)
def test_whatever_a_message_holds_slack_takes_it(message: AlertMessage, buttons: bool, note: str) -> None:
    content = {"text": slack_text(message), "blocks": slack_blocks(message, buttons=buttons, note=note)}
    assert message_problem(content) is None
    assert len(content["text"]) <= 4_000


@given(messages)
def test_a_stored_message_is_read_back_as_it_was(message: AlertMessage) -> None:
    assert AlertMessage.from_json(json.loads(json.dumps(message.to_json()))) == message


def test_a_message_stored_by_another_version_is_read_all_the_same() -> None:
    older = {"severity": "info", "title": "Test message", "alert_id": "a-1", "callers": [], "lines": ["?"]}
    assert AlertMessage.from_json(older) == replace(BARE, alert_id="a-1")


def test_all_fields_are_stored() -> None:
    assert set(FIRING.to_json()) == {field.name for field in fields(AlertMessage)}


def test_unknown_facts_are_left_out() -> None:
    assert facts(BARE) == []
    assert links(BARE) == []

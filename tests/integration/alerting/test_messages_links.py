"""Links in messages open the page that they are about, with its filters set: checked against the pages themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.windows import RANGES
from engine.alerting.messages import message_of
from engine.ledger.database import Database
from tests.support.app_pages import APP, open_page
from tests.support.ledger_rows import SeededLedger, seed_ledger
from tests.support.tellings import BUDGET_FACTS, DOCUMENT, RULES, URL, VARIANCE_FACTS, VARIANCE_LABELS, telling


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A ledger of this test's own, which the pages find in the environment."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("BURSAR_DATABASE_URL", url)
    database = Database(url)
    yield database
    database.close()
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def ledger(database: Database) -> SeededLedger:
    ledger = seed_ledger(database, now=datetime.now(UTC), days=3, per_day=60)
    # With a second organization the pages must take theirs from the link.
    seed_ledger(database, org_id="globex", now=ledger.now, days=1, per_day=5, seed=5)
    return ledger


def links(database: Database, what: Any) -> tuple[str, str]:
    """To the page, and to the data."""
    with database.read() as connection:
        told = message_of(connection, what, DOCUMENT, dashboard_url=f"{URL}/")
    return told.page_link, told.data_link


def script_of(name: str) -> str:
    """The script of the page at this path of an address."""
    script = name.replace("-", "_")
    assert APP.with_name("app_pages").joinpath(f"{script}.py").is_file(), f"there is no page {name}"
    return script


def follow(link: str) -> AppTest:
    """The page as whoever follows the link sees it; every parameter is one that the page has taken."""
    assert link.startswith(f"{URL}/")
    address = urlsplit(link)
    name = address.path.strip("/")
    query = {key: values[0] for key, values in parse_qs(address.query, strict_parsing=True).items()}
    app = open_page(script_of(name), **query)
    assert not app.exception
    widgets = {element.key: element.value for element in (*app.selectbox, *app.text_input, *app.button_group)}
    for key, value in query.items():
        if key in {"from", "to"}:
            # The page has instants as inputs without a zone, in UTC.
            assert app.session_state[f"{key}_at"] == datetime.fromisoformat(value).replace(tzinfo=None)
        else:
            assert widgets[key] == value, f"the page does not take {key}={value}"
    return app


def shown(app: AppTest) -> list[tuple[str, str]]:
    """Time and agent of the decisions in the list."""
    table = app.dataframe[0].value
    return list(zip(table["Time (UTC)"], table["Agent"], strict=True))


def assert_shows(link: str, rows: list[dict[str, Any]]) -> None:
    """The link opens on these decisions, newest first, and on no others; where they are rare a page is a short one."""
    newest = sorted(rows, key=lambda row: (row["at"], row["decision_id"]), reverse=True)
    seen = shown(follow(link))
    assert seen == [(f"{row['at']:%d %b %H:%M:%S}", row["agent_id"]) for row in newest[: len(seen)]]
    assert min(len(rows), 5) <= len(seen)
    assert seen


def test_policy_denials_open_on_the_calls_of_the_window(database: Database, ledger: SeededLedger) -> None:
    slot = (ledger.now - timedelta(hours=2)).replace(second=0, microsecond=0)
    rule = replace(RULES["policy_deny"], window=timedelta(hours=24))
    page, data = links(database, telling(rule, facts={"slot": slot.isoformat()}, labels={}, now=ledger.now))
    start = slot - timedelta(hours=24)
    denied = [row for row in ledger.decisions if row["reason"] in ("policy_deny", "policy_no_allow")]
    reasons = [row["reason"] for row in denied if start <= row["at"] < slot]
    commonest = max(sorted(set(reasons)), key=reasons.count)
    assert_shows(data, [row for row in denied if row["reason"] == commonest and start <= row["at"] < slot])
    assert page == f"{URL}/policy-denials?org=acme&range=24h"


def test_one_agents_rate_limit_opens_on_that_agents_calls(database: Database, ledger: SeededLedger) -> None:
    rule = replace(RULES["rate_limit_exceeded"], group_by=("agent",), window=timedelta(hours=24))
    slot = ledger.now.replace(second=0, microsecond=0)
    what = telling(rule, facts={"slot": slot.isoformat()}, labels={"agent": "copilot_hr"}, now=ledger.now)
    _, data = links(database, what)
    wanted = [r for r in ledger.decisions if r["reason"] == "rate_per_minute" and r["agent_id"] == "copilot_hr"]
    start = slot - timedelta(hours=24)
    assert_shows(data, [row for row in wanted if start <= row["at"] < slot])


def test_an_agents_budget_opens_on_its_month_and_its_calls(database: Database, ledger: SeededLedger) -> None:
    began = (ledger.now - timedelta(days=2)).replace(second=0, microsecond=0)
    facts = {**BUDGET_FACTS, "period_start": began.isoformat()}
    page, data = links(database, telling(facts=facts, now=ledger.now))
    assert page == f"{URL}/budgets?org=acme&budget=copilots&scope=copilot_hr&period=month"
    wanted = [r for r in ledger.decisions if r["agent_id"] == "copilot_hr" and r["outcome"] == "allowed"]
    assert_shows(data, [row for row in wanted if row["at"] >= began])


def test_a_full_daily_budget_opens_on_the_calls_that_it_denied(database: Database, ledger: SeededLedger) -> None:
    began = (ledger.now - timedelta(days=4)).replace(second=0, microsecond=0)
    facts = {**BUDGET_FACTS, "period": "day", "threshold": "1", "per": "user", "scope": "user-001",
             "period_start": began.isoformat()}  # fmt: skip
    page, data = links(database, telling("budget_exhausted", facts=facts, labels={}, now=ledger.now))
    assert page == f"{URL}/budgets?org=acme&budget=copilots&scope=user-001&period=day"
    users = Counter(row["user_id"] for row in ledger.decisions if row["reason"] == "budget_daily_cost")
    assert users["user-001"] > 0
    wanted = [r for r in ledger.decisions if r["reason"] == "budget_daily_cost" and r["user_id"] == "user-001"]
    assert_shows(data, [row for row in wanted if row["at"] >= began])


@pytest.mark.parametrize(("group", "split"), [("team", "Team"), ("provider", "Provider")])
def test_spend_by_team_opens_split_by_team(database: Database, ledger: SeededLedger, group: Any, split: str) -> None:
    rule = replace(RULES["daily_execution_count"], group_by=(group,))
    page, _ = links(database, telling(rule, facts={"value": "3"}, labels={group: "x"}, now=ledger.now))
    assert page == f"{URL}/spend?org=acme&range=24h&by={split}"


def test_every_message_names_the_page_of_its_own_alert(database: Database, ledger: SeededLedger) -> None:
    seen = ledger.alerts[0]
    what = replace(telling(facts=BUDGET_FACTS, now=ledger.now), alert_id=seen["alert_id"])
    with database.read() as connection:
        told = message_of(connection, what, DOCUMENT, dashboard_url=URL)
    query = {key: values[0] for key, values in parse_qs(urlsplit(told.alert_link).query).items()}
    app = open_page("alerts", **query)
    assert seen["title"] in [each.value.replace("\\", "") for each in app.subheader]


@pytest.mark.parametrize(
    ("rule", "facts", "labels", "page"),
    [
        ("rate_limit_exceeded", {"value": "30"}, {}, "rate-limits?org=acme&range=24h"),
        ("rate_limit_fail_open", {"value": "101"}, {}, "rate-limits?org=acme&range=24h"),
        ("governance_check_latency", {"value": "60"}, {}, "rate-limits?org=acme&range=24h"),
        ("policy_deny", {"value": "60"}, {"agent": "coder"}, "policy-denials?org=acme&range=24h&agent=coder"),
        ("cost_variance", VARIANCE_FACTS, VARIANCE_LABELS,
         "estimates?org=acme&provider=azure_openai&agent=coder&model=gpt-4o&complexity=complex"),
        ("unsettled_holds", {"value": "0.03"}, {}, "estimates?org=acme"),
        ("ledger_lag", {"value": "61"}, {}, "health?org=acme"),
        ("redis_evicting_policy", {"value": "1"}, {}, "health?org=acme"),
    ],
)  # fmt: skip
def test_each_kind_of_alert_has_its_page(
    database: Database, ledger: SeededLedger, rule: str, facts: Any, labels: Any, page: str
) -> None:
    assert links(database, telling(rule, facts=facts, labels=labels, now=ledger.now))[0] == f"{URL}/{page}"


def test_the_fullest_scope_of_a_rate_limit_is_named(database: Database, ledger: SeededLedger) -> None:
    rule = replace(RULES["rate_limit_exceeded"], metric="rate_limit_remaining")
    fullest = [{"rate_limit": "each-user", "per": "user", "scope": "ann", "window": "minute", "left_permille": 20}]
    page, _ = links(database, telling(rule, facts={"fullest": fullest}, labels={}, now=ledger.now))
    assert page == f"{URL}/rate-limits?org=acme&range=24h&limit=each-user&scope=ann"


def test_every_link_of_every_shipped_rule_is_taken_by_its_page(database: Database, ledger: SeededLedger) -> None:
    followed = set()
    for rule in RULES:
        facts, labels = (VARIANCE_FACTS, VARIANCE_LABELS) if rule == "cost_variance" else ({"value": "3"}, {})
        followed |= set(links(database, telling(rule, facts=facts, labels=labels, now=ledger.now)))
    followed -= {""}
    assert len(followed) > 5
    for link in sorted(followed):
        follow(link)


def test_ranges_are_those_of_the_spend_page(database: Database, ledger: SeededLedger) -> None:
    for minutes in (1, 60, 61, 1_440, 10_000, 40_000):
        rule = replace(RULES["policy_deny"], window=timedelta(minutes=minutes))
        page, _ = links(database, telling(rule, facts={}, labels={}, now=ledger.now))
        (chosen,) = parse_qs(urlsplit(page).query)["range"]
        words, grain, buckets = RANGES[chosen]
        length = {"minute": 1, "hour": 60, "day": 1_440}[grain] * buckets
        assert length >= minutes, words

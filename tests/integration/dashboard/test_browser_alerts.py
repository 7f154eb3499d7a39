"""From a message in Slack to the alert's page and back into the message's thread, in a real browser."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import insert, update

from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.tables import budget_usage, heartbeats, organizations
from engine.periods import period_of
from jobs.delivery.sender import deliver_due
from jobs.delivery.slack import SlackChannel
from jobs.evaluation import judge_budgets
from tests.support.fake_slack import FakeSlack
from tests.support.ledger_rows import BEATING
from tests.support.serving import serving_pages

ORG = "acme"
USD = 1_000_000
FIRST_SIGHT_MS = 60_000
LOOK_MS = 5_000
DOCUMENT = {
    "organization": ORG,
    "budgets": [{"id": "all", "per": "org", "monthly_budget_usd": 100}],
    "alerts": {"channels": {"ops": {"slack": "#ops"}}, "routes": {"critical": ["ops"], "management": ["ops"]}},
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    migrate(database)
    publish_document(database, parse_document(DOCUMENT, "test"), author="test", reason="test")
    yield database
    database.close()


@pytest.fixture
def address(database: Database) -> Iterator[str]:
    """Pages that nobody has visited."""
    with serving_pages(str(database.url)) as address:
        yield address


def spend(database: Database, address: str, micros: int) -> None:
    """Let the month's budget be spent so far, and rules be evaluated."""
    now = datetime.now(UTC)
    month = period_of("month", now, "UTC")
    with database.write() as connection:
        connection.execute(budget_usage.delete())
        connection.execute(
            insert(budget_usage).values(
                org_id=ORG, budget_id="all", scope=ORG, period="month", period_label=month.label,
                period_start=month.start, period_end=month.end, limit_micros=100 * USD, spent_micros=micros,
                held_micros=0, executions=1, updated_at=now,
            )
        )  # fmt: skip
        connection.execute(update(organizations).values(drained_through=now))
        connection.execute(heartbeats.delete())
        connection.execute(heartbeats.insert(), [{"job": job, "last_success_at": now} for job in BEATING])
    judge_budgets(database, ORG, dashboard_url=address, now=now)


def deliver(database: Database, slack: FakeSlack, messages: int) -> None:
    """As the worker does it, until so many messages stand in Slack."""
    channels = {"slack": SlackChannel(slack.token, slack.base_url)}
    deadline = time.monotonic() + 30
    while len(slack.messages) < messages and time.monotonic() < deadline:
        deliver_due(database, channels, kinds=("slack",))
        time.sleep(0.2)
    assert len(slack.messages) >= messages


def test_a_link_in_slack_opens_the_alert_and_what_is_done_there_is_told_in_its_thread(
    page: Page, database: Database, address: str, fake_slack: FakeSlack
) -> None:
    spend(database, address, 96 * USD)
    deliver(database, fake_slack, 1)
    first = fake_slack.messages[0]
    (link,) = {found for found in re.findall(r"http://\S+", unescape(first.body["text"])) if "/alerts?" in found}
    assert urlsplit(link).path == "/alerts"
    page.goto(link)
    expect(page.get_by_role("heading", name="has reached 95 %")).to_be_visible(timeout=FIRST_SIGHT_MS)
    # The number of those acknowledged has a button too, for its help.
    page.get_by_test_id("stTabs").get_by_role("button", name="Acknowledge").click()
    reason = page.get_by_label("Reason (optional)")
    reason.fill("raising it with finance")

    # Meanwhile it gets worse: numbers move twice, and what was typed stays where it is.
    firing = page.get_by_test_id("stMetricValue").first
    expect(firing).to_have_text("1")
    spend(database, address, 101 * USD)
    expect(firing).to_have_text("2", timeout=3 * LOOK_MS)
    page.wait_for_timeout(LOOK_MS + 1_000)
    expect(reason).to_be_visible()
    expect(reason).to_have_value("raising it with finance")

    page.get_by_test_id("stPopoverBody").get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("has acknowledged:")).to_be_visible()
    expect(page.get_by_text("raising it with finance")).to_be_visible()
    deliver(database, fake_slack, 3)
    (reply,) = [message for message in fake_slack.messages if message.body.get("thread_ts") == first.ts]
    assert "has acknowledged this: no further mentions" in reply.body["text"]

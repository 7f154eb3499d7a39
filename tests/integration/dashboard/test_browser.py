"""The pages in a real browser: what only a browser shows."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from dashboard.run import serve_command, serve_environment, wait_until_ready
from dashboard.wording import money
from engine.ledger.database import Database
from engine.ledger.tables import usage
from tests.support.ledger_rows import SeededLedger, seed_ledger

FIRST_SIGHT_MS = 30_000
"""A fresh server imports its libraries for its first visitor, on a machine that does other things too."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A ledger of this test's own."""
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield database
    database.close()


@pytest.fixture
def ledger(database: Database) -> SeededLedger:
    """A few days of a small company."""
    return seed_ledger(database, now=datetime.now(UTC), days=3, per_day=30)


@pytest.fixture
def address(database: Database, ledger: SeededLedger) -> Iterator[str]:
    """A fresh server of the pages that nobody has visited."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = serve_environment() | {"BURSAR_DATABASE_URL": str(database.url)}
    process = subprocess.Popen(serve_command(port), env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert wait_until_ready(port, 60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_the_first_visitor_may_come_by_a_link_to_one_decision(page: Page, address: str, ledger: SeededLedger) -> None:
    row = next(row for row in ledger.decisions if row["reason"] == "budget_daily_cost")
    page.goto(f"{address}/decisions?decision={row['decision_id']}&outcome=denied")
    expect(page.get_by_role("heading", name="Decisions")).to_be_visible(timeout=FIRST_SIGHT_MS)
    expect(page.get_by_text("Denied: Daily budget")).to_be_visible(timeout=FIRST_SIGHT_MS)
    expect(page.get_by_text(row["message"])).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page).to_have_url(f"{address}/decisions?outcome=denied")


def test_the_numbers_move_without_a_reload_and_the_charts_stay_on_the_page(
    page: Page, address: str, database: Database, ledger: SeededLedger
) -> None:
    page.goto(address)
    spent = page.get_by_test_id("stMetricValue").first
    expect(spent).to_have_text(re.compile(r"^\$"), timeout=FIRST_SIGHT_MS)
    expect(page.locator(".js-plotly-plot")).to_have_count(3, timeout=FIRST_SIGHT_MS)
    page.evaluate(
        "() => { window.fewest = 3; setInterval(() => { window.fewest = Math.min(window.fewest,"
        " document.querySelectorAll('.js-plotly-plot').length) }, 20) }"
    )
    with database.write() as connection:
        connection.execute(update(usage).values(spent_micros=0))
    expect(spent).to_have_text(money(0), timeout=15_000)
    assert page.evaluate("() => window.fewest") == 3


def test_nothing_is_fetched_from_another_host_and_no_error_is_logged(
    page: Page, address: str, ledger: SeededLedger
) -> None:
    hosts: set[str | None] = set()
    errors: list[str] = []
    page.on("request", lambda request: hosts.add(urlparse(request.url).hostname))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{address}/spend?range=7d&by=Provider")
    expect(page.locator(".js-plotly-plot")).to_have_count(3, timeout=FIRST_SIGHT_MS)
    expect(page.get_by_text("in the last 7 days").first).to_be_visible()
    page.get_by_role("link", name="Decisions").click()
    expect(page.get_by_role("button", name="Older")).to_be_visible(timeout=FIRST_SIGHT_MS)
    # Streamlit looks for its server under the page's own path first; that answer is expected.
    assert [error for error in errors if "404" not in error] == []
    assert {host for host in hosts if host} == {"127.0.0.1"}


@pytest.mark.parametrize("appearance", ["light", "dark"])
def test_a_phone_shows_every_page_without_scrolling_sideways(browser: Browser, address: str, appearance: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme="dark" if appearance == "dark" else "light"
    )
    try:
        phone = context.new_page()
        for path, content in (("spend", ".js-plotly-plot"), ("decisions", '[data-testid="stDataFrame"]')):
            phone.goto(f"{address}/{path}")
            expect(phone.locator(content).first).to_be_visible(timeout=FIRST_SIGHT_MS)
            overflow = phone.get_by_test_id("stMain").evaluate("main => main.scrollWidth - main.clientWidth")
            assert overflow == 0
            background = phone.get_by_test_id("stApp").evaluate("app => getComputedStyle(app).backgroundColor")
            assert background == ("rgb(17, 22, 31)" if appearance == "dark" else "rgb(255, 255, 255)")
    finally:
        context.close()

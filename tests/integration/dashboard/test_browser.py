"""The pages in a real browser: what only a browser shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from dashboard.reading.spend import KEPT_SECONDS
from dashboard.wording import money
from engine.ledger.database import Database
from engine.ledger.tables import usage
from tests.support.ledger_rows import SeededLedger, seed_ledger
from tests.support.serving import serving_pages

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
    with serving_pages(str(database.url)) as address:
        yield address


def test_the_first_visitor_may_come_by_a_link_to_one_decision(page: Page, address: str, ledger: SeededLedger) -> None:
    row = next(row for row in ledger.decisions if row["reason"] == "budget_daily_cost")
    page.goto(f"{address}/decisions?decision={row['decision_id']}&outcome=denied")
    expect(page.get_by_role("heading", name="Decisions")).to_be_visible(timeout=FIRST_SIGHT_MS)
    expect(page.get_by_text("Denied: Daily budget")).to_be_visible(timeout=FIRST_SIGHT_MS)
    expect(page.get_by_text(row["message"])).to_be_visible()
    page.get_by_role("button", name="Back to the list").click()
    expect(page).to_have_url(f"{address}/decisions?outcome=denied")


def test_a_reload_shows_the_ledger_as_it_is_then(page: Page, address: str, database: Database) -> None:
    page.goto(f"{address}/spend")
    spent = page.get_by_test_id("stMetricValue").first
    expect(spent).to_have_text(re.compile(r"^\$0*[1-9]|^\$0\.0*[1-9]"), timeout=FIRST_SIGHT_MS)
    expect(page.locator(".js-plotly-plot")).to_have_count(3, timeout=FIRST_SIGHT_MS)
    with database.write() as connection:
        connection.execute(update(usage).values(spent_micros=0))
    # What was read is kept for a while, for all viewers.
    page.wait_for_timeout((KEPT_SECONDS + 1) * 1000)
    page.reload()
    expect(spent).to_have_text(money(0), timeout=FIRST_SIGHT_MS)


def test_the_report_is_one_file_that_fetches_nothing_and_prints_on_a4(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(f"{address}/spend?by=Team")
    button = page.get_by_role("button", name="Report")
    expect(button).to_be_visible(timeout=FIRST_SIGHT_MS)
    with page.expect_download() as download:
        button.click()
    file = tmp_path / "report.html"
    download.value.save_as(file)
    requests: list[str] = []
    errors: list[str] = []
    page.context.on("request", lambda request: requests.append(request.url))
    paper = page.context.new_page()
    paper.on("console", lambda message: errors.append(message.text))
    paper.goto(file.as_uri())
    expect(paper.get_by_role("heading", name="Spend report")).to_be_visible()
    # Three days have nothing to be compared with, so that figure is words only.
    expect(paper.locator("figure svg")).to_have_count(2)
    expect(paper.get_by_text("Made at")).to_be_visible()
    printed = paper.pdf(prefer_css_page_size=True)
    assert re.search(rb"/MediaBox\s*\[0 0 59[45][.0-9]* 84[12]", printed)
    assert [url for url in requests if not url.startswith((address, "ws:", "blob:"))] == [file.as_uri()]
    assert errors == []


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

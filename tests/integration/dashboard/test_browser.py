"""The pages in a real browser: what only a browser shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr
from sqlalchemy import make_url, update

from dashboard.reading.spend import KEPT_SECONDS
from dashboard.wording import money
from engine.document.load import parse_text
from engine.document.store import publish_unless_outdated
from engine.ledger.database import Database
from engine.ledger.tables import usage
from engine.vault.key_variable import KeyVariable
from engine.vault.store import Vault
from tests.support.canaries import Canaries, Heard, planted_settings
from tests.support.ledger_rows import SeededLedger, seed_ledger
from tests.support.servers import PostgresServer
from tests.support.serving import Clock, serving_pages
from tests.support.whole_pages import ERROR_BOX, EXCEPTION, IS_WHOLE

FIRST_SIGHT_MS = 30_000
"""A fresh server imports its libraries for its first visitor, on a machine that does other things too."""
DOCUMENT = """\
organization: acme
agents:
  copilot_hr: {provider: copilot_studio, team: team-hr}
policies:
  - {policy_id: go, effect: allow}
alerts:
  channels: {ops: {slack: "#ops"}, mail: {email: [a@example.com]}, hook: {webhook: "https://127.0.0.1:9/HOOK"}}
"""
PURPOSE = "call the agent for a test"
TABS: dict[str, tuple[str, ...]] = {
    "Spend": (),
    "Budgets": (),
    "Alerts": ("Rules", "Silences", "Backtest", "Notifications"),
    "Rate limits": (),
    "Policy denials": (),
    "Estimate vs actual": (),
    "Decisions": (),
    "Settings & health": ("Document", "Roles", "Settings", "Findings", "Audit log"),
}
"""Of each page those that are not open at first, in the order of the menu."""


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture(scope="module")
def settings(canaries: Canaries) -> dict[str, str]:
    """A secret in each setting; half a sign-in is an error, and these pages have none."""
    return {name: value for name, value in planted_settings(canaries).items() if "OIDC" not in name}


@pytest.fixture(scope="module")
def ledger_url(
    request: pytest.FixtureRequest, canaries: Canaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """In PostgreSQL, which lets tests in by any password; where there is none, in a file, which has no password."""
    try:
        server: PostgresServer = request.getfixturevalue("postgres_server")
    except pytest.skip.Exception:
        yield f"sqlite:///{tmp_path_factory.mktemp('browser') / 'ledger.db'}"
        return
    with server.new_database() as url:
        yield make_url(url).set(password=canaries.plant("database password")).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def database(ledger_url: str) -> Iterator[Database]:
    """One ledger for this file."""
    with closing(Database(ledger_url)) as database:
        yield database


@pytest.fixture(scope="module")
def ledger(database: Database, settings: dict[str, str], canaries: Canaries) -> SeededLedger:
    """A few days of a small company whose agent's credential was asked for."""
    seeded = seed_ledger(database, now=datetime.now(UTC), days=3, per_day=30)
    source = parse_text(DOCUMENT.replace("HOOK", canaries.plant("webhook address")), "bursar.yaml")
    publish_unless_outdated(
        database, source.document, based_on=None, author="ada", reason="first", source_text=source.text
    )
    vault = Vault(database, KeyVariable(SecretStr(settings["BURSAR_VAULT_KEYS"])))
    place: Any = {"org_id": "acme", "agent_id": "copilot_hr"}
    vault.encrypt_credentials({"type": "api_key", "api_key": canaries.plant("api key")}, **place, author="ada")
    vault.decrypt(**place, user_id="user-001", purpose=PURPOSE)
    return seeded


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock") / "forward")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server logs."""
    return tmp_path_factory.mktemp("log") / "pages.log"


@pytest.fixture(scope="module")
def address(ledger_url: str, ledger: SeededLedger, settings: dict[str, str], clock: Clock, said: Path) -> Iterator[str]:
    """One server of the pages for this file; the first test is its first visitor."""
    with serving_pages(ledger_url, settings, clock=clock, log=said) as address:
        yield address


@pytest.fixture(scope="module")
def visits() -> list[str]:
    """Tests that had a page."""
    return []


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def page(
    page: Page, heard: Heard, canaries: Canaries, visits: list[str], request: pytest.FixtureRequest
) -> Iterator[Page]:
    """A page that is sent no secret, whatever a test does there."""
    visits.append(request.node.name)
    heard.listen(page)
    yield page
    heard.look_at(page)
    assert canaries.found_in(heard.everything()) == set()


def test_the_first_visitor_may_come_by_a_link_to_one_decision(
    page: Page, address: str, ledger: SeededLedger, visits: list[str]
) -> None:
    assert len(visits) == 1
    row = next(row for row in ledger.decisions if row["reason"] == "budget_daily_cost")
    page.goto(f"{address}/decisions?decision={row['decision_id']}&outcome=denied")
    expect(page.get_by_role("heading", name="Decisions")).to_be_visible(timeout=FIRST_SIGHT_MS)
    expect(page.get_by_text("Denied: Daily budget")).to_be_visible(timeout=FIRST_SIGHT_MS)
    expect(page.get_by_text(row["message"])).to_be_visible()
    page.get_by_role("button", name="Back to the list").click()
    expect(page).to_have_url(f"{address}/decisions?outcome=denied")


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


def whole(page: Page, title: str) -> None:
    page.wait_for_function(f"() => {IS_WHOLE}({title!r})", timeout=FIRST_SIGHT_MS)
    assert page.locator(f"{EXCEPTION}, {ERROR_BOX}").count() == 0


def test_the_numbers_of_a_chart_are_made_when_they_are_asked_for(page: Page, address: str, heard: Heard) -> None:
    page.goto(f"{address}/spend")
    whole(page, "Spend")
    card = page.locator(".st-key-burn_up_card")
    assert b"burn_up_csv" not in heard.frames
    card.get_by_text("As a table").click()
    expect(card.get_by_test_id("stDataFrame")).to_be_visible(timeout=FIRST_SIGHT_MS)
    with page.expect_download() as download:
        card.get_by_test_id("stDownloadButton").get_by_role("button").click()
    head, *rows = download.value.path().read_text().splitlines()
    assert "Spent" in head
    assert rows
    # Only that was made anew.
    expect(card.locator(".main-svg").first).to_be_visible()
    card.get_by_text("As a table").click()
    expect(card.get_by_test_id("stDataFrame")).to_have_count(0, timeout=FIRST_SIGHT_MS)


def test_no_page_fetches_from_another_host_logs_an_error_or_is_sent_a_secret(
    page: Page, address: str, canaries: Canaries, heard: Heard, said: Path
) -> None:
    hosts: set[str | None] = set()
    errors: list[str] = []
    page.on("request", lambda request: hosts.add(urlparse(request.url).hostname))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{address}/spend?range=7d&by=Provider")
    expect(page.locator(".js-plotly-plot")).to_have_count(3, timeout=FIRST_SIGHT_MS)
    expect(page.get_by_text("in the last 7 days").first).to_be_visible()
    for title, tabs in TABS.items():
        if title != "Spend":
            page.get_by_test_id("stSidebar").get_by_role("link", name=title).click()
        whole(page, title)
        heard.look_at(page)
        for name in tabs:
            page.get_by_role("tab", name=name).click()
            panel = page.get_by_role("tabpanel", name=name)
            expect(panel.get_by_test_id("stElementContainer").first).to_be_visible(timeout=FIRST_SIGHT_MS)
            whole(page, title)
            heard.look_at(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="This page as CSV").click()
    heard.look_at(page)
    assert download.value.path().read_bytes() in heard.everything()
    # Streamlit looks for its server under the page's own path first; that answer is expected.
    assert [error for error in errors if "404" not in error] == []
    assert {host for host in hosts if host} == {"127.0.0.1"}

    # The same search finds what is known to be there, in tables too, of which a browser has but a drawing.
    known = Canaries()
    for word in ("credential_access", PURPOSE, "copilot_hr", "BURSAR_WEBHOOK_SECRET", "set, hidden"):
        known.know(word, word)
    assert known.found_in(heard.frames) == {*known.names}
    known.know("the tab", "tab=Audit")
    assert known.found_in(heard.sent) == {"the tab"}
    assert canaries.found_in(heard.everything()) == set()
    assert canaries.found_in(said.read_bytes()) == set()


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


def test_a_reload_shows_the_ledger_as_it_is_then(
    page: Page, address: str, database: Database, clock: Clock, heard: Heard
) -> None:
    page.goto(f"{address}/spend")
    spent = page.get_by_test_id("stMetricValue").first
    expect(spent).to_have_text(re.compile(r"^\$0*[1-9]|^\$0\.0*[1-9]"), timeout=FIRST_SIGHT_MS)
    expect(page.locator(".js-plotly-plot")).to_have_count(3, timeout=FIRST_SIGHT_MS)
    # The last test here: nothing is spent any more.
    with database.write() as connection:
        connection.execute(update(usage).values(spent_micros=0))
    # What was read is kept for a while, for all viewers.
    clock.set_forward(KEPT_SECONDS + 1)
    heard.look_at(page)
    page.reload()
    expect(spent).to_have_text(money(0), timeout=FIRST_SIGHT_MS)

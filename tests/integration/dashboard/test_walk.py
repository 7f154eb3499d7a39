"""A walk over the pages in a real browser, and whether people with a screen reader or a keyboard can take it too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import TimeoutError as NotInTime

from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from tests.support.ledger_rows import AGENTS, SeededLedger, seed_ledger
from tests.support.serving import serving_pages
from tests.support.whole_pages import ERROR_BOX, EXCEPTION, IS_WHOLE

PATHS = ("spend", "budgets", "alerts", "rate-limits", "policy-denials", "estimates", "decisions", "health")
FIRST_SIGHT_MS = 60_000
DOCUMENT = {
    "organization": "acme",
    "agents": {agent: {"provider": provider, "team": team or "team-ops"} for agent, team, provider, *_ in AGENTS},
    "budgets": [
        {"id": "org", "per": "org", "monthly_budget_usd": 50, "enforcement_mode": "soft"},
        {"id": "copilots", "per": "agent", "applies_to": {"provider": "copilot_studio"}, "monthly_budget_usd": 5},
    ],
    "rate_limits": [{"id": "each-user", "per": "user", "requests_per_minute": 10}],
    "policies": [{"policy_id": "office", "effect": "allow", "priority": 60, "conditions": []}],
}
_BOX_X, _BOX_Y = 18, 54
"""Of a table drawn on a canvas: the box before its first row, below the header, in pixels."""


@pytest.fixture(scope="module")
def ledger_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('walk') / 'ledger.db'}"


@pytest.fixture(scope="module")
def ledger(ledger_url: str) -> SeededLedger:
    """A month of a small company with a live document."""
    with closing(Database(ledger_url)) as database:
        seeded = seed_ledger(database, now=datetime.now(UTC), days=30, per_day=20)
        publish_document(database, parse_document(DOCUMENT, "test"), author="ada", reason="first")
    return seeded


@pytest.fixture(scope="module")
def address(ledger_url: str, ledger: SeededLedger) -> Iterator[str]:
    with serving_pages(ledger_url) as address:
        yield address


def whole(page: Page) -> None:
    try:
        page.wait_for_function(f"() => {IS_WHOLE}()", timeout=FIRST_SIGHT_MS)
    except NotInTime:
        pytest.fail(f"{page.url} is not whole: {page.get_by_test_id('stMain').inner_text()[:500]}")
    assert page.locator(f"{EXCEPTION}, {ERROR_BOX}").count() == 0


def choose_first_row(page: Page, table: str) -> None:
    """In the table whose key begins so."""
    grid = page.locator(f"[class*='st-key-{table}'] [data-testid='data-grid-canvas']").first
    expect(grid).to_be_visible(timeout=FIRST_SIGHT_MS)
    grid.scroll_into_view_if_needed()
    # By the mouse itself: a layer for scrolling lies above the drawing, and what the mouse is over decides.
    page.wait_for_timeout(300)
    box = grid.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + _BOX_X, box["y"] + _BOX_Y)
    page.wait_for_timeout(100)
    page.mouse.down()
    page.mouse.up()


def asked_for(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_from_spend_to_the_worst_budget_to_one_decision_and_back(page: Page, address: str) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{address}/spend?org=acme&range=30d")
    whole(page)
    choose_first_row(page, "spend_agent")
    expect(page).to_have_url(re.compile("/budgets"), timeout=FIRST_SIGHT_MS)
    whole(page)
    choose_first_row(page, "counters_")
    page.wait_for_url(re.compile("budget="), timeout=FIRST_SIGHT_MS)
    whole(page)
    page.get_by_test_id("stMain").get_by_role("link", name="Its calls").click()
    expect(page).to_have_url(re.compile("/decisions"), timeout=FIRST_SIGHT_MS)
    whole(page)
    listed = asked_for(page)
    choose_first_row(page, "decisions_")
    page.wait_for_url(re.compile("decision="), timeout=FIRST_SIGHT_MS)
    whole(page)
    expect(page.get_by_text("Tests", exact=False).first).to_be_visible()
    page.get_by_role("button", name="Back to the list").click()
    page.wait_for_function("() => !location.search.includes('decision=')", timeout=FIRST_SIGHT_MS)
    assert asked_for(page) == listed
    # Streamlit looks for its server under the page's own path first; that answer is expected.
    assert [error for error in errors if "404" not in error] == []


@pytest.mark.parametrize("appearance", ["light", "dark"])
def test_no_page_has_a_serious_barrier(browser: Browser, address: str, appearance: str) -> None:
    """By axe: contrast, names of controls, order of headings, roles, whatever it calls serious or critical."""
    context = browser.new_context(color_scheme="dark" if appearance == "dark" else "light")
    with closing(context):
        page = context.new_page()
        barriers: list[tuple[str, str, str]] = []
        for path in PATHS:
            page.goto(f"{address}/{path}")
            whole(page)
            barriers += [
                (path, found["id"], found["nodes"][0]["html"][:200])
                for found in Axe().run(page).response["violations"]
                if found["impact"] in {"serious", "critical"}
            ]
    assert barriers == []


def test_the_menu_keeps_the_organization_and_the_filters(page: Page, address: str) -> None:
    page.goto(f"{address}/spend?org=acme&agent=copilot_hr")
    whole(page)
    page.get_by_test_id("stSidebar").get_by_role("link", name="Decisions").click()
    expect(page.get_by_role("heading", name="Decisions")).to_be_visible(timeout=FIRST_SIGHT_MS)
    assert asked_for(page) == {"org": "acme", "agent": "copilot_hr"}

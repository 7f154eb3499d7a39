"""Opens pages in Chromium and takes the time until each is whole."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as BrowserError

from benchmarks.blocks import CannotRun
from benchmarks.ledger_world import ORG
from tests.support.browser import BrowserUnavailable, open_browser
from tests.support.serving import serving_pages
from tests.support.whole_pages import ERROR_BOX, EXCEPTION, IS_WHOLE

PAGES = {
    "spend": "Spend",
    "budgets": "Budgets",
    "alerts": "Alerts",
    "rate-limits": "Rate limits",
    "policy-denials": "Policy denials",
    "estimates": "Estimate vs actual",
    "decisions": "Decisions",
    "health": "Settings & health",
}
"""Address -> title."""
LONGEST_SECONDS = 60.0

# Looks at each frame that the browser draws, and returns the milliseconds since `begun`, by its own clock.
_WHOLE = (
    "([title, begun, longest]) => new Promise((done, failed) => { const look = () => {"
    " const now = performance.now() - begun;"
    f" if ({IS_WHOLE}(title)) done(now);"
    " else if (now > longest) failed(new Error('not whole'));"
    " else requestAnimationFrame(look); }; look(); })"
)
_BROKEN = f"{EXCEPTION}, {ERROR_BOX}"


@dataclass(slots=True)
class Times:
    """Seconds until one page was whole, a number for each round."""

    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)


def measure(ledger_url: str, rounds: int, after_page: Callable[[int], None]) -> dict[str, Times]:
    """Open every page in every round. Raises `CannotRun` without a browser, and for a page that shows an error."""
    times = {path: Times() for path in PAGES}
    try:
        with open_browser() as browser:
            for _ in range(rounds):
                with serving_pages(ledger_url) as address:
                    for path, title in PAGES.items():
                        times[path].cold.append(_cold(browser, address, path, title))
                        after_page(1)
                    for path, seconds in _warm(browser, address).items():
                        times[path].warm.append(seconds)
    except (BrowserUnavailable, TimeoutError) as missing:
        raise CannotRun(str(missing)) from None
    return times


def _cold(browser: Browser, address: str, path: str, title: str) -> float:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    with contextlib.closing(context):
        page = context.new_page()
        page.goto(f"{address}/{path}?org={ORG}", wait_until="commit")
        # Zero of the browser's clock is the beginning of the navigation.
        return _until_whole(page, path, title, begun=0.0)


def _warm(browser: Browser, address: str) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    found: dict[str, float] = {}
    with contextlib.closing(context):
        page = context.new_page()
        page.goto(f"{address}/health?org={ORG}", wait_until="commit")
        _until_whole(page, "health", PAGES["health"], begun=0.0)
        for _ in range(2):
            for path, title in PAGES.items():
                link = page.get_by_test_id("stSidebar").get_by_role("link", name=title, exact=True)
                link.evaluate("link => { window.begun = performance.now(); link.click(); }")
                begun = float(page.evaluate("() => window.begun"))
                found[path] = _until_whole(page, path, title, begun=begun)
    return found


def _until_whole(page: Page, path: str, title: str, *, begun: float) -> float:
    try:
        milliseconds = float(page.evaluate(_WHOLE, [title, begun, LONGEST_SECONDS * 1000]))
    except BrowserError:
        raise CannotRun(f"the page {path} was not whole after {LONGEST_SECONDS:.0f} s") from None
    if page.locator(_BROKEN).count():
        raise CannotRun(f"the page {path} shows an error: {page.locator(_BROKEN).first.inner_text()[:200]}")
    return milliseconds / 1000

"""A real Chromium for page tests, taken from PATH."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class BrowserUnavailable(Exception):
    """This machine has no browser; the message is the reason to skip."""


def find_browser() -> str:
    """The path of a Chromium on PATH; raises :class:`BrowserUnavailable` when there is none."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    raise BrowserUnavailable(f"no browser on PATH: looked for {', '.join(NAMES)}")


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless browser, closed on leaving.

    While it is open Playwright keeps an event loop running in this thread, so ``asyncio.run`` fails here.
    """
    path = find_browser()
    # Chromium's own sandbox does not work for root.
    arguments = [*ARGUMENTS, "--no-sandbox"] if os.geteuid() == 0 else [*ARGUMENTS]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()

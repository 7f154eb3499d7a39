"""Pictures of every page, light and dark, at desktop and phone width, from the demo in headless Chromium.

`make screenshots DIR=pictures` or `python -m scripts.screenshots --dir pictures [--url http://127.0.0.1:8501]`

1. Start the demo on a free port, unless `--url` names pages that run already.
2. Open each page in each appearance and width; wait until it has run and its charts are drawn.
3. Save the whole page as `<page>-<appearance>-<width>.png`.

Exit codes: 0 all pictures are whole, 1 a page failed (an exception, an error box, a skeleton or a missing chart; its
picture is saved all the same), 2 wrong arguments, 3 no demo or no browser, 130 stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as BrowserError
from rich.progress import track

from tests.support.browser import BrowserUnavailable, open_browser
from tests.support.whole_pages import ERROR_BOX, EXCEPTION, IS_WHOLE, NO_PAGE, SKELETON

PAGES = (
    "spend", "budgets", "alerts", "rate-limits", "policy-denials", "estimates", "decisions", "health",
)  # fmt: skip
APPEARANCES = ("light", "dark")
WIDTHS = {"desktop": (1440, 900), "phone": (390, 844)}
DEMO_READY_SECONDS = 180.0
TRAFFIC_SECONDS = 20.0
"""How long the demo runs before its pages are pictured: alerts fire and calls are denied by then."""
PAGE_SECONDS = 45.0

_TALL = """() => Math.max(
  document.documentElement.scrollHeight,
  document.querySelector('[data-testid="stMain"]')?.scrollHeight ?? 0)"""


def problems_of(page: Page) -> list[str]:
    """What is wrong with the page as it stands: exceptions, error boxes of a failed page, skeletons, empty charts."""
    named = ((EXCEPTION, "an exception"), (SKELETON, "a skeleton"), (NO_PAGE, "an address that is no page"))
    found = [words for selector, words in named if page.locator(selector).count()]
    found += [f"an error box: {text.strip()[:120]}" for text in page.locator(ERROR_BOX).all_inner_texts()]
    charts = page.locator('[data-testid="stPlotlyChart"]:visible')
    empty = sum(1 for chart in charts.all() if not chart.locator(".main-svg").count())
    if empty:
        found.append(f"{empty} charts that were not drawn")
    return found


def open_page(page: Page, address: str) -> list[str]:
    """Open an address and wait until it is whole. Returns what is wrong with it."""
    page.goto(address)
    try:
        page.wait_for_function(f"() => {IS_WHOLE}()", timeout=PAGE_SECONDS * 1000)
        # Twice: fonts and the width of a chart settle after the first drawing.
        page.wait_for_timeout(400)
        page.wait_for_function(f"() => {IS_WHOLE}()", timeout=PAGE_SECONDS * 1000)
    except BrowserError:
        return [f"it was not ready after {PAGE_SECONDS:.0f} s", *problems_of(page)]
    return problems_of(page)


def take(browser: Browser, url: str, directory: Path, pages: tuple[str, ...] = PAGES) -> list[str]:
    """Save all pictures. Returns a line for each page that is not whole."""
    wrong: list[str] = []
    shots = [(name, appearance, width) for appearance in APPEARANCES for width in WIDTHS for name in pages]
    for name, appearance, width in track(shots, "Pictures", transient=True, disable=not sys.stderr.isatty()):
        wide, high = WIDTHS[width]
        context = browser.new_context(
            viewport={"width": wide, "height": high},
            color_scheme="dark" if appearance == "dark" else "light",
            reduced_motion="reduce",
        )
        with contextlib.closing(context):
            page = context.new_page()
            found = open_page(page, f"{url.rstrip('/')}/{name}")
            # The page scrolls inside of itself: a window as tall as it shows it whole.
            page.set_viewport_size({"width": wide, "height": min(max(high, page.evaluate(_TALL) + 40), 8000)})
            page.wait_for_timeout(500)
            page.screenshot(path=directory / f"{name}-{appearance}-{width}.png")
            wrong += [f"{name} ({appearance}, {width}): {problem}" for problem in found]
    return wrong


@contextlib.contextmanager
def demo() -> Iterator[str]:
    """A demo of its own; gives the address of its pages."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="bursar-") as place:
        command = [sys.executable, "-P", "-m", "bursar", "demo", "--no-browser", "--port", str(port)]
        process = subprocess.Popen(
            [*command, "--state-dir", place],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            _wait_for(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + DEMO_READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
            raise SystemExit(_refuse(f"The demo ended before its pages answered. {said[-400:]}"))
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(TRAFFIC_SECONDS)
                return
        time.sleep(0.2)
    raise SystemExit(_refuse(f"The demo did not answer within {DEMO_READY_SECONDS:.0f} s."))


def _refuse(sentence: str, code: int = 3) -> int:
    sys.stderr.write(f"{sentence}\n")
    return code


def main(arguments: list[str] | None = None) -> int:
    """Take the pictures; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.screenshots", description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, required=True, help="where the pictures go; made when missing")
    parser.add_argument("--url", help="pages that run already; without it a demo is started")
    parser.add_argument("--pages", nargs="*", choices=PAGES, default=PAGES, metavar="PAGE", help="only these")
    options = parser.parse_args(arguments)
    options.dir.mkdir(parents=True, exist_ok=True)
    started = contextlib.nullcontext(options.url) if options.url else demo()
    try:
        with started as url, open_browser() as browser:
            wrong = take(browser, url, options.dir, tuple(options.pages))
    except BrowserUnavailable:
        return _refuse("There is no Chromium here: `make test-browser-setup` installs one.")
    except KeyboardInterrupt:
        return _refuse("Stopped; the pictures taken so far are kept.", 130)
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    made = len(options.pages) * len(APPEARANCES) * len(WIDTHS)
    sys.stdout.write(
        f"{made} pictures in {options.dir}; {'all pages are whole' if not wrong else f'{len(wrong)} problems'}.\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

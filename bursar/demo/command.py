"""`bursar demo`: start everything, keep it going, end it in order."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from bursar.demo.children import Child, worker_command
from bursar.demo.history import DAYS, make_past
from bursar.demo.outcome import DemoOutcome, read_outcome
from bursar.demo.place import only_demo
from bursar.demo.ports import ADDRESS, reserved_port
from bursar.demo.summary import Summary
from bursar.demo.traffic import Traffic, TrafficReport
from bursar.demo.vault import fill_vault
from bursar.stopping import stop_event
from dashboard.run import serve_command, serve_environment, wait_until_ready
from engine.admission.embedded import EmbeddedServer
from engine.clock import utc_now
from engine.document.load import read_document
from engine.errors import BursarError, InvalidValue
from engine.ledger.queries.progress import is_settled
from engine.money import format_usd
from engine.replay.traces import Trace, TraceError, TraceRow
from engine.service import GovernanceService
from engine.settings import Settings, read_settings

REDIS_TIMEOUT_SECONDS = 1.0
"""Twenty times the product's deadline: a laptop that starts a browser must not turn that into denials."""

HOLD_SECONDS = 30
LEASE_SECONDS = 3
PAGES_PATIENCE_SECONDS = 60.0
ALERTS_PATIENCE_SECONDS = 8.0

_WHAT_TO_LOOK_AT = """\
The organization, its last 30 days and its traffic are made up. What to look at:
  Spend      sales is heading over its plan for the month. contract_review has a
             trial budget of $3 a day that begins now: alerts appear under
             Notifications as it fills up, and critical ones when it denies its
             first call; the others are denied for the rest of the day.
  Decisions  Why a call was allowed or denied: the policy block_development,
             the rate limit each-user, the budget legal-trial.
  Settings   Under Audit log: who was handed a made-up credential, and for what.
  Prices     The vendor of market_research bills a third more than its price. In
             another terminal: BURSAR_STATE_DIR={state_dir} bursar costs calibrations 1
"""


@dataclass(frozen=True)
class DemoOptions:
    """The command's arguments; `seconds` is `None` for a demo that runs until it is stopped."""

    seconds: float | None
    summary: Path | None
    port: int | None
    state_dir: Path
    trace: Path | None
    open_browser: bool


def parse_duration(text: str) -> float:
    """Seconds of a duration such as 40s, 5m or 1h; a bare number is seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", text.strip())
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600, None: 1}[match[2]] if match else 0.0
    if not 0 < seconds <= 365 * 86_400:
        raise InvalidValue("--for", f"must be a duration such as 40s, 5m or 1h, got {text!r}")
    return seconds


def run_demo(options: DemoOptions) -> None:
    """Run the demo.

    1. Check every argument, so that a mistake starts nothing.
    2. Own the state directory; start the private server; in a fresh directory, make up a past.
    3. Start the service, the worker, the pages - in this order.
    4. Make traffic until the time is over or somebody stops it.
    5. End in the opposite order: traffic, worker (which stores what is left), pages, service, the server last.
    """
    console = Console(stderr=True, highlight=False)
    stopping = stop_event()
    trace = _usable_trace(options.trace)
    summary = Summary(options.summary)
    with reserved_port(options.port) as port, only_demo(options.state_dir) as note:
        outcome, problem = _demonstrate(console, options, stopping, trace, port, note)
    _say_goodbye(console, outcome, options, problem)
    summary.write(outcome)
    if problem is not None:
        raise BursarError(problem)


def _demonstrate(
    console: Console, options: DemoOptions, stopping: threading.Event, trace: Trace | None, port: int, note: TextIO
) -> tuple[DemoOutcome, str | None]:
    """What the run came to, and what ended it early."""
    with contextlib.ExitStack() as running:
        starting = running.enter_context(_progress(console, "Starting the private server and the ledger"))
        server = running.enter_context(EmbeddedServer.start(options.state_dir))
        settings = _settings(options, server.url, port)
        with resources.as_file(resources.files("bursar.demo") / "organization.yaml") as document:
            if not _has_past(document, options.state_dir, starting, stopping):
                return DemoOutcome.nothing(utc_now()), None
            starting.update("Starting the service ...")
            service = running.enter_context(GovernanceService.from_document(document, settings=settings))
        fill_vault(service, settings)
        environment = _environment(settings)
        logs = options.state_dir / "logs"
        pages = _child(running, Child("pages", serve_command(port, ADDRESS), environment, logs / "pages.log"))
        worker = _child(running, Child("worker", worker_command(), environment, logs / "worker.log"))
        children = (pages, worker)
        traffic = Traffic(service, trace=trace)
        started_at = utc_now()
        starting.update("Starting the pages ...")
        note.write(settings.dashboard_url)
        note.flush()
        greeting = threading.Thread(
            target=_greet, args=(console, starting, port, options, stopping, children), name="greet", daemon=True
        )
        greeting.start()
        ticker = _Ticker(console, traffic.report, children, stopping)
        traffic.run(stopping, options.seconds, ticker.tick)
        starting.stop()
        with _progress(console, "Stopping: storing what is left"):
            traffic.finish()
            _wait_for_alerts(service, children)
            worker.stop()
            return read_outcome(service.database, service.org_id, traffic.report, started_at), ticker.problem


def _has_past(document: Path, state_dir: Path, starting: Status, stopping: threading.Event) -> bool:
    """Make up a past in a fresh directory; false when the demo is ended meanwhile."""
    ledger = state_dir / "ledger.db"
    return ledger.exists() or make_past(
        ledger,
        read_document(document),
        lambda day: starting.update(f"Making up a past: day {day} of {DAYS} ..."),
        stopping.is_set,
    )


class _Ticker:
    """Once a second: says how it goes, and stops the demo when one of its processes has died."""

    def __init__(
        self, console: Console, report: TrafficReport, children: tuple[Child, ...], stopping: threading.Event
    ) -> None:
        self.problem: str | None = None
        self._console = console
        self._report = report
        self._children = children
        self._stopping = stopping
        self._next_line = time.monotonic() + 10

    def tick(self) -> None:
        for child in self._children:
            if child.exit_code is not None and not self._stopping.is_set():
                self.problem = f"the {child.name} ended early: {child.last_words()} (log: {child.log})"
                self._stopping.set()
        if time.monotonic() >= self._next_line:
            self._next_line += 10
            report = self._report
            self._console.print(
                f"{report.decisions:,} calls: {report.allowed:,} allowed, {report.denied.total():,} denied, "
                f"{format_usd(report.actual_micros)} spent",
                style="dim",
                soft_wrap=True,
            )


def _usable_trace(path: Path | None) -> Trace | None:
    if path is None:
        return None
    trace = Trace(path)
    if not any(isinstance(row, TraceRow) for row in trace):
        raise TraceError(f"{path}: has no usable rows")
    return trace


def _settings(options: DemoOptions, redis_url: str, port: int) -> Settings:
    # Always its own ledger and server, whatever the environment names: made-up calls belong nowhere else.
    return read_settings().model_copy(
        update={
            "state_dir": options.state_dir,
            "database_url": None,
            "redis_url": redis_url,
            "vault_keyring": None,
            "vault_keys": None,
            "redis_timeout_seconds": REDIS_TIMEOUT_SECONDS,
            "hold_seconds": HOLD_SECONDS,
            "lease_seconds": LEASE_SECONDS,
            "dashboard_url": _url(port),
        }
    )


def _environment(settings: Settings) -> dict[str, str]:
    # The demo is for the person at this machine: nobody has to sign in, whatever the shell is set up for.
    # Its keys are its own, too.
    others = ("BURSAR_OIDC_", "BURSAR_VAULT_")
    kept = {name: value for name, value in serve_environment().items() if not name.startswith(others)}
    return kept | {
        "BURSAR_STATE_DIR": str(settings.state_dir.resolve()),
        "BURSAR_DATABASE_URL": settings.ledger_url,
        "BURSAR_REDIS_URL": str(settings.redis_url),
        "BURSAR_REDIS_TIMEOUT_SECONDS": str(settings.redis_timeout_seconds),
        "BURSAR_LEASE_SECONDS": str(settings.lease_seconds),
        "BURSAR_DASHBOARD_URL": settings.dashboard_url,
    }


def _url(port: int) -> str:
    return f"http://{ADDRESS}:{port}"


def _child(running: contextlib.ExitStack, child: Child) -> Child:
    running.callback(child.stop)
    return child


@contextlib.contextmanager
def _progress(console: Console, text: str) -> Iterator[Status]:
    if not console.is_terminal:
        console.print(f"{text} ...")
    with console.status(f"{text} ...") as status:
        yield status


def _greet(
    console: Console,
    starting: Status,
    port: int,
    options: DemoOptions,
    stopping: threading.Event,
    children: tuple[Child, ...],
) -> None:
    deadline = time.monotonic() + PAGES_PATIENCE_SECONDS
    while not wait_until_ready(port, timeout_s=0.5, address=ADDRESS):
        if stopping.is_set() or children[0].exit_code is not None or time.monotonic() > deadline:
            return
    starting.stop()
    if stopping.is_set():
        return
    advice = _WHAT_TO_LOOK_AT.format(state_dir=options.state_dir)
    console.print(f"\n[bold]Bursar is running: {_url(port)}[/bold]\n\n{escape(advice)}", soft_wrap=True)
    console.print(f"Ledger and logs are kept in {options.state_dir}.", soft_wrap=True)
    console.print("Ctrl-C stops." if options.seconds is None else f"It ends after {options.seconds:g} s.")
    if options.open_browser and _has_screen():
        webbrowser.open(_url(port))


def _has_screen() -> bool:
    # Without one, a text browser would take over the terminal.
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _wait_for_alerts(service: GovernanceService, children: tuple[Child, ...]) -> None:
    """Let alerts of the last calls go out before the worker is ended."""
    stopped_at: datetime = utc_now()
    deadline = time.monotonic() + ALERTS_PATIENCE_SECONDS
    while time.monotonic() < deadline and all(child.exit_code is None for child in children):
        with service.database.read() as connection:
            if is_settled(connection, service.org_id, stopped_at):
                return
        time.sleep(0.2)


def _say_goodbye(console: Console, outcome: DemoOutcome, options: DemoOptions, problem: str | None) -> None:
    denied = ", ".join(f"{count:,} by {group}" for group, count in outcome.denied.items() if count)
    console.print(
        f"{outcome.decisions:,} calls: {outcome.allowed:,} allowed, denied {denied or 'none'}; "
        f"{format_usd(outcome.actual_micros)} spent; {outcome.alerts_fired} alerts, "
        f"{outcome.notifications_delivered} notifications.",
        soft_wrap=True,
    )
    if problem is not None:
        return
    if (options.state_dir / "ledger.db").exists():
        console.print(f"Stopped. The ledger is kept in {options.state_dir}.", soft_wrap=True)
    else:
        console.print("Stopped. Its past was not finished, so there is no ledger yet.", soft_wrap=True)

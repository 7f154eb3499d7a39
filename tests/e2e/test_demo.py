"""The demo as a person meets it: the command, both pages in a browser, the summary, and a clean end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import func, select

import bursar.demo
from bursar.demo.history import DECISIONS, make_history
from engine.clock import utc_now
from engine.document.load import read_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.tables import alerts, decisions, events, outbox
from tests.support.ledger_copies import LedgerCopies

START_SECONDS = 60
END_SECONDS = 60
BUDGET_SECONDS = 70
"""The trial budget of the demo is used up well within this."""


class Demo:
    """A running `bursar demo`."""

    def __init__(self, state_dir: Path, port: int, *flags: str) -> None:
        self.state_dir = state_dir
        self.url = f"http://127.0.0.1:{port}"
        self.summary_file = state_dir.parent / f"{state_dir.name}.json"
        self.output = state_dir.parent / f"{state_dir.name}.out"
        command = [sys.executable, "-m", "bursar", "demo", "--no-browser", "--state-dir", str(state_dir)]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--port", str(port), "--summary", str(self.summary_file), *flags],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")},
            )

    def says(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def wait_until_running(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while f"Bursar is running: {self.url}" not in self.says():
            assert self.process.poll() is None, self.says()
            assert time.monotonic() < deadline, self.says()
            time.sleep(0.1)

    def interrupt(self) -> dict[str, object]:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(END_SECONDS) == 0, self.says()
        summary: dict[str, object] = json.loads(self.summary_file.read_text(encoding="utf-8"))
        return summary

    def children(self) -> list[int]:
        found = []
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = status.read_bytes().decode(errors="replace")
                environment = (status.parent / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            pid = int(status.parent.name)
            if pid != self.process.pid and str(self.state_dir) in words + environment:
                found.append(pid)
        return found


@contextmanager
def running_demo(state_dir: Path, *flags: str) -> Iterator[Demo]:
    demo = Demo(state_dir, free_port(), *flags)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.process.send_signal(signal.SIGTERM)
            try:
                demo.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                demo.process.kill()
                demo.process.wait()


def a_past(database: Database) -> None:
    """As the demo makes it in a fresh directory."""
    document = read_document(Path(bursar.demo.__file__).with_name("organization.yaml"))
    migrate(database)
    live = publish_document(database, document, author="demo", reason="a made-up organization")
    make_history(database, live, utc_now())


@pytest.fixture
def with_a_past(tmp_path: Path, ledger_copies: LedgerCopies) -> Path:
    """A state directory in which a demo has run before: it need not make up a past."""
    state_dir = tmp_path / "demo"
    state_dir.mkdir()
    ledger_copies.put(f"sqlite:///{state_dir / 'ledger.db'}", a_past)
    return state_dir


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def text_under(page: Page, label: str) -> str:
    metric = page.locator('[data-testid="stMetric"]').filter(has_text=label)
    return metric.locator('[data-testid="stMetricValue"]').inner_text()


def number_in(text: str) -> float:
    """Of `9,876` or `12.3k`."""
    units = {"k": 1e3, "M": 1e6}
    return float(re.sub(r"[^\d.]", "", text)) * units.get(text[-1:], 1)


@pytest.mark.timeout(300)
def test_the_demo_shows_live_numbers_alerts_and_explained_decisions_and_ends_cleanly(
    tmp_path: Path, page: Page
) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    with running_demo(tmp_path / "demo") as demo:
        demo.wait_until_running()

        page.goto(demo.url)
        expect(page.get_by_role("heading", name="Spend", exact=True)).to_be_visible()
        # The story of the past, on any day of a month: somebody's plan is passed, or about to be.
        expect(page.get_by_text("Month to date").first).to_be_visible()
        expect(page.get_by_text("market_research").first).to_be_visible()
        assert number_in(text_under(page, "Spend under a budget")) > 0

        page.goto(f"{demo.url}/alerts")
        expect(page.get_by_role("heading", name="Alerts", exact=True)).to_be_visible()
        # It comes by itself: nobody loads the page again.
        expect(page.get_by_text("legal-trial").first).to_be_visible(timeout=BUDGET_SECONDS * 1000)
        expect(page.get_by_text("critical").first).to_be_visible(timeout=BUDGET_SECONDS * 1000)
        page.get_by_test_id("stButton").filter(has_text="Open").first.get_by_role("button").click()
        expect(page.get_by_text("delivered").first).to_be_visible(timeout=20_000)
        expect(page.locator('[data-testid="stException"]')).to_have_count(0)

        page.get_by_role("link", name="Decisions").click()
        expect(page.get_by_role("heading", name="Decisions", exact=True)).to_be_visible()
        expect(page.locator('[data-testid="stDataFrame"]').first).to_be_visible()

        database = Database(f"sqlite:///{demo.state_dir / 'ledger.db'}")
        with database.read() as connection:
            denied = connection.execute(
                select(decisions.c.decision_id).where(decisions.c.reason == "policy_deny").limit(1)
            ).scalar_one()
        page.goto(f"{demo.url}/decisions?decision={denied}")
        expect(page.get_by_text("block_development").first).to_be_visible()
        expect(page.locator('[data-testid="stException"]')).to_have_count(0)

        # The trial, which has no past, is denied calls, and both of its alerts are out.
        full = select(func.count()).where(decisions.c.agent_id == "contract_review", decisions.c.reason.like("budget%"))
        of_trial = select(func.count(alerts.c.title.distinct())).where(alerts.c.title.contains("'legal-trial'"))
        deadline = time.monotonic() + BUDGET_SECONDS
        while time.monotonic() < deadline:
            with database.read() as connection:
                if connection.execute(full).scalar_one() and connection.execute(of_trial).scalar_one() >= 2:
                    break
            time.sleep(0.2)

        summary = demo.interrupt()
        assert demo.children() == []
        assert not (demo.state_dir / "valkey" / "server.sock").exists()
        assert not list(demo.state_dir.rglob("*.pid"))
        assert "Traceback" not in demo.says()

    assert problems == []
    counts = summary["denied"]
    assert isinstance(counts, dict)
    assert counts["policy"] > 0
    assert counts["budget"] > 0
    assert summary["decisions"] == summary["allowed"] + sum(counts.values())  # type: ignore[operator]
    started = datetime.fromisoformat(str(summary["started_at"]))
    with database.read() as connection:
        fired = set(
            connection.execute(
                select(alerts.c.title).where(alerts.c.fired_at >= started, alerts.c.title.contains("legal-trial"))
            ).scalars()
        )
        rows = connection.execute(select(func.count()).where(decisions.c.at >= started)).scalar_one()
        settled = connection.execute(
            select(func.count(), func.sum(decisions.c.actual_micros)).where(
                decisions.c.state == "settled", decisions.c.at >= started
            )
        ).one()
        checks = connection.execute(
            select(func.count()).where(events.c.kind == "check", events.c.at >= started)
        ).scalar_one()
        delivered = connection.execute(
            select(func.count()).where(outbox.c.state == "delivered", outbox.c.created_at >= started)
        ).scalar_one()
        past = connection.execute(select(func.count()).where(decisions.c.at < started)).scalar_one()
    database.close()
    # The trial's alerts, from half of it to its first denial; other rules may fire in this very minute.
    assert len(fired) >= 2
    assert summary["alerts_fired"] >= 2  # type: ignore[operator]
    assert rows == checks == summary["decisions"] == summary["ledger_rows"]
    assert settled[0] == summary["settled"]
    assert round(settled[1] / 1_000_000, 6) == summary["actual_usd"]
    assert delivered == summary["notifications_delivered"]
    assert delivered >= 2
    assert past >= DECISIONS


@pytest.mark.timeout(120)
def test_a_demo_that_is_stopped_while_its_past_is_made_up_ends_at_once_and_leaves_no_half_of_it(tmp_path: Path) -> None:
    with running_demo(tmp_path / "demo") as demo:
        deadline = time.monotonic() + START_SECONDS
        while not (demo.state_dir / "unfinished.db-wal").exists():
            assert demo.process.poll() is None, demo.says()
            assert time.monotonic() < deadline, demo.says()
            time.sleep(0.05)
        time.sleep(1.0)
        asked = time.monotonic()
        summary = demo.interrupt()
        # Two seconds where nobody else wants the processor; making the past takes ten more.
        assert time.monotonic() - asked < 5
        assert demo.children() == []
    assert "0 calls: 0 allowed, denied none; $0.00 spent; 0 alerts, 0 notifications." in demo.says()
    assert "Stopped. Its past was not finished, so there is no ledger yet." in demo.says()
    assert "Traceback" not in demo.says()
    assert summary["decisions"] == summary["ledger_rows"] == 0
    assert not list(demo.state_dir.glob("*.db*"))


@pytest.mark.timeout(240)
def test_a_killed_demo_leaves_nothing_running_and_goes_on_with_its_data(with_a_past: Path) -> None:
    state_dir = with_a_past
    with running_demo(state_dir) as demo:
        demo.wait_until_running()
        time.sleep(4)
        with pytest.raises(AssertionError):
            assert demo.children() == []
        demo.process.kill()
        demo.process.wait()
        deadline = time.monotonic() + 20
        while demo.children() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert demo.children() == []
    database = Database(f"sqlite:///{state_dir / 'ledger.db'}")
    with database.read() as connection:
        before = connection.execute(select(func.count()).select_from(decisions)).scalar_one()
    assert before > 0
    with running_demo(state_dir, "--for", "4s") as again:
        assert again.process.wait(START_SECONDS + END_SECONDS) == 0, again.says()
        summary = json.loads(again.summary_file.read_text(encoding="utf-8"))
    with database.read() as connection:
        after = connection.execute(select(func.count()).select_from(decisions)).scalar_one()
    database.close()
    assert summary["ledger_rows"] == summary["decisions"]
    assert after >= before + summary["decisions"]


@pytest.mark.timeout(180)
def test_a_second_demo_in_the_same_place_and_a_taken_port_are_each_refused_in_one_sentence(
    with_a_past: Path, tmp_path: Path
) -> None:
    with running_demo(with_a_past) as demo:
        demo.wait_until_running()
        with running_demo(with_a_past, "--for", "3s") as second:
            assert second.process.wait(START_SECONDS) == 2
            said = second.says()
            assert "a demo already runs in" in said
            assert demo.url in said
            assert len(said.strip().splitlines()) == 1
        taken = Demo(tmp_path / "other", int(demo.url.rsplit(":", 1)[1]), "--for", "3s")
        assert taken.process.wait(START_SECONDS) == 2
        assert "is in use" in taken.says()
        assert not (tmp_path / "other").exists()


@pytest.mark.timeout(180)
def test_a_state_directory_too_long_for_a_socket_path_and_a_trace_of_ones_own_both_work(
    with_a_past: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.csv"
    rows = [f"2023-11-16 18:17:{second:02d}.5000000,{1000 + second},20" for second in range(30)]
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(rows), encoding="utf-8")
    state_dir = tmp_path / ("deep" * 20) / ("deeper" * 10)
    state_dir.parent.mkdir()
    with_a_past.rename(state_dir)
    with running_demo(state_dir, "--for", "6s", "--trace", str(trace)) as demo:
        assert demo.process.wait(START_SECONDS + END_SECONDS) == 0, demo.says()
    summary = json.loads(demo.summary_file.read_text(encoding="utf-8"))
    assert summary["ledger_rows"] == summary["decisions"] > 0

"""One run of `make bench-alerts`."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from benchmarks.blocks import CannotRun, percentile
from benchmarks.ledger_writer import ledger
from engine.admission.embedded import EmbeddedServer, EmbeddedServerError
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.service import GovernanceService
from engine.settings import Settings
from tests.support.fake_slack import FakeSlack

ORG = "acme"
SEED = 20_261_126
PATIENCE_SECONDS = 120.0
LONGEST_QUIET_SECONDS = 15.0
"""Repeats, if there were any, would come within a worker's lease and the first retries."""
REQUEST_TIMEOUT_SECONDS = 5.0
WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Result:
    """Seconds from before `check` to Slack, of each crossing; `lost` never came."""

    ledger: str
    channels: int
    per_second: float
    seconds: tuple[float, ...]
    sent: int
    duplicates: int
    lost: int

    def as_json(self) -> dict[str, Any]:
        """The numbers with their published names."""
        return {
            "crossings": len(self.seconds) + self.lost,
            "sent": self.sent,
            "duplicates": self.duplicates,
            "lost": self.lost,
            "p50_s": round(percentile(self.seconds, 50), 3),
            "p95_s": round(percentile(self.seconds, 95), 3),
            "p99_s": round(percentile(self.seconds, 99), 3),
            "max_s": round(max(self.seconds), 3),
            "ledger": self.ledger,
            "channels": self.channels,
            "per_second": self.per_second,
        }


def measure(console: Console, kind: str, *, crossings: int, channels: int, per_second: float) -> Result:
    """Make the crossings and wait for their messages."""
    with contextlib.ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bursar-bench-")))
        try:
            server = opened.enter_context(EmbeddedServer.start(folder))
        except EmbeddedServerError as problem:
            raise CannotRun(str(problem)) from problem
        database_url = opened.enter_context(ledger(kind))
        slack = opened.enter_context(FakeSlack())
        with contextlib.closing(Database(database_url)) as database:
            migrate(database)
            publish_document(database, _document(crossings + WARM_UP, channels), author="bench", reason="bench")
        settings = Settings.model_construct(
            state_dir=folder,
            database_url=database_url,
            redis_url=server.url,
            redis_timeout_seconds=REQUEST_TIMEOUT_SECONDS,
        )
        service = opened.enter_context(GovernanceService.from_live(ORG, settings=settings))
        opened.enter_context(_worker(folder, database_url, server.url, slack))
        bar = opened.enter_context(_bar(console))
        _warm_up(service, slack)
        started = _cross(service, crossings, per_second, bar)
        return _result(slack, started, kind, channels, per_second)


def show(console: Console, result: Result) -> None:
    """Print the numbers."""
    found = result.as_json()
    table = Table(title="From a crossing to Slack", title_justify="left")
    table.add_column("What")
    table.add_column("Number", justify="right")
    for name, unit in (("p50_s", "s"), ("p95_s", "s"), ("p99_s", "s"), ("max_s", "s"), ("sent", ""), ("duplicates", ""),
                       ("lost", "")):  # fmt: skip
        table.add_row(name, f"{found[name]} {unit}".strip())
    console.print(table)
    console.print(
        f"{found['crossings']} crossings, {result.per_second:g} a second at random moments, {result.channels} Slack "
        f"channels, ledger in {result.ledger}. Promised: p95 below 5 s; aim: below 2 s."
    )


def _document(agents: int, channels: int) -> Any:
    teams = [f"team-{number}" for number in range(channels)]
    return parse_document(
        {
            "organization": ORG,
            "agents": {
                f"agent-{number}": {"provider": "webhook", "team": teams[number % channels]} for number in range(agents)
            },
            "budgets": [{"id": "each", "per": "agent", "monthly_budget_usd": 100}],
            "policies": [{"policy_id": "go", "effect": "allow"}],
            "alerts": {
                "channels": {team: {"slack": f"#{team}"} for team in teams},
                "by_team": {team: {"critical": [team], "warning": [team]} for team in teams},
            },
        },
        "the benchmark",
    )


@contextlib.contextmanager
def _worker(folder: Path, database_url: str, redis_url: str, slack: FakeSlack) -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    environment = {
        **kept,
        "BURSAR_STATE_DIR": str(folder),
        "BURSAR_DATABASE_URL": database_url,
        "BURSAR_REDIS_URL": redis_url,
        "BURSAR_SLACK_TOKEN": slack.token,
        "BURSAR_SLACK_BASE_URL": slack.base_url,
    }
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bursar", "worker"], env=environment, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
            if process.poll() is not None:
                raise CannotRun(f"the worker ended: {(folder / 'worker.log').read_text().strip()[-300:]}")
        finally:
            process.terminate()
            process.wait(30)


def _warm_up(service: GovernanceService, slack: FakeSlack) -> None:
    """The first crossings wait for the worker to start, and are not measured."""
    for number in range(WARM_UP):
        _spend(service, number)
    patience = time.monotonic() + PATIENCE_SECONDS
    while len(slack.messages) < WARM_UP:
        if time.monotonic() > patience:
            raise CannotRun("the worker has sent nothing in two minutes")
        time.sleep(0.05)


def _cross(service: GovernanceService, crossings: int, per_second: float, bar: Progress) -> dict[str, float]:
    """Agent -> when its call began."""
    dice = random.Random(SEED)
    task = bar.add_task("crossings", total=crossings)
    started: dict[str, float] = {}
    next_at = time.monotonic()
    for number in range(WARM_UP, WARM_UP + crossings):
        next_at += dice.expovariate(per_second)
        time.sleep(max(0.0, next_at - time.monotonic()))
        started[f"agent-{number}"] = time.time()
        _spend(service, number)
        bar.advance(task)
    return started


def _spend(service: GovernanceService, number: int) -> None:
    decision = service.check(agent_id=f"agent-{number}", user_id="user", estimated_cost="96.00")
    if not decision.allowed:
        raise CannotRun(f"a check of the benchmark was denied: {decision.message}")
    service.settle(decision.id, org_id=ORG, actual_cost="96.00")


def _result(slack: FakeSlack, started: dict[str, float], kind: str, channels: int, per_second: float) -> Result:
    arrived: dict[str, float] = {}
    told: Counter[str] = Counter()
    patience, quiet_since, seen = time.monotonic() + PATIENCE_SECONDS, time.monotonic(), 0
    while time.monotonic() < patience:
        messages = slack.messages
        if len(messages) != seen:
            seen, quiet_since = len(messages), time.monotonic()
        elif seen >= len(started) + WARM_UP and time.monotonic() - quiet_since > LONGEST_QUIET_SECONDS:
            break
        time.sleep(0.2)
    for message in slack.messages:
        agent = _agent_in(str(message.body["text"]))
        told[agent] += 1
        # The stand-in gives out its own clock's microseconds, never twice the same.
        arrived.setdefault(agent, float(message.ts))
    seconds = tuple(arrived[agent] - at for agent, at in started.items() if agent in arrived)
    if not seconds:
        raise CannotRun("no message has arrived")
    sent = sum(told[agent] for agent in started)
    lost = sum(agent not in arrived for agent in started)
    return Result(kind, channels, per_second, seconds, sent, sent - len(seconds), lost)


def _agent_in(text: str) -> str:
    words = (word.strip("'\".,:;*`") for word in text.split())
    return next((word for word in words if word.startswith("agent-")), "")


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console,
        disable=not console.is_terminal,
    )  # fmt: skip

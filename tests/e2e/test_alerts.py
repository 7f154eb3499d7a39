"""Alerts with everything real: calls at the gate, worker processes, a Slack that speaks HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.document.load import read_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.service import GovernanceService
from engine.settings import Settings
from tests.support.fake_slack import FakeSlack

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0
QUIET_SECONDS = 3.0
"""A second message would have come by then: jobs look several times a second."""
AGENTS = {f"agent-{number}": {"provider": "webhook"} for number in range(50)}
ALERTS = {
    "channels": {"ops": {"slack": "#ops", "mention": "@oncall"}, "leads": {"slack": "#leads"},
                 "board": {"slack": "#board"}},
    "routes": {"critical": ["ops"], "warning": ["leads"], "management": ["board"]},
}  # fmt: skip


class House:
    """An organization with workers of their own processes."""

    def __init__(self, folder: Path, database_url: str, redis_url: str, slack: FakeSlack) -> None:
        self.folder, self.database_url, self.redis_url, self.slack = folder, database_url, redis_url, slack
        self.database = Database(database_url)
        migrate(self.database)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.settings = Settings(
            database_url=database_url, redis_url=redis_url, state_dir=folder / "state", redis_timeout_seconds=5
        )

    def apply(self, *budgets: dict[str, Any], agents: Any = AGENTS, alerts: Any = ALERTS) -> None:
        path = self.folder / "bursar.yaml"
        content = {
            "organization": "acme",
            "agents": agents,
            "policies": [{"policy_id": "go", "effect": "allow"}],
            "budgets": list(budgets),
            "alerts": alerts,
        }
        path.write_text(yaml.safe_dump(content))
        publish_document(self.database, read_document(path), author="test", reason="test")

    def start_workers(self, number: int) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
        environment = {
            **kept,
            "PYTHONPATH": str(ROOT),
            "BURSAR_STATE_DIR": str(self.folder / "state"),
            "BURSAR_DATABASE_URL": self.database_url,
            "BURSAR_REDIS_URL": self.redis_url,
            "BURSAR_LEASE_SECONDS": "2",
            "BURSAR_SLACK_TOKEN": self.slack.token,
            "BURSAR_SLACK_BASE_URL": self.slack.base_url,
        }
        command = [sys.executable, "-m", "bursar", "worker"]
        for _ in range(number):
            with (self.folder / f"worker-{len(self.workers)}.log").open("wb") as log:
                self.workers.append(
                    subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                )

    def told(self, channel: str | None = None) -> list[str]:
        """The text of every message that is none of a thread's, in a channel or everywhere."""
        wanted = None if channel is None else self.slack.channel_id(channel)
        return [
            str(message.body["text"])
            for message in self.slack.messages
            if not message.body.get("thread_ts") and wanted in (None, message.channel)
        ]

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            worker.wait(30)
        self.database.close()


@pytest.fixture
def house(tmp_path: Path, database_url: str, valkey_url: str, fake_slack: FakeSlack) -> Iterator[House]:
    found = House(tmp_path, database_url, valkey_url, fake_slack)
    yield found
    found.close()


def wait_until(true: Callable[[], bool], say: Callable[[], object] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, say()
        time.sleep(0.05)


def wait_until_quiet(value: Callable[[], list[str]]) -> list[str]:
    """Wait until nothing more comes; what there is then."""
    found, since = value(), time.monotonic()
    deadline = since + PATIENCE_SECONDS
    while time.monotonic() - since < QUIET_SECONDS:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
        if value() != found:
            found, since = value(), time.monotonic()
    return found


def call(service: GovernanceService, agent: str, usd: str) -> bool:
    decision = service.check(agent_id=agent, user_id="ann", estimated_cost=usd)
    if decision.allowed:
        service.settle(decision.id, org_id="acme", actual_cost=usd)
    return decision.allowed


def test_fifty_calls_over_budget_at_once_and_three_workers_send_one_message(house: House) -> None:
    house.apply({"id": "all", "per": "org", "monthly_budget_usd": 10})
    house.start_workers(3)
    with GovernanceService.from_live("acme", settings=house.settings) as service, ThreadPoolExecutor(16) as pool:
        allowed = sum(pool.map(lambda number: call(service, f"agent-{number}", "1"), range(50)))
    assert allowed == 10
    # Of 80, 90, 95 and 100 % and the first denial those that were seen apart are told apart, and never twice.
    wait_until(lambda: len(house.told("#board")) == 1, house.told)
    wait_until_quiet(house.told)
    assert len(house.told("#board")) == 1
    for channel in ("#ops", "#leads"):
        assert len(set(house.told(channel))) == len(house.told(channel))


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_fifty_budgets_crossed_at_once_are_told_once_each(house: House) -> None:
    teams = [f"team-{number}" for number in range(10)]
    agents = {f"agent-{number}": {"provider": "webhook", "team": teams[number % 10]} for number in range(50)}
    house.apply(
        {"id": "each", "per": "agent", "monthly_budget_usd": 100},
        agents=agents,
        alerts={
            "channels": {team: {"slack": f"#{team}"} for team in teams},
            "by_team": {team: {"critical": [team], "warning": [team]} for team in teams},
        },
    )
    house.start_workers(3)
    with GovernanceService.from_live("acme", settings=house.settings) as service, ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda agent: call(service, agent, "96"), agents))
    wait_until(lambda: len(house.told()) >= len(agents), lambda: len(house.told()))
    told = wait_until_quiet(house.told)
    assert len(set(told)) == len(told) == len(agents)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_workers_that_are_killed_lose_nothing_and_a_repeat_says_so(house: House) -> None:
    house.apply({"id": "each", "per": "agent", "monthly_budget_usd": 100})
    with GovernanceService.from_live("acme", settings=house.settings) as service:
        for number in range(8):
            house.start_workers(1)
            assert call(service, f"agent-{number}", "96")
            # Killed at some point between starting and sending.
            time.sleep(0.4 + 0.25 * number)
            house.workers[-1].kill()
    house.start_workers(1)
    wait_until(lambda: len({_agent(text) for text in house.told()}) == 8, house.told)
    for channel in ("#ops", "#leads"):
        for text in house.told(channel):
            first = next(told for told in house.told(channel) if _agent(told) == _agent(text))
            assert text == first or "(possible repeat)" in text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_budget_raised_while_its_alert_fires_is_resolved_in_place_and_may_cross_again(house: House) -> None:
    house.apply({"id": "all", "per": "org", "monthly_budget_usd": 100})
    house.start_workers(2)
    with GovernanceService.from_live("acme", settings=house.settings) as service:
        assert call(service, "agent-1", "96")
        wait_until(lambda: len(house.told("#ops")) == 1, house.told)
        house.apply({"id": "all", "per": "org", "monthly_budget_usd": 200})
        wait_until(lambda: any("Resolved" in text for text in house.told("#ops")), house.told)
        # The first message itself says so now.
        assert len(house.told("#ops")) == 1
    with GovernanceService.from_live("acme", settings=house.settings) as service:
        assert call(service, "agent-1", "95")
        wait_until(lambda: len(house.told("#ops")) == 2, house.told)
    assert len(wait_until_quiet(lambda: house.told("#ops"))) == 2


def _agent(text: str) -> str:
    return next((word for word in text.replace(":", " ").split() if word.startswith("agent-")), "")

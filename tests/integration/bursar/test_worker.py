"""`bursar worker`: the process that stores what services in other processes wrote."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from engine.ledger.database import Database
from engine.ledger.tables import decisions, heartbeats, organizations
from engine.service import GovernanceService
from engine.settings import Settings
from tests.support.broken_documents import change_versions


def eventually(holds: Callable[[], bool], seconds: float = 15) -> None:
    patience = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < patience
        time.sleep(0.05)


def states(url: str) -> list[str]:
    with closing(Database(url)) as database, database.read() as connection:
        return list(connection.execute(select(decisions.c.state).order_by(decisions.c.decision_id)).scalars())


def settings_of(folder: Path, **more: Any) -> Settings:
    return Settings(state_dir=folder / "state", redis_timeout_seconds=5.0, **more)


def test_a_worker_stores_what_a_service_in_another_process_wrote_in_a_shared_state_directory(bursar: Any) -> None:
    settings = settings_of(bursar.folder, hold_seconds=1)
    with GovernanceService.from_document(bursar.folder / "bursar.yaml", settings=settings) as service:
        service.check("copilot")
        worker = bursar.start("worker", BURSAR_STATE_DIR="state")
        assert "Writing the ledger sqlite:///" in worker.stdout.readline()
        settled = service.check("copilot")
        service.settle(settled, actual_cost="0.05")
        # The first hold expires without anybody asking again.
        eventually(lambda: states(settings.ledger_url) == ["expired", "settled"])
        with service.database.read() as connection:
            assert connection.execute(select(heartbeats.c.last_success_at)).scalars().all()
        worker.send_signal(signal.SIGINT)
        _, err = worker.communicate(timeout=20)
        assert worker.returncode == 0
        assert "Traceback" not in err
        # The server belongs to the service and goes on.
        assert service.check("copilot").allowed
        with service.database.read() as connection:
            assert connection.execute(select(organizations.c.lease_holder)).scalar_one() is None


def test_a_service_may_come_after_the_worker_and_use_its_server(bursar: Any) -> None:
    worker = bursar.start("worker", BURSAR_STATE_DIR="state")
    assert "Writing the ledger" in worker.stdout.readline()
    settings = settings_of(bursar.folder)
    with GovernanceService.from_document(bursar.folder / "bursar.yaml", settings=settings) as service:
        assert service.check("copilot").allowed
        eventually(lambda: states(settings.ledger_url) == ["held"])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, None])
def test_a_worker_asked_to_stop_stores_the_rest_and_leaves_nothing_running(bursar: Any, how: Any) -> None:
    arguments = ["worker"] if how else ["worker", "--exit-with-stdin"]
    worker = bursar.start(*arguments, BURSAR_STATE_DIR="state")
    worker.stdout.readline()
    children = [
        int(pid)
        for task in Path(f"/proc/{worker.pid}/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]
    assert children
    if how:
        worker.send_signal(how)
    else:
        worker.stdin.close()
        worker.stdin = None
    out, err = worker.communicate(timeout=20)
    assert worker.returncode == 0, err
    assert out.splitlines()[-1] == "Stopped."
    assert "Traceback" not in err
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def test_two_workers_share_the_work_and_one_takes_over_when_the_other_is_killed(
    bursar: Any, database_url: str, valkey_url: str
) -> None:
    shared = {"BURSAR_DATABASE_URL": database_url, "BURSAR_REDIS_URL": valkey_url, "BURSAR_LEASE_SECONDS": "2"}
    settings = settings_of(bursar.folder, database_url=database_url, redis_url=valkey_url)
    with GovernanceService.from_document(bursar.folder / "bursar.yaml", settings=settings) as service:
        workers = [bursar.start("worker", **shared) for _ in range(2)]
        for worker in workers:
            worker.stdout.readline()
        made = 0
        for victim in [*workers, None]:
            for _ in range(30):
                service.settle(service.check("copilot"), actual_cost="0.04")
                made += 1
            if victim is not None and victim is workers[0]:
                victim.kill()
            expected = made
            eventually(lambda expected=expected: states(database_url) == ["settled"] * expected)  # type: ignore[misc]


def test_one_organization_that_cannot_be_read_does_not_stop_the_others(
    bursar: Any, sqlite_url: str, valkey_url: str
) -> None:
    settings = settings_of(bursar.folder, database_url=sqlite_url, redis_url=valkey_url)
    (bursar.folder / "first.yaml").write_text("organization: aaa\n")
    GovernanceService.from_document(bursar.folder / "first.yaml", settings=settings).close()
    with GovernanceService.from_document(bursar.folder / "bursar.yaml", settings=settings) as service:
        with service.database.write() as connection:
            broken = {"organization": "aaa", "from": "the future"}
            change_versions(connection, "aaa", content=broken)
            connection.execute(organizations.update().where(organizations.c.org_id == "aaa").values(cursor="5-0"))
        service.check("copilot")
        worker = bursar.start("worker", BURSAR_DATABASE_URL=sqlite_url, BURSAR_REDIS_URL=valkey_url)
        worker.stdout.readline()
        eventually(lambda: states(sqlite_url) == ["held"])
        service.check("copilot")
        eventually(lambda: len(states(sqlite_url)) == 2)

"""Everything the gate asks of Redis stays in one slot of a cluster, so that a cluster answers it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from engine.admission.embedded import _tied_to_parent, find_server_binary
from engine.admission.keys import state_keys
from engine.decision import ReasonCode
from engine.errors import GateUnavailable, KeyReused
from engine.ledger.tables import events, pending_events
from tests.support.servers import connect

START_SECONDS = 30.0
SLOTS = 16_384


@contextlib.contextmanager
def cluster_node(folder: Path) -> Iterator[str]:
    """The URL of a cluster of one node that holds every slot; it ends with the block, or with this process."""
    port = _free_port()
    options = {
        "bind": "127.0.0.1", "port": port, "dir": folder, "save": "", "appendonly": "no", "logfile": folder / "log",
        "cluster-enabled": "yes", "cluster-config-file": "nodes.conf",
    }  # fmt: skip
    program = [
        str(find_server_binary().path),
        *(str(part) for name in options for part in (f"--{name}", options[name])),
    ]
    process = subprocess.Popen(_tied_to_parent(program), cwd=folder, stdin=subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        with connect(url) as client:
            _until(lambda: bool(client.ping()), process)
            client.execute_command("CLUSTER ADDSLOTS", *range(SLOTS))
            _until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", process)
        yield url
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
            # The node talks with other nodes at the port 10000 further on.
            with contextlib.suppress(OSError, OverflowError), socket.create_server(("127.0.0.1", port + 10_000)):
                return port


def _until(condition: Any, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(redis.ConnectionError):
            if condition():
                return
        assert process.poll() is None, "the server has ended"
        assert time.monotonic() < deadline, "the server is not ready in time"
        time.sleep(0.02)


@pytest.fixture
def clustered(acme: Any, tmp_path: Path) -> Iterator[Any]:
    """The organization, on a cluster."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    with cluster_node(folder) as acme.redis_url:
        yield acme
        acme.opened.close()


def test_a_cluster_answers_every_question_and_the_ledger_is_drained_from_it(clustered: Any) -> None:
    acme = clustered
    for command in (["MGET", "one", "two"], ["EVAL", "return 1", 2, "one", "two"]):
        with pytest.raises(redis.ResponseError, match=r"CROSSSLOT|same slot"):
            acme.redis.execute_command(*command)
    acme.write(
        budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 10, "outage_allowance": 1}],
        rate_limits=[{"id": per, "per": per, "requests_per_hour": 100} for per in ("org", "team", "user", "agent")],
    )
    service = acme.service()
    call = {"agent_id": "copilot_hr", "user_id": "ada", "estimated_cost": 1, "idempotency_key": "first"}
    first = service.check(**call)
    assert first.allowed
    assert len(first.rates) == 4
    assert service.check(**call).id == first.id
    with pytest.raises(KeyReused):
        service.check(**{**call, "user_id": "bob"})
    second, _ = service.check_many([{"agent_id": "hook", "estimated_cost": 1}] * 2)
    assert service.check("hook", estimated_cost=9).reason is ReasonCode.BUDGET_MONTHLY_COST
    service.settle(first, actual_cost="0.5")
    priced = service.check("coder", input_tokens=1000, output_tokens=100)
    assert service.settle(priced.id, input_tokens=1000, output_tokens=100) == priced.estimate.estimate_micros
    service.cancel(second.id)
    assert service.status("copilot_hr")["rate_limit"]["current_usage"]["hour"] == 4
    assert service.check_budget("hook", estimated_cost=9).allowed is False
    due = acme.service(hold_seconds=1).check("hook", estimated_cost=1)
    acme.store()
    # A decision made without the gate is folded in, a hold that is due expires, a lost state is installed anew.
    ask = service.gate.ask
    service.gate.ask = unanswered
    alone = service.check("hook", user_id="eve", estimated_cost=1, idempotency_key="second")
    assert (alone.allowed, alone.fail_open) == (True, True)
    service.gate.ask = ask
    time.sleep(1.1)
    writer = acme.writer()
    writer.sweep()
    assert writer.drain()
    assert writer.drain()
    writer.release()
    assert acme.rows(pending_events) == []
    assert acme.state_of(due.id) == ("expired", 1_000_000)
    assert acme.state_of(alone.id)[0] == "held"
    acme.redis.delete(state_keys(acme.org_id)[0])
    acme.write(budgets=[{"id": "cap", "per": "org", "monthly_budget_usd": 3}])
    reopened = acme.service()
    assert reopened.check("hook", estimated_cost=1).reason is ReasonCode.BUDGET_MONTHLY_COST
    acme.store()
    acme.assert_adds_up()
    assert len(acme.rows(events)) == 12
    hashes = {name: script.sha for name, script in service.gate._scripts.items()}
    known = acme.redis.script_exists(*hashes.values())
    assert dict(zip(hashes, known, strict=True)) == dict.fromkeys(hashes, True)


def unanswered(question: Any) -> Any:
    raise GateUnavailable("the server is away")

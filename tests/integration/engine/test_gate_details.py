"""What the gate's scripts do in corners that no other test looks into: each would be missed if it were left out."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from engine.admission.gate import RedisGate
from engine.admission.questions import Hold

ORG = "acme"


@pytest.fixture
def gate(valkey_url: str) -> Iterator[RedisGate]:
    """The gate by the server's own clock."""
    opened = RedisGate(valkey_url, timeout_seconds=5)
    yield opened
    opened.close()


def test_the_gates_clock_is_the_servers_to_the_millisecond(gate: RedisGate) -> None:
    for _ in range(3):
        before = time.time_ns() // 1_000_000
        told = gate.ask(Hold(ORG, "unheard-of")).now_ms
        after = time.time_ns() // 1_000_000
        assert before - 1 <= told <= after + 1
        # Not so near a full second again that what lies beyond it hardly counts.
        time.sleep(0.03)

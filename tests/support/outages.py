"""Ways in which a server fails its callers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from engine.errors import GateUnavailable


@contextmanager
def hung(client: redis.Redis) -> Iterator[None]:
    """The server neither answers nor refuses."""
    pid = client.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def answers_lost(service: Any) -> Iterator[None]:
    """The server does what it is asked to do, and nobody hears of it."""
    ask = service.gate.ask

    def ask_in_vain(question: Any) -> Any:
        ask(question)
        raise GateUnavailable("the answer was lost on its way")

    service.gate.ask = ask_in_vain
    try:
        yield
    finally:
        service.gate.ask = ask

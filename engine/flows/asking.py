"""Ask the gate until it decides."""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.admission.questions import Question, Reply
from engine.core import COLD_REST_SECONDS, Core
from engine.errors import BursarError, GateUnavailable
from engine.flows.steps import Ask, Await, Flow, wait

MOST_REPEATS = 5
"""How often a question is put anew because the answer was that it must be."""
NOT_DECIDED = ("STALE", "WRONG_PERIOD", "COLD", "LATE")
"""Answers after which nothing was written and the question must be put anew."""


def decided(core: Core, question: Callable[[], Question], again: Callable[[], None] = lambda: None) -> Flow[Reply]:
    """Ask until the gate decides: it may want its state installed, or the question put anew (`again`)."""
    if core.distrusts:
        yield from trust_again(core)
    reply: Reply = yield Ask(question())
    if reply.status not in NOT_DECIDED:
        return reply
    deadline = time.monotonic() + core.settings.rebuild_patience_seconds
    repeats = stale = 0
    while True:
        repeats += 1
        stale += reply.status == "STALE"
        if reply.status == "STALE" and stale == 1:
            yield from wait(core.reload(), core.settings.ledger_patience_seconds)
        elif reply.status in ("COLD", "STALE"):
            # STALE once more after the newest version was read: Redis holds the state of another ledger.
            yield from _wait_for_rebuild(core, deadline)
            repeats = 0
        if repeats > MOST_REPEATS:
            raise GateUnavailable(f"Redis answered {reply.status} {repeats} times")
        again()
        reply = yield Ask(question())
        if reply.status not in NOT_DECIDED:
            return reply


def trust_again(core: Core) -> Flow[None]:
    """After a lost connection: a server that came back with an older state must not decide.

    Takes no longer than asking would. Behind an open breaker nobody waits; the comparison closes it again.
    """
    deadline = time.monotonic() + core.gate.timeout_seconds
    while core.distrusts:
        comparison = core.verify()
        left = deadline - time.monotonic()
        if core.gate.breaker.is_open:
            raise GateUnavailable("Redis has not answered lately")
        if left <= 0:
            core.gate.breaker.failed()
            raise GateUnavailable("Redis' state could not be compared with the ledger in time")
        yield from wait(comparison, left)


def _wait_for_rebuild(core: Core, deadline: float) -> Flow[None]:
    now = time.monotonic()
    if now >= deadline or now < core.waits_for_rebuild_from:
        core.waits_for_rebuild_from = max(core.waits_for_rebuild_from, now + COLD_REST_SECONDS)
        core.rebuild()
        raise GateUnavailable("the organization's state is being rebuilt")
    yield from wait(core.rebuild(), deadline - now)


def warm_up(core: Core, seconds: float) -> Flow[None]:
    """See that the organization's state and newest document version are in Redis, if that can be done in time."""
    try:
        yield Await(core.rebuild(), seconds)
    except BursarError:
        # The first calls will see, and decide what to do about it.
        return

"""Decide calls: one, or several together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from engine.admission.answers import read_check
from engine.admission.questions import Check, Idempotency, Question, Reply
from engine.core import Core
from engine.decide import PreparedCheck, conclude, question_for, repeated
from engine.decision import Decision
from engine.errors import GateUnavailable, KeyReused
from engine.flows.alone import Undecided, decide_alone, give_up
from engine.flows.asking import NOT_DECIDED, decided, trust_again
from engine.flows.steps import AskMany, Flow
from engine.ids import new_decision_id
from engine.request import Request, request_hash

TOGETHER = 50
"""Questions sent in one go: the deadline is for all of them."""


def check(core: Core, request: Request) -> Flow[Decision]:
    """Decide one call.

    1. Pure part: facts, policies, price, plan.
    2. Ask the gate; where its answer is that the question must be put anew, do so.
    3. Without an answer decide alone, within the limits of an outage, and keep that for the gate.
    """
    decision_id = new_decision_id()
    prepared = core.prepare(request.facts)
    idempotency = _idempotency(request)
    started = time.perf_counter_ns()
    try:
        prepared, reply = yield from _ask_check(core, request, prepared, decision_id, idempotency)
    except GateUnavailable as problem:
        # By the newest document: the gate may have said that there is one.
        undecided = Undecided(core.prepare(request.facts), decision_id, idempotency, problem, started)
        (decision,) = yield from decide_alone(core, [undecided])
        return decision
    except GeneratorExit:
        give_up(core, prepared, decision_id)
        raise
    return _concluded(core, prepared, decision_id, reply, started)


def check_many(core: Core, requests: Sequence[Request]) -> Flow[list[Decision]]:
    """Decide several calls, asked together. All requests are validated first."""
    asked = [
        _Asked(request, core.prepare(request.facts), new_decision_id(), _idempotency(request)) for request in requests
    ]
    started = time.perf_counter_ns()
    replies: list[Reply | GateUnavailable] = []
    try:
        for first in range(0, len(asked), TOGETHER):
            replies += yield from _ask_together(core, asked[first : first + TOGETHER])
        return (yield from _decisions(core, asked, replies, started))
    except GeneratorExit:
        for number, call in enumerate(asked):
            reply = replies[number] if number < len(replies) else None
            if number < len(replies) + TOGETHER and (not isinstance(reply, Reply) or reply.status == "ALLOWED"):
                give_up(core, call.prepared, call.decision_id)
        raise


class _Asked(NamedTuple):
    request: Request
    prepared: PreparedCheck
    decision_id: str
    idempotency: Idempotency | None


def _ask_together(core: Core, calls: Sequence[_Asked]) -> Flow[list[Reply | GateUnavailable]]:
    try:
        if core.distrusts:
            yield from trust_again(core)
        replies: list[Reply | GateUnavailable] = yield AskMany(
            [_question(core, call.prepared, call.decision_id, call.idempotency) for call in calls]
        )
    except GateUnavailable as problem:
        return [problem for _ in calls]
    return replies


def _decisions(
    core: Core, asked: Sequence[_Asked], replies: Sequence[Reply | GateUnavailable], started: int
) -> Flow[list[Decision]]:
    made: dict[int, Decision] = {}
    undecided: dict[int, Undecided] = {}
    for number, (call, reply) in enumerate(zip(asked, replies, strict=True)):
        if isinstance(reply, GateUnavailable):
            undecided[number] = Undecided(call.prepared, call.decision_id, call.idempotency, reply, started)
        elif reply.status in NOT_DECIDED:
            made[number] = yield from check(core, call.request)
        else:
            made[number] = _concluded(core, call.prepared, call.decision_id, reply, started)
    alone = yield from decide_alone(core, list(undecided.values()))
    made.update(zip(undecided, alone, strict=True))
    return [made[number] for number in range(len(asked))]


def _question(core: Core, prepared: PreparedCheck, decision_id: str, idempotency: Idempotency | None) -> Check:
    return question_for(prepared, decision_id, core.hold_ms, core.settings.stream_cap, idempotency)


def _ask_check(
    core: Core, request: Request, prepared: PreparedCheck, decision_id: str, idempotency: Idempotency | None
) -> Flow[tuple[PreparedCheck, Reply]]:
    def question() -> Question:
        return _question(core, prepared, decision_id, idempotency)

    def again() -> None:
        nonlocal prepared
        prepared = core.prepare(request.facts)

    reply = yield from decided(core, question, again)
    return prepared, reply


def _concluded(core: Core, prepared: PreparedCheck, decision_id: str, reply: Reply, started: int) -> Decision:
    gate_us = (time.perf_counter_ns() - started) // 1000
    if reply.status == "REUSED":
        raise KeyReused
    if reply.status == "REPEATED":
        return repeated(prepared, reply, gate_us)
    answer = read_check(reply.now_ms, reply.raw[2], prepared.plan.counters, prepared.plan.rates)
    core.limits.note(prepared.plan, answer, prepared.estimate.reserve_micros)
    return conclude(prepared, decision_id, answer, gate_us)


def _idempotency(request: Request) -> Idempotency | None:
    return None if request.idempotency_key is None else Idempotency(request.idempotency_key, request_hash(request))

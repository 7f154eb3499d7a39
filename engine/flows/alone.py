"""Decide without the gate, within the limits of an outage, and keep that for it (promise 6)."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from engine.admission.answers import CheckAnswer, read_check
from engine.admission.questions import Idempotency
from engine.core import Core
from engine.decide import PreparedCheck, conclude, in_outage, unavailable_answer, unavailable_message
from engine.decision import Decision, ReasonCode
from engine.errors import BursarError, DatabaseError, GateUnavailable, KeyReused, PoolExhausted, SpoolError
from engine.flows.steps import Await, Flow, NotInTime
from engine.fold import check_payload
from engine.ids import repeatable_decision_id
from engine.ledger.pending import PendingEvent
from engine.ledger.recorder import Entry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Undecided:
    """A check that the gate did not answer. `decision_id` is the id under which it was asked."""

    prepared: PreparedCheck
    decision_id: str
    idempotency: Idempotency | None
    problem: GateUnavailable
    started: int


@dataclass(slots=True)
class Alone:
    """A decision of this process alone, on its way into the ledger."""

    asked: Undecided
    prepared: PreparedCheck
    decision_id: str
    answer: CheckAnswer
    entry: Entry


def decide_alone(core: Core, undecided: Sequence[Undecided]) -> Flow[list[Decision]]:
    """Decide calls without the gate and keep that in the ledger for it.

    1. What policies or prices deny stays denied. A process that is short of connections denies: that is no outage.
    2. The limits of an outage decide the rest.
    3. The decisions are kept in SQL before the caller gets them; all of them share one patience. Where that fails, a
       call with a hard budget is denied and any other allowed call goes to the spool.
    """
    deadline = time.monotonic() + core.settings.ledger_patience_seconds
    calls = [_decide(core, asked) for asked in undecided]
    made = []
    try:
        for call in calls:
            made.append((yield from _concluded(core, call, deadline)))  # noqa: PERF401 - a comprehension cannot yield
    except GeneratorExit:
        # Whoever asked has gone. Nobody will make these calls, or settle them.
        for call in calls:
            _withdraw(core, call, "the caller stopped waiting")
        raise
    return made


def give_up(core: Core, prepared: PreparedCheck, decision_id: str) -> None:
    """Whoever asked the gate has gone without its answer: if it makes a hold, that must be undone."""
    prepared = in_outage(prepared, outage=_GONE, denial=unavailable_message(_GONE))
    answer = unavailable_answer(core.clock.now_ms)
    core.recorder.leave(_pending_check(core, prepared, decision_id, answer, None))


_GONE = "the caller stopped waiting"


def _decide(core: Core, asked: Undecided) -> Alone:
    outage, prepared, decision_id = str(asked.problem), asked.prepared, asked.decision_id
    # A period or a raise may have ended since it was planned: then it is decided as of the last moment before.
    now_ms = prepared.plan.nearest_ms(core.clock.now_ms)
    if prepared.denied is not None:
        prepared = in_outage(prepared, outage=outage)
        answer = CheckAnswer(prepared.denied or ReasonCode.POLICY_DENY, 0, now_ms)
    elif isinstance(asked.problem, PoolExhausted):
        prepared = in_outage(prepared, outage=outage, denial=unavailable_message(outage))
        answer = unavailable_answer(now_ms)
    else:
        verdict = core.limits.decide(prepared.plan, prepared.estimate.reserve_micros, now_ms, core.hold_ms)
        denial = unavailable_message(verdict.denial or outage) if not verdict.allowed else ""
        prepared = in_outage(prepared, outage=outage, denial=denial)
        answer = verdict.answer
    asked_id = ""
    if asked.idempotency is not None and answer.allowed:
        # A denied call did nothing, so its key stays free: only what is allowed must be found again.
        asked_id, decision_id = decision_id, repeatable_decision_id(core.org_id, asked.idempotency.key)
    event = _pending_check(core, prepared, decision_id, answer, asked.idempotency, asked_id)
    return Alone(asked, prepared, decision_id, answer, core.recorder.record(event))


def _concluded(core: Core, call: Alone, deadline: float) -> Flow[Decision]:
    kept = None
    try:
        kept = yield Await(call.entry.kept, max(0.0, deadline - time.monotonic()))
    except (NotInTime, DatabaseError) as problem:
        yield from _unrecorded(core, call, problem)
    key = call.asked.idempotency
    if kept is not None and key is not None and call.answer.allowed:
        same_call = kept["idempotency"] == [key.key, key.request_hash]
        if not same_call or kept["decided_ms"] != call.answer.now_ms:
            # Another call under this key, or another try of this one, was first.
            core.limits.give_back(call.prepared.plan, call.prepared.estimate.reserve_micros)
        if not same_call:
            raise KeyReused
        plan = call.prepared.plan
        call.answer = read_check(kept["decided_ms"], kept["answer"], plan.counters, plan.rates)
    gate_us = (time.perf_counter_ns() - call.asked.started) // 1000
    return conclude(call.prepared, call.decision_id, call.answer, gate_us)


def _unrecorded(core: Core, call: Alone, problem: BursarError) -> Flow[None]:
    """The ledger database did not take the decision in time."""
    if not call.answer.allowed:
        core.recorder.keep_trying(call.entry)
        return
    if not any(counter.hard for counter in call.prepared.plan.counters):
        try:
            yield from spool(core, call.entry.event)
        except SpoolError as spool_problem:
            problem = spool_problem
        else:
            core.recorder.abandon(call.entry)
            return
    logger.warning("a decision cannot be recorded: %s", problem)
    # Where the database is and who uses it is nothing for a caller.
    _withdraw(core, call, "the decision cannot be recorded")


def spool(core: Core, event: PendingEvent) -> Flow[None]:
    """Write an event to the disk. Raises `SpoolError` when that is impossible or takes too long."""
    try:
        written = core.background.run(lambda: core.recorder.spool.append(event))
        yield Await(written, core.settings.rebuild_patience_seconds)
    except (NotInTime, DatabaseError):
        raise SpoolError("the spool cannot be written in time") from None
    core.recorder.recover()


def _withdraw(core: Core, call: Alone, words: str) -> None:
    """Answer no after all, under the id of the question, and see that nothing else is kept."""
    if not call.answer.allowed:
        return
    core.limits.give_back(call.prepared.plan, call.prepared.estimate.reserve_micros)
    call.prepared = in_outage(call.prepared, outage=call.prepared.record.outage, denial=unavailable_message(words))
    call.answer, call.decision_id = unavailable_answer(call.answer.now_ms), call.asked.decision_id
    denial = _pending_check(core, call.prepared, call.decision_id, call.answer, call.asked.idempotency)
    core.recorder.withdraw(call.entry, denial)


def _pending_check(
    core: Core,
    prepared: PreparedCheck,
    decision_id: str,
    answer: CheckAnswer,
    idempotency: Idempotency | None,
    asked_id: str = "",
) -> PendingEvent:
    payload = check_payload(prepared.record, prepared.record.to_json(), answer, idempotency, asked_id)
    return core.pending(decision_id, "check", payload)

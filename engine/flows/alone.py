"""Decide without the gate, within the limits of an outage, and keep that for it (promise 6)."""

from __future__ import annotations

import time

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


def decide_alone(
    core: Core,
    prepared: PreparedCheck,
    decision_id: str,
    idempotency: Idempotency | None,
    problem: GateUnavailable,
    started: int,
) -> Flow[Decision]:
    """Decide without the gate and keep that in the ledger for it (promise 6).

    1. What policies or prices deny stays denied. A process that is short of connections denies: that is no outage.
    2. The limits of an outage decide the rest.
    3. The decision is kept in SQL before the caller gets it. Where that fails, a call with a hard budget is denied and
       any other allowed call goes to the spool.
    """
    now_ms = core.clock.now_ms
    reserve = prepared.estimate.reserve_micros
    if prepared.denied is not None:
        prepared = in_outage(prepared, outage=str(problem))
        answer = CheckAnswer(prepared.denied or ReasonCode.POLICY_DENY, 0, now_ms)
    elif isinstance(problem, PoolExhausted):
        prepared = in_outage(prepared, outage=str(problem), denial=unavailable_message(str(problem)))
        answer = unavailable_answer(now_ms)
    else:
        verdict = core.limits.decide(prepared.plan, reserve, now_ms, core.hold_ms)
        denial = unavailable_message(verdict.denial or str(problem)) if not verdict.allowed else ""
        prepared = in_outage(prepared, outage=str(problem), denial=denial)
        answer = verdict.answer
    asked_id = ""
    if idempotency is not None and answer.allowed:
        # A denied call did nothing, so its key stays free: only what is allowed must be found again.
        asked_id, decision_id = decision_id, repeatable_decision_id(core.org_id, idempotency.key)
    entry = core.recorder.record(_pending_check(core, prepared, decision_id, answer, idempotency, asked_id))
    try:
        kept = yield Await(entry.kept, core.settings.ledger_patience_seconds)
    except (NotInTime, DatabaseError) as ledger_problem:
        prepared, answer = _unrecorded(
            core, prepared, asked_id or decision_id, answer, idempotency, entry, ledger_problem
        )
        decision_id = decision_id if answer.allowed else asked_id or decision_id
        kept = None
    gate_us = (time.perf_counter_ns() - started) // 1000
    if kept is not None and idempotency is not None and answer.allowed:
        same_call = kept["idempotency"] == [idempotency.key, idempotency.request_hash]
        if not same_call or kept["decided_ms"] != answer.now_ms:
            # Another call under this key, or another try of this one, was first.
            core.limits.give_back(prepared.plan, reserve)
        if not same_call:
            raise KeyReused("idempotency_key: was used for a call with other arguments; use a new key for a new call")
        answer = read_check(kept["decided_ms"], kept["answer"], prepared.plan.counters, prepared.plan.rates)
    return conclude(prepared, decision_id, answer, gate_us)


def _unrecorded(
    core: Core,
    prepared: PreparedCheck,
    asked_id: str,
    answer: CheckAnswer,
    idempotency: Idempotency | None,
    entry: Entry,
    problem: BursarError,
) -> tuple[PreparedCheck, CheckAnswer]:
    """The ledger database did not take the decision in time. A denial then goes under the id of the question."""
    if not answer.allowed:
        core.recorder.keep_trying(entry)
        return prepared, answer
    if not any(counter.hard for counter in prepared.plan.counters):
        try:
            core.recorder.spool.append(entry.event)
        except SpoolError as spool_problem:
            problem = spool_problem
        else:
            core.recorder.recover()
            return prepared, answer
    core.limits.give_back(prepared.plan, prepared.estimate.reserve_micros)
    words = "the decision cannot be recorded" if isinstance(problem, NotInTime) else str(problem)
    prepared = in_outage(prepared, outage=prepared.record.outage, denial=unavailable_message(words))
    answer = unavailable_answer(answer.now_ms)
    core.recorder.withdraw(entry, _pending_check(core, prepared, asked_id, answer, idempotency))
    return prepared, answer


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

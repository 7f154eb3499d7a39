"""Decisions while Redis is away, in a made-up history: the outage's own limits decide, the gate learns of it later."""

from __future__ import annotations

from dataclasses import dataclass

from engine.admission.answers import CheckAnswer
from engine.admission.outage import OutageLimits
from engine.admission.questions import Fold
from engine.admission.record import CheckRecord, HoldRecord
from engine.decide import PreparedCheck, in_outage, unavailable_message
from engine.pricing.basis import Pricing

PROBLEM = "Redis has not answered lately"


@dataclass(frozen=True, slots=True)
class DecidedAlone:
    """A decision that waits for the gate, as `pending_events` would keep it."""

    fold: Fold
    record: CheckRecord
    answer: CheckAnswer


def decide_alone(
    limits: OutageLimits, prepared: PreparedCheck, decision_id: str, now_ms: int, hold_ms: int
) -> DecidedAlone:
    """What a service decides without its gate, step by step as `engine.flows.alone` does."""
    if prepared.denied is not None:
        outage = in_outage(prepared, outage=PROBLEM)
        answer = CheckAnswer(prepared.denied, 0, now_ms)
    else:
        verdict = limits.decide(prepared.plan, prepared.estimate.reserve_micros, now_ms, hold_ms)
        denial = "" if verdict.allowed else unavailable_message(verdict.denial or PROBLEM)
        outage = in_outage(prepared, outage=PROBLEM, denial=denial)
        answer = verdict.answer
    return DecidedAlone(_fold(outage, decision_id, answer), outage.record, answer)


def _fold(prepared: PreparedCheck, decision_id: str, answer: CheckAnswer) -> Fold:
    record, plan = prepared.record, prepared.plan
    pricing = Pricing(record.provider, record.model or None, record.complexity, record.agent_id, answer.now_ms)
    hold = HoldRecord("H", record.reserve_micros, 0, pricing, plan.counter_names)
    return Fold(
        plan=plan,
        decision_id=decision_id,
        allowed=answer.allowed,
        decided_ms=answer.now_ms,
        expires_ms=answer.expires_ms,
        answer=answer.to_text(),
        body="",
        record=hold.to_text(),
    )

"""The pure part of a check, before and after the gate is asked. Shared by every kind of service."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from engine.admission.answers import CheckAnswer
from engine.admission.plan import CallPlan
from engine.admission.questions import Check, Idempotency, Reply
from engine.admission.record import CheckRecord
from engine.clock import from_ms
from engine.decision import Decision, ReasonCode
from engine.document.live import LiveDocument
from engine.errors import UnknownPrice
from engine.policy.cures import PolicyView
from engine.policy.result import PolicyVerdict
from engine.pricing.basis import Estimate, EstimateBasis, Pricing
from engine.pricing.price_list import CallPrices
from engine.request import CallSize, read_size

CLOCK_MARGIN_MS = 10
"""Redis' clock as far as known may be so far ahead of Redis without a question being put anew."""
LONGEST_OUTAGE = 200
"""Characters kept of why the gate did not decide."""

_POLICY_REASONS = {
    PolicyVerdict.DENIED: ReasonCode.POLICY_DENY,
    PolicyVerdict.NO_ALLOW: ReasonCode.POLICY_NO_ALLOW,
    PolicyVerdict.FAILED: ReasonCode.POLICY_ERROR,
}
_NO_BUFFER = Decimal(0)


class PreparedCheck(NamedTuple):
    """A check ready for the gate. `denied` is the reason when policies or prices already say no."""

    org_id: str
    at_ms: int
    denied: ReasonCode | None
    estimate: Estimate
    prices: CallPrices
    pricing: Pricing
    record: CheckRecord
    plan: CallPlan
    policy_view: PolicyView


def prepare(live: LiveDocument, at_ms: int, request: Mapping[str, Any]) -> PreparedCheck:
    """Gather facts, evaluate policies, price the call, and pick its counters and rate scopes as of `at_ms`.

    `request` holds the arguments of `check`. Raises `InvalidValue` for a bad request.
    """
    started = time.perf_counter_ns()
    facts, context, timeless, prices = live.callers.of(request)
    size = read_size(request)
    at = from_ms(at_ms)
    policy = live.policies.evaluate(context, at, timeless)
    denied = _POLICY_REASONS.get(policy.verdict)
    denial = policy.reason if denied else ""
    try:
        estimate = _estimate(prices, size, at_ms)
    except UnknownPrice as unknown:
        estimate = _as_given(prices, size, 0, EstimateBasis.UNKNOWN)
        if denied is None:
            denied, denial = ReasonCode.UNKNOWN_PRICE, f"Unknown price: {unknown}"
    plan = live.planner.plan(facts, at_ms)
    record = CheckRecord(
        agent_id=facts.agent_id,
        team_id=facts.team_id or "",
        user_id=facts.user_id or "",
        provider=facts.provider,
        model=facts.model or "",
        environment=facts.environment or "",
        complexity=facts.complexity,
        action=facts.action,
        input_tokens=size.usage.input_tokens,
        output_tokens=size.usage.output_tokens,
        estimate_micros=estimate.estimate_micros,
        reserve_micros=estimate.reserve_micros,
        document_version=live.version,
        price_book_version=estimate.price_book_version,
        prepare_us=(time.perf_counter_ns() - started) // 1000,
        policy_effect=policy.effect.value,
        policy_reason=policy.reason,
        matched_policies=policy.matched_policies,
        denial=denial,
        outage="",
        country=facts.country or "",
        ip=facts.ip or "",
        tags=facts.tags,
        shadow_policies=policy.shadow_policies,
        shadow_effect=policy.shadow_effect.value if policy.shadow_effect else "",
        cached_input_tokens=size.usage.cached_input_tokens,
        cache_write_tokens=size.usage.cache_write_tokens,
        microcredits=size.usage.microcredits,
        estimate_basis=estimate.basis.value,
    )
    pricing = Pricing(facts.provider, facts.model, facts.complexity, facts.agent_id, at_ms)
    return PreparedCheck(
        facts.org_id,
        at_ms,
        denied,
        estimate,
        prices,
        pricing,
        record,
        plan,
        PolicyView(live.policies, context, at, policy),
    )


def question_for(
    prepared: PreparedCheck, decision_id: str, hold_ms: int, stream_cap: int = 0, idempotency: Idempotency | None = None
) -> Check:
    """What the gate is asked."""
    record = prepared.record
    return Check(
        plan=prepared.plan,
        document_version=record.document_version,
        decision_id=decision_id,
        reserve_micros=prepared.estimate.reserve_micros,
        hold_ms=hold_ms,
        denied=prepared.denied.value if prepared.denied else "",
        body=record.to_json(),
        pricing=prepared.pricing.to_text(),
        idempotency=idempotency,
        not_before_ms=prepared.at_ms - CLOCK_MARGIN_MS,
        stream_cap=stream_cap,
        estimate_micros=record.estimate_micros,
        alike=record.alike,
    )


def conclude(prepared: PreparedCheck, decision_id: str, answer: CheckAnswer, gate_us: int) -> Decision:
    """Turn the gate's answer into the decision that the caller gets."""
    return Decision(
        id=decision_id,
        org_id=prepared.org_id,
        estimate=prepared.estimate,
        pricing=prepared.pricing,
        answer=answer,
        record=prepared.record,
        gate_us=gate_us,
        policy_view=prepared.policy_view,
    )


def repeated(prepared: PreparedCheck, reply: Reply, gate_us: int) -> Decision:
    """The decision that was made before under the same idempotency key."""
    _, now_ms, decision_id, decided_ms, expires_ms = reply.raw
    answer = CheckAnswer(ReasonCode.ALLOWED, 0, int(decided_ms), expires_ms=int(expires_ms))
    del now_ms
    # Priced as of then, when it comes to settling it; so is the estimate that is shown, by the prices known now.
    prepared = prepared._replace(pricing=prepared.pricing._replace(at_ms=answer.now_ms))
    if prepared.estimate.basis not in (EstimateBasis.GIVEN, EstimateBasis.UNKNOWN):
        estimate = prepared.prices.estimate(prepared.estimate.usage, answer.now_ms)
        prepared = prepared._replace(estimate=estimate)
    return replace(conclude(prepared, decision_id, answer, gate_us), repeated=True)


def in_outage(prepared: PreparedCheck, *, outage: str, denial: str = "") -> PreparedCheck:
    """The same check, to be decided without the gate: `outage` says why, `denial` is the sentence if it is denied."""
    record = prepared.record._replace(outage=outage[:LONGEST_OUTAGE], denial=denial or prepared.record.denial)
    return prepared._replace(record=record)


def unavailable_answer(at_ms: int) -> CheckAnswer:
    """The answer when nobody can decide: no."""
    return CheckAnswer(ReasonCode.GATE_UNAVAILABLE, 0, at_ms)


def unavailable_message(problem: str) -> str:
    """The guide's words for a denial because Redis is away, and why."""
    return f"Rate limiter unavailable: {problem}"


def _estimate(prices: CallPrices, size: CallSize, at_ms: int) -> Estimate:
    if size.estimated_cost is not None:
        # An explicit estimate is held as given: no buffer on top.
        return _as_given(prices, size, size.estimated_cost, EstimateBasis.GIVEN)
    return prices.estimate(size.usage, at_ms)


def _as_given(prices: CallPrices, size: CallSize, micros: int, basis: EstimateBasis) -> Estimate:
    return Estimate(micros, micros, prices.multiplier, _NO_BUFFER, prices.label, basis, usage=size.usage)

"""The pure part of a check, before and after the gate is asked. Shared by every kind of service."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine.admission.answers import CheckAnswer, check_message
from engine.admission.plan import plan_counters, plan_rates
from engine.admission.record import CheckRecord
from engine.clock import from_ms
from engine.decision import Decision, Estimate, ReasonCode
from engine.document.live import LiveDocument
from engine.policy.conditions import PolicyContext
from engine.policy.engine import PolicyVerdict
from engine.pricing.basis import Pricing
from engine.pricing.book import COMPLEXITY_MULTIPLIERS, PRICE_BOOK_VERSION
from engine.pricing.estimator import ExternalAgentCostEstimator, UnknownPrice
from engine.request import CallFacts, gather_facts

_POLICY_REASONS = {
    PolicyVerdict.DENIED: ReasonCode.POLICY_DENY,
    PolicyVerdict.NO_ALLOW: ReasonCode.POLICY_NO_ALLOW,
    PolicyVerdict.FAILED: ReasonCode.POLICY_ERROR,
}
_ESTIMATOR = ExternalAgentCostEstimator()


@dataclass(frozen=True, slots=True)
class PreparedCheck:
    """A check ready for the gate. `denied` is the reason when policies or prices already say no."""

    org_id: str
    denied: ReasonCode | None
    estimate: Estimate
    pricing: Pricing
    record: CheckRecord


def prepare(live: LiveDocument, at: datetime, request: dict[str, Any]) -> PreparedCheck:
    """Gather facts, evaluate policies, price the call, and pick its counters and rate scopes as of `at`.

    `request` holds the arguments of `engine.request.gather_facts`. Raises `InvalidValue` for a bad request.
    """
    started = time.perf_counter_ns()
    facts = gather_facts(live.document, **request)
    policy = live.policies.evaluate(
        PolicyContext(
            org_id=facts.org_id,
            team_id=facts.team_id,
            user_id=facts.user_id,
            agent_id=facts.agent_id,
            provider=facts.provider,
            environment=facts.environment,
            action=facts.action,
        )
    )
    denied = _POLICY_REASONS.get(policy.verdict)
    denial = policy.reason
    try:
        estimate = _estimate(facts)
    except UnknownPrice as unknown:
        estimate = _priced(0, 0, facts.complexity, Decimal(0))
        if denied is None:
            denied, denial = ReasonCode.UNKNOWN_PRICE, f"Unknown price: {unknown}"
    counters = tuple(plan_counters(live.document, facts, at))
    rates = tuple(plan_rates(live.document, facts))
    record = CheckRecord(
        agent_id=facts.agent_id,
        team_id=facts.team_id or "",
        user_id=facts.user_id or "",
        provider=facts.provider,
        model=facts.model or "",
        environment=facts.environment or "",
        complexity=facts.complexity,
        action=facts.action,
        input_tokens=facts.input_tokens,
        output_tokens=facts.output_tokens,
        estimate_micros=estimate.estimate_micros,
        reserve_micros=estimate.reserve_micros,
        document_version=live.version,
        price_book_version=estimate.price_book_version,
        prepare_us=(time.perf_counter_ns() - started) // 1000,
        policy_effect=policy.effect.value,
        policy_reason=policy.reason,
        matched_policies=policy.matched_policies,
        denial=denial,
        counters=counters,
        rates=rates,
    )
    return PreparedCheck(facts.org_id, denied, estimate, Pricing(facts.provider, facts.model, facts.complexity), record)


def conclude(prepared: PreparedCheck, decision_id: str, answer: CheckAnswer, gate_us: int) -> Decision:
    """Turn the gate's answer into the decision that the caller gets."""
    return Decision(
        id=decision_id,
        org_id=prepared.org_id,
        agent_id=prepared.record.agent_id,
        allowed=answer.allowed,
        reason=answer.reason,
        message=check_message(answer, prepared.record.reserve_micros, prepared.record.denial),
        at=from_ms(answer.now_ms),
        estimate=prepared.estimate,
        pricing=prepared.pricing,
        matched_policies=prepared.record.matched_policies,
        counters=answer.counters,
        rates=answer.rates,
        retry_after_seconds=answer.retry_after_seconds,
        expires_at=from_ms(answer.expires_ms) if answer.allowed else None,
        document_version=prepared.record.document_version,
        prepare_us=prepared.record.prepare_us,
        gate_us=gate_us,
    )


def unavailable(prepared: PreparedCheck, decision_id: str, at: datetime, problem: str, gate_us: int) -> Decision:
    """The decision when the gate gives no answer: denied, because nothing could be held or counted."""
    return Decision(
        id=decision_id,
        org_id=prepared.org_id,
        agent_id=prepared.record.agent_id,
        allowed=False,
        reason=ReasonCode.GATE_UNAVAILABLE,
        message=f"Rate limiter unavailable: {problem}",
        at=at,
        estimate=prepared.estimate,
        pricing=prepared.pricing,
        matched_policies=prepared.record.matched_policies,
        counters=(),
        rates=(),
        retry_after_seconds=None,
        expires_at=None,
        document_version=prepared.record.document_version,
        prepare_us=prepared.record.prepare_us,
        gate_us=gate_us,
    )


def _estimate(facts: CallFacts) -> Estimate:
    if facts.estimated_cost is not None:
        # An explicit estimate is held as given: no buffer on top.
        return _priced(facts.estimated_cost, facts.estimated_cost, facts.complexity, Decimal(0))
    return _ESTIMATOR.estimate_cost_detailed(
        facts.provider, facts.agent_id, facts.complexity, facts.input_tokens, facts.output_tokens, facts.model
    )


def _priced(estimate: int, reserve: int, complexity: str, buffer: Decimal) -> Estimate:
    return Estimate(estimate, reserve, COMPLEXITY_MULTIPLIERS[complexity], buffer, PRICE_BOOK_VERSION)

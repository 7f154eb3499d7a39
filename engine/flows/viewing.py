"""Views of budgets, rate limits and agents, without side effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.admission.questions import Peek
from engine.core import Core
from engine.decide import PreparedCheck
from engine.errors import GateUnavailable
from engine.flows.asking import decided
from engine.flows.steps import Flow
from engine.status import (
    UNAVAILABLE,
    BudgetCheckResult,
    RateLimitCheckResult,
    Standing,
    agent_status,
    budget_result,
    rate_result,
    unavailable_rate_result,
)


def check_budget(core: Core, facts: Mapping[str, Any]) -> Flow[BudgetCheckResult]:
    """Whether budgets leave room for a call."""
    try:
        prepared, standing = yield from _look(core, facts)
    except GateUnavailable:
        return BudgetCheckResult(allowed=False, reason=UNAVAILABLE)
    return budget_result(standing, prepared.estimate.reserve_micros)


def check_rate_limit(core: Core, facts: Mapping[str, Any]) -> Flow[RateLimitCheckResult]:
    """Whether rate limits leave room for one request."""
    try:
        _, standing = yield from _look(core, facts)
    except GateUnavailable:
        return unavailable_rate_result(core.prepare(facts).plan)
    return rate_result(standing)


def status(core: Core, agent_id: str) -> Flow[dict[str, Any]]:
    """Everything about one agent at a glance. Raises `GateUnavailable` when Redis does not answer."""
    _, standing = yield from _look(core, {"agent_id": agent_id})
    return agent_status(agent_id, core.document, standing)


def _look(core: Core, facts: Mapping[str, Any]) -> Flow[tuple[PreparedCheck, Standing]]:
    prepared = core.prepare(facts)
    reply = yield from decided(core, lambda: Peek(prepared.plan))
    return prepared, Standing.of(prepared.plan, reply)

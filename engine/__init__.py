"""Bursar's enforcement engine: its public names, each loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.async_service import AsyncGovernanceService
    from engine.decision import Decision, Denied, ReasonCode
    from engine.document.schema import ExternalAgentBudget, RateLimitConfig
    from engine.errors import KeyReused
    from engine.policy.combining import ConflictResolutionStrategy
    from engine.policy.conditions import (
        ActionCondition,
        AgentCondition,
        EnvironmentCondition,
        ProviderCondition,
        TagCondition,
        TeamCondition,
        UserCondition,
    )
    from engine.policy.context import PolicyContext
    from engine.policy.engine import PolicyEngine
    from engine.policy.location import LocationCondition
    from engine.policy.policy import ExternalAgentPolicy, PolicyEffect
    from engine.policy.result import PolicyEvaluationResult
    from engine.policy.time_window import TimeWindowCondition
    from engine.pricing.estimator import ExternalAgentCostEstimator
    from engine.service import GovernanceService
    from engine.status import BudgetCheckResult, RateLimitCheckResult

__all__ = [
    "ActionCondition",
    "AgentCondition",
    "AsyncGovernanceService",
    "BudgetCheckResult",
    "ConflictResolutionStrategy",
    "Decision",
    "Denied",
    "EnvironmentCondition",
    "ExternalAgentBudget",
    "ExternalAgentCostEstimator",
    "ExternalAgentPolicy",
    "GovernanceService",
    "KeyReused",
    "LocationCondition",
    "PolicyContext",
    "PolicyEffect",
    "PolicyEngine",
    "PolicyEvaluationResult",
    "ProviderCondition",
    "RateLimitCheckResult",
    "RateLimitConfig",
    "ReasonCode",
    "TagCondition",
    "TeamCondition",
    "TimeWindowCondition",
    "UserCondition",
]

_HOMES = {
    "ActionCondition": "engine.policy.conditions",
    "AgentCondition": "engine.policy.conditions",
    "AsyncGovernanceService": "engine.async_service",
    "BudgetCheckResult": "engine.status",
    "ConflictResolutionStrategy": "engine.policy.combining",
    "Decision": "engine.decision",
    "Denied": "engine.decision",
    "EnvironmentCondition": "engine.policy.conditions",
    "ExternalAgentBudget": "engine.document.schema",
    "ExternalAgentCostEstimator": "engine.pricing.estimator",
    "ExternalAgentPolicy": "engine.policy.policy",
    "GovernanceService": "engine.service",
    "KeyReused": "engine.errors",
    "LocationCondition": "engine.policy.location",
    "PolicyContext": "engine.policy.context",
    "PolicyEffect": "engine.policy.policy",
    "PolicyEngine": "engine.policy.engine",
    "PolicyEvaluationResult": "engine.policy.result",
    "ProviderCondition": "engine.policy.conditions",
    "RateLimitCheckResult": "engine.status",
    "RateLimitConfig": "engine.document.schema",
    "ReasonCode": "engine.decision",
    "TagCondition": "engine.policy.conditions",
    "TeamCondition": "engine.policy.conditions",
    "TimeWindowCondition": "engine.policy.time_window",
    "UserCondition": "engine.policy.conditions",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(home), name)

"""Bursar's enforcement engine: its public names, each loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.async_service import AsyncGovernanceService
    from engine.decision import Decision, Denied, ReasonCode
    from engine.document.schema import ExternalAgentBudget, RateLimitConfig
    from engine.errors import KeyReused
    from engine.policy.conditions import EnvironmentCondition, PolicyContext, ProviderCondition
    from engine.policy.engine import ConflictResolutionStrategy, PolicyEngine, PolicyEvaluationResult
    from engine.policy.policy import ExternalAgentPolicy, PolicyEffect
    from engine.pricing.estimator import ExternalAgentCostEstimator
    from engine.service import GovernanceService
    from engine.status import BudgetCheckResult, RateLimitCheckResult

__all__ = [
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
    "PolicyContext",
    "PolicyEffect",
    "PolicyEngine",
    "PolicyEvaluationResult",
    "ProviderCondition",
    "RateLimitCheckResult",
    "RateLimitConfig",
    "ReasonCode",
]

_HOMES = {
    "AsyncGovernanceService": "engine.async_service",
    "BudgetCheckResult": "engine.status",
    "ConflictResolutionStrategy": "engine.policy.engine",
    "Decision": "engine.decision",
    "Denied": "engine.decision",
    "EnvironmentCondition": "engine.policy.conditions",
    "ExternalAgentBudget": "engine.document.schema",
    "ExternalAgentCostEstimator": "engine.pricing.estimator",
    "ExternalAgentPolicy": "engine.policy.policy",
    "GovernanceService": "engine.service",
    "KeyReused": "engine.errors",
    "PolicyContext": "engine.policy.conditions",
    "PolicyEffect": "engine.policy.policy",
    "PolicyEngine": "engine.policy.engine",
    "PolicyEvaluationResult": "engine.policy.engine",
    "ProviderCondition": "engine.policy.conditions",
    "RateLimitCheckResult": "engine.status",
    "RateLimitConfig": "engine.document.schema",
    "ReasonCode": "engine.decision",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(home), name)

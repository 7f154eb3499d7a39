"""A document version made ready for deciding."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from engine.admission.plan import Planner
from engine.callers import Callers
from engine.document.schema import GovernanceDocument
from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.engine import PolicyEngine
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect
from engine.pricing.book import PriceBook
from engine.pricing.price_list import PriceList
from engine.pricing.shipped import SHIPPED_BOOK


@dataclass(frozen=True)
class LiveDocument:
    """One version of an organization's document and the price book beside it, made ready when first used."""

    version: int
    document: GovernanceDocument
    book: PriceBook = field(default=SHIPPED_BOOK, repr=False)

    @cached_property
    def planner(self) -> Planner:
        """Finds the counters and rate scopes of a call."""
        return Planner(self.document)

    @cached_property
    def callers(self) -> Callers:
        """Who makes a request."""
        return Callers(self.document, self.policies, self.prices)

    @cached_property
    def prices(self) -> PriceList:
        """What calls cost."""
        return PriceList(self.book, self.document.prices.options())

    @cached_property
    def policies(self) -> PolicyEngine:
        """The document's policies."""
        return PolicyEngine(
            (
                ExternalAgentPolicy(
                    policy_id=spec.policy_id,
                    effect=PolicyEffect(spec.effect),
                    conditions=[part for condition in spec.conditions for part in condition.conditions()],
                    priority=spec.priority,
                    enabled=spec.enabled,
                    shadow=spec.shadow,
                )
                for spec in self.document.policies
            ),
            ConflictResolutionStrategy(self.document.combining),
        )

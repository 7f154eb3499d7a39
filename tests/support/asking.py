"""Ask one condition in both ways in which the product does, and expect one answer."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.policy.applies import Applies, Condition
from engine.policy.context import PolicyContext
from engine.policy.index import Masks, PolicyIndex
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
ANSWERS = {Masks(1, 0): Applies.YES, Masks(0, 0): Applies.NO, Masks(1, 1): Applies.UNKNOWN}


def answer(condition: Condition, context: PolicyContext, at: datetime = NEW_YEAR) -> Applies:
    """What the condition says for itself; the compiled index must agree."""
    alone = condition.applies(context, at)
    index = PolicyIndex([ExternalAgentPolicy("p", PolicyEffect.ALLOW, [condition])])
    compiled = ANSWERS[index.applying(context, at.astimezone(UTC))]
    assert compiled is alone, f"{condition}: the index says {compiled}, the condition {alone}"
    return alone

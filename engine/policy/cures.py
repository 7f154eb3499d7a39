"""What would make policies allow a call: everything that stands in its way, as far as facts can be changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from engine.policy.applies import Applies, Condition
from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.conditions import NameCondition, TagCondition, known_tags
from engine.policy.context import PolicyContext
from engine.policy.engine import PolicyEngine
from engine.policy.explain import condition_text, found_text
from engine.policy.location import LocationCondition
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect
from engine.policy.result import PolicyEvaluationResult, PolicyVerdict


class PolicyView(NamedTuple):
    """The policies, what they looked at and when, and what they said."""

    policies: PolicyEngine
    context: PolicyContext
    at: datetime
    result: PolicyEvaluationResult


def policy_cures(view: PolicyView) -> Iterator[str]:
    """What is needed for policies to allow the call, all of it; nothing when they do.

    1. Every DENY that applies has to go, unless an ALLOW would win over it.
    2. Where no ALLOW applies, the one that needs least, and the DENYs that would then apply.
    """
    strategy, result = view.policies.strategy, view.result
    if result.verdict is PolicyVerdict.FAILED:
        yield "mend the policy that fails: see the conditions"
        return
    matched = [view.policies.policies[policy_id] for policy_id in result.matched_policies]
    if result.effect is PolicyEffect.ALLOW:
        return
    if strategy is ConflictResolutionStrategy.FIRST_APPLICABLE and matched:
        yield _removal(matched[0], view)
        return
    if strategy is ConflictResolutionStrategy.DENY_OVERRIDES:
        yield from (_removal(policy, view) for policy in matched if policy.effect is PolicyEffect.DENY)
    if all(policy.effect is PolicyEffect.DENY for policy in matched):
        yield from _nearest_allow(view)


def _nearest_allow(view: PolicyView) -> Sequence[str]:
    ways = [
        _way(policy, view)
        for policy in view.policies.ordered
        if policy.effect is PolicyEffect.ALLOW and not policy.shadow
    ]
    return min(ways, key=lambda way: way.steps).words if ways else ["add an ALLOW policy: none is enforced"]


class _Way(NamedTuple):
    steps: int
    words: list[str]


def _way(policy: ExternalAgentPolicy, view: PolicyView) -> _Way:
    """What it takes for an ALLOW to apply and win."""
    missing = [condition for condition in policy.conditions if _answer(condition, view) is not Applies.YES]
    needs = f"policy '{policy.policy_id}' needs {' and '.join(map(condition_text, missing))}"
    changed = view._replace(context=_fitting(view.context, missing))
    then = changed.policies.evaluate(changed.context, view.at)
    new = [policy_id for policy_id in then.matched_policies if policy_id not in view.result.matched_policies]
    denying = [view.policies.policies[policy_id] for policy_id in new]
    if then.effect is PolicyEffect.ALLOW or view.policies.strategy is ConflictResolutionStrategy.ALLOW_OVERRIDES:
        denying = []
    words = [_removal(each, changed) for each in denying if each.effect is PolicyEffect.DENY]
    return _Way(len(missing) + len(words), [needs, *words])


def _removal(policy: ExternalAgentPolicy, view: PolicyView) -> str:
    unknown = [condition for condition in policy.conditions if _answer(condition, view) is Applies.UNKNOWN]
    if unknown:
        facts = ", ".join(found_text(condition, view.context, view.at) for condition in unknown)
        return f"policy '{policy.policy_id}' stops what it cannot judge: say what is unknown ({facts})"
    facts = " and ".join(map(condition_text, policy.conditions)) or "every call"
    return f"policy '{policy.policy_id}' denies {facts}: change the call or the policy"


def _fitting(context: PolicyContext, conditions: Iterable[Condition]) -> PolicyContext:
    """The call changed so that conditions apply, as far as its facts decide that; its instant stays."""
    for condition in conditions:
        match condition:
            case NameCondition():
                context = context._replace(**{condition.attribute: min(condition.names)})
            case TagCondition():
                some = set(sorted(condition.any - condition.blocked)[:1])
                tags = ((known_tags(context.tags) or set()) | condition.required | some) - condition.blocked
                context = context._replace(tags=tuple(sorted(tags)))
            case LocationCondition() if condition.countries:
                context = context._replace(country=min(condition.countries))
            case LocationCondition():
                context = context._replace(ip=str(condition.networks[0]).partition("/")[0])
            case _:
                pass
    return context


def _answer(condition: Condition, view: PolicyView) -> Applies | None:
    try:
        return condition.applies(view.context, view.at)
    except Exception:  # noqa: BLE001 - a condition of somebody else's, which was not asked while deciding
        return None

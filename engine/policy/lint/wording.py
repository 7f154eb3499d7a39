"""The sentences of findings. Each names the fix."""

from __future__ import annotations

from collections.abc import Sequence

from engine.policy.combining import ConflictResolutionStrategy
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect

# guide, Policy Priority
LAST_SECURITY = 10
LAST_COMPLIANCE = 50
LAST_OPERATIONAL = 100

NO_ALLOW = "No ALLOW policy is enforced, so every call is denied; add one for the calls that may happen."
TOO_HARD = "Whether it ever decides could not be found out within the step limit; simplify its conditions."
TAGS_TOO_HARD = (
    "The tag conditions tell too many sets of tags apart to look at all; register the tags of every agent, or use "
    "fewer tags in conditions."
)


def band_problem(policy: ExternalAgentPolicy) -> str | None:
    """What is wrong with a policy's priority, by the guide's bands."""
    number = policy.priority
    if number > LAST_OPERATIONAL:
        return f"Priority {number} is outside the bands 1-10, 11-50 and 51-100; give it a number of at most 100."
    if number <= LAST_SECURITY and policy.effect is PolicyEffect.ALLOW:
        return f"Priority {number} is in the band 1-10, which is for security DENYs; give this ALLOW 11 to 100."
    if number > LAST_COMPLIANCE and policy.effect is PolicyEffect.DENY:
        return f"Priority {number} is in the band 51-100, which is for operational ALLOWs; give this DENY 1 to 50."
    return None


def shadowed(policy: ExternalAgentPolicy, names: Sequence[str], strategy: ConflictResolutionStrategy) -> str:
    """For a policy that changes no answer; `names` decide where it applies."""
    if strategy is ConflictResolutionStrategy.ALLOW_OVERRIDES and policy.effect is PolicyEffect.DENY:
        who = f"{_who(names)} where it applies"
        return f"A DENY changes nothing under allow_overrides ({who}); use deny_overrides, or remove it."
    return f"Removing it would change no answer: {_who(names)} where it applies; remove it, or narrow the other."


def cannot_win(names: Sequence[str], strategy: ConflictResolutionStrategy) -> str:
    """For an ALLOW that always meets a denial by `names`."""
    fix = f"narrow {_list(names)}, or remove this ALLOW"
    if strategy is ConflictResolutionStrategy.FIRST_APPLICABLE:
        fix = f"give it a lower priority number than {_list(names)}, or remove it"
    return f"Whenever it applies, the call is denied by {_list(names)}; {fix}."


def uncovered(agent_id: str | None, names: Sequence[str], *, covered: bool) -> str:
    """For an agent of which no call is ever allowed."""
    if covered and names:
        return f"No call of agent '{agent_id}' is ever allowed: {_who(names)} where an ALLOW applies; narrow that."
    return f"No call of agent '{agent_id}' is ever allowed: no ALLOW ever applies to it; add one that does."


def agent_too_hard(agent_id: str | None) -> str:
    """For an agent of which it stays open whether any call is allowed."""
    open_ = f"Whether any call of agent '{agent_id}' is allowed could not be found out within the step limit"
    return f"{open_}; simplify the policies that apply to it."


def _who(names: Sequence[str]) -> str:
    return f"{_list(names)} {'decides' if len(names) == 1 else 'decide'}"


def _list(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    words = quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
    return f"{'policy' if len(names) == 1 else 'policies'} {words}"

"""Policies on a terminal: which apply to a request, condition by condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.policy.engine import PolicyEngine
from engine.policy.policy import ExternalAgentPolicy
from engine.policy.result import ConditionResult, PolicyEvaluationResult

_MARKS = {"yes": ("✓", "green"), "no": ("✗", "red"), "unknown": ("?", "yellow"), "error": ("!", "red")}
NARROW = 110
"""Columns of a terminal below which a table would break its words."""

_WORDS = {"yes": "applies", "no": "does not apply", "unknown": "unknown", "error": "failed"}


def show_conditions(out: Console, policies: PolicyEngine, conditions: Iterable[ConditionResult]) -> None:
    """Print conditions policy by policy: as a table where there is room, else below each other."""
    if out.width >= NARROW:
        out.print(_table(policies, conditions))
        return
    for policy_id, group in groupby(conditions, key=lambda condition: condition.policy_id):
        policy = policies.policies[policy_id]
        out.print(Text(f"{policy_id}: {_effect(policy)}, priority {policy.priority}", "bold"))
        for condition in group:
            mark, colour = _MARKS[condition.result]
            out.print(Text(f"  {mark} {condition.condition}", colour))
            out.print(Text(f"      {condition.found}"))


def _effect(policy: ExternalAgentPolicy) -> str:
    return f"{policy.effect.value}, in shadow" if policy.shadow else policy.effect.value


def _table(policies: PolicyEngine, conditions: Iterable[ConditionResult]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Policy", "Effect", "Priority", "Condition", "Found", ""):
        table.add_column(column, overflow="fold", justify="right" if column == "Priority" else "left")
    for policy_id, group in groupby(conditions, key=lambda condition: condition.policy_id):
        policy = policies.policies[policy_id]
        first = (policy_id, _effect(policy), str(policy.priority))
        for condition in group:
            mark, colour = _MARKS[condition.result]
            result = Text(f"{mark} {_WORDS[condition.result]}", style=colour)
            table.add_row(*first, Text(condition.condition), Text(condition.found), result)
            first = ("", "", "")
    return table


def nearest(conditions: Iterable[ConditionResult], most_failing: int) -> Iterator[ConditionResult]:
    """The conditions of policies of which at most so many conditions do not apply."""
    for _, group in groupby(conditions, key=lambda condition: condition.policy_id):
        own = list(group)
        if sum(condition.result in ("no", "error") for condition in own) <= most_failing:
            yield from own


def as_json(result: PolicyEvaluationResult) -> dict[str, Any]:
    """The answer with every condition, ready for JSON."""
    return {
        "effect": result.effect.value,
        "verdict": result.verdict.value,
        "reason": result.reason,
        "matched_policies": list(result.matched_policies),
        "shadow_policies": list(result.shadow_policies),
        "shadow_effect": result.shadow_effect.value if result.shadow_effect else None,
        "conditions": [
            {
                "policy_id": condition.policy_id,
                "condition": condition.condition,
                "found": condition.found,
                "result": condition.result,
            }
            for condition in result.conditions
        ],
    }


def console() -> Console:
    """Standard output; a pipe gets lines as long as they are."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=200)

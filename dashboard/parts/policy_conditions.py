"""Conditions of policies with a tick or a cross, as a list that reads at any width. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dashboard.wording import named, plain
from engine.policy.result import ConditionResult

MARKS = {
    "yes": ":green[:material/check: applies]",
    "no": ":red[:material/close: does not apply]",
    "unknown": ":orange[:material/help: unknown]",
    "error": ":red[:material/error: failed]",
}


def conditions_text(conditions: Iterable[ConditionResult], effects: Mapping[str, str] | None = None) -> str:
    """One line each, in Markdown. `effects` says in words what a policy does: `deny`, or `allow, in shadow`."""
    lines = []
    for each in conditions:
        effect = (effects or {}).get(each.policy_id)
        policy = f"**{plain(each.policy_id)}**" + (f" ({plain(effect)})" if effect else "")
        lines.append(
            f"- {MARKS[each.result]} · {policy} asks for {plain(each.condition)}; "
            f"the call brought {plain(named(each.found))}"
        )
    return "\n".join(lines)

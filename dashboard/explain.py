"""A decision's tests as lines to read: input, what was there before, limit, result. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from dashboard.wording import named
from engine.decision import WINDOWS
from engine.ledger.queries.decisions import DecisionRecord
from engine.money import format_usd

Result = Literal["passed", "failed", "marked", "no limit", "shadow"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One test of one decision, in words."""

    kind: str
    name: str
    asked: str
    before: str
    limit: str
    result: Result

    @property
    def before_of_limit(self) -> str:
        """`$1.87 + $0.12 held of $96.00`."""
        if self.result in ("no limit", "shadow") or self.before == "–":
            return self.limit if self.before == "–" else f"{self.before}, {self.limit}"
        return f"{self.before} of {self.limit}"


def verdicts(record: DecisionRecord) -> list[Verdict]:
    """Every test of the decision: policies, then budgets, then rate limits. Unknown parts are left out."""
    tests = record.tests
    lines: list[Verdict] = []
    policy = tests.get("policy")
    if isinstance(policy, dict):
        lines.extend(_policy_lines(record, policy))
    for counter in tests.get("counters") or ():
        lines.extend(_counter_lines(record, counter))
    for rate in tests.get("rates") or ():
        lines.extend(_rate_lines(rate))
    return lines


def _policy_lines(record: DecisionRecord, policy: dict[str, Any]) -> list[Verdict]:
    asked = ", ".join([named(record.agent_id), record.environment or "no environment", *_places(policy)])
    lines = [
        Verdict("Policy", f"matched {_listed(policy)}", asked, "–", "an allowing policy", _effect(policy.get("effect")))
    ]
    shadow = policy.get("shadow") or {}
    if shadow.get("matched"):
        would_be = "allowed" if shadow.get("effect") == "allow" else "denied"
        limit = f"enforced, it would be {would_be}"
        lines.append(Verdict("Shadow policy", f"matched {_listed(shadow)}", asked, "–", limit, "shadow"))
    return lines


def _places(policy: dict[str, Any]) -> list[str]:
    facts = policy.get("facts") or {}
    return [str(facts[name]) for name in ("country", "ip") if name in facts]


def _listed(policy: dict[str, Any]) -> str:
    return ", ".join(str(policy_id) for policy_id in policy.get("matched") or ()) or "none"


def _effect(effect: object) -> Result:
    return "passed" if effect == "allow" else "failed"


def _counter_lines(record: DecisionRecord, counter: dict[str, Any]) -> list[Verdict]:
    period = str(counter.get("period_label", ""))
    name = f"{counter.get('budget_id', '')} · {counter.get('scope', '')} · {period}"
    lines: list[Verdict] = []
    hard = counter.get("hard", True)
    limit, spent, held = counter.get("limit_micros"), counter.get("spent_micros", 0), counter.get("held_micros", 0)
    lines.append(
        Verdict(
            "Budget",
            name,
            f"hold {format_usd(record.reserve_micros, exact=True)}",
            # Exact: a test that failed by less than a cent must not look as if it had passed.
            f"{format_usd(spent, exact=True)} + {format_usd(held, exact=True)} held",
            "no limit" if limit is None else format_usd(limit, exact=True),
            _result(spent + held + record.reserve_micros, limit, hard=hard),
        )
    )
    executions = counter.get("execution_limit")
    if executions is not None:
        used = counter.get("executions", 0)
        result = _result(used + 1, executions, hard=hard)
        lines.append(Verdict("Executions", name, "1 call", f"{used:,}", f"{executions:,}", result))
    return lines


def _rate_lines(rate: dict[str, Any]) -> list[Verdict]:
    name = f"{rate.get('rate_limit_id', '')} · {rate.get('scope', '')}"
    used, limits = rate.get("used") or (), rate.get("limits") or ()
    return [
        Verdict("Rate limit", f"{name} · per {window}", "1 call", f"{seen:,}", f"{limit:,}", _result(seen + 1, limit))
        for window, seen, limit in zip(WINDOWS, used, limits, strict=False)
        if limit is not None
    ]


def _result(needed: int, limit: int | None, *, hard: bool = True) -> Result:
    """What came of a test; a soft budget marks a call that passes it and lets it go ahead."""
    if limit is None:
        return "no limit"
    if needed <= limit:
        return "passed"
    return "failed" if hard else "marked"

"""Rows of `decisions`, from events, and what rollups count of them. Pure.

JSON columns are texts here: put together, not encoded, because the writer does nothing else so often.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from engine.admission.plan import CallPlan, PlannedCounter, PlannedRate
from engine.admission.record import CheckRecord
from engine.clock import from_ms
from engine.decision import RATE_REASONS, ReasonCode
from engine.ledger.entries import Checked, Closed, DeniedMany, LedgerEvent
from engine.ledger.rollups import LARGEST_INTEGER, Examined, RateScope, Rollups, Uses
from engine.pricing.usage import Usage

REMEMBERED = 4096
CHANGING = ("state", "spent_micros", "actual_micros", "success", "closed_at", "gate_us", *Usage._fields)
"""What a settle, cancel or expiry may change."""
COUNTED = (
    "decision_id", "at", "agent_id", "team_id", "user_id", "provider", "model", "environment", "complexity", "outcome",
    "reason", "estimate_micros", "reserve_micros", "prepare_us", "fail_open", *CHANGING,
)  # fmt: skip
"""The columns without which a stored decision cannot be changed and counted."""

_CLOSED_STATES = {"settle": "settled", "cancel": "cancelled", "expired": "expired"}
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def decision_row(org_id: str, event: LedgerEvent, fact: Checked) -> dict[str, Any]:
    """A decision as it is made: open, or denied."""
    record, answer, plan = fact.record, fact.answer, fact.plan
    allowed, reserve = answer.allowed, record.reserve_micros
    warning, degraded, over_soft = _marks(plan.counters, fact.counted, reserve)
    return {
        "decision_id": event.decision_id,
        "org_id": org_id,
        "at": event.at,
        "agent_id": record.agent_id,
        "team_id": record.team_id,
        "user_id": record.user_id,
        "provider": record.provider,
        "model": record.model,
        "environment": record.environment,
        "complexity": record.complexity,
        "action": record.action,
        "outcome": "allowed" if allowed else "denied",
        "reason": answer.reason.value,
        "message": answer.message(reserve, record.denial),
        "state": "held" if allowed else "denied",
        "estimate_micros": record.estimate_micros,
        "reserve_micros": reserve,
        "spent_micros": 0,
        "actual_micros": None,
        "success": None,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "cached_input_tokens": record.cached_input_tokens,
        "cache_write_tokens": record.cache_write_tokens,
        "microcredits": record.microcredits,
        "estimate_basis": record.estimate_basis,
        "estimated_usage": _told(record.usage),
        "expires_at": from_ms(answer.expires_ms) if allowed else None,
        "closed_at": None,
        "document_version": record.document_version,
        "price_book_version": record.price_book_version,
        "prepare_us": min(record.prepare_us, LARGEST_INTEGER),
        "gate_us": None,
        "outage": record.outage,
        "fail_open": allowed and bool(record.outage),
        "warning_triggered": warning,
        "degraded": degraded,
        "over_soft_budget": over_soft,
        "tests": _tests(fact),
    }


def close(row: dict[str, Any], event: LedgerEvent, fact: Closed) -> None:
    """Change a decision's row by what became of it."""
    row["state"] = _CLOSED_STATES[event.kind]
    row["spent_micros"] = fact.amount_micros
    row["closed_at"] = event.at
    if event.kind == "settle":
        row["actual_micros"] = fact.amount_micros
        row["success"] = fact.success
        told = fact.usage
        used = {name: told.get(name) for name in Usage._fields}
        if any(count is not None for count in used.values()):
            # As a whole: who tells input tokens may count in those that were expected from a cache.
            row.update(used)
        gate_us = told.get("gate_us")
        if gate_us is not None:
            row["gate_us"] = min(gate_us, LARGEST_INTEGER)


def count_denied_many(rollups: Rollups, event: LedgerEvent) -> None:
    """Count denials that have one event together and no decisions."""
    if isinstance(event.fact, DeniedMany):
        rollups.count_alike({"at": event.at, "outcome": "denied", **asdict(event.fact)}, event.fact.calls)


def examined_in(fact: Checked) -> Examined:
    """What rollups count of the tests of a check."""
    record = fact.record
    return Examined(
        record.policy_effect,
        record.matched_policies,
        record.shadow_effect,
        record.shadow_policies,
        _planned(fact.plan).scopes,
        fact.rated,
        fact.answer.denied_by,
    )


def examined_of(row: Mapping[str, Any]) -> Examined:
    """The same from a stored row's `tests`, also of rows of earlier versions, which lack some of it."""
    tests: dict[str, Any] = json.loads(row["tests"]) if isinstance(row["tests"], str) else row["tests"]
    policy = tests.get("policy", {})
    shadow = policy.get("shadow", {})
    rates = tests.get("rates", ())
    scopes = [RateScope(rate["rate_limit_id"], rate["scope"], tuple(rate["limits"])) for rate in rates]
    used: list[Uses] = [tuple(rate["used"]) for rate in rates]
    denied_by = tests.get("denied_by")
    if denied_by is None:
        denied_by = _first_full(row["reason"], scopes, used)
    return Examined(
        policy.get("effect", ""),
        policy.get("matched", ()),
        shadow.get("effect", ""),
        shadow.get("matched", ()),
        scopes,
        used,
        denied_by,
    )


def _first_full(reason: str, scopes: Sequence[RateScope], used: Sequence[Uses]) -> int:
    """The first scope whose named window is full: so the gate chooses."""
    if reason not in RATE_REASONS:
        return 0
    window = RATE_REASONS.index(ReasonCode(reason))
    for position, (scope, uses) in enumerate(zip(scopes, used, strict=True), start=1):
        limit = scope.limits[window]
        if limit is not None and uses[window] >= limit:
            return position
    return 0


def _marks(
    planned: Sequence[PlannedCounter], counted: Sequence[tuple[int, int, int]], reserve: int
) -> tuple[bool, bool, bool]:
    # What `BudgetMarks` says, without making a reading for each counter.
    warning = degraded = over_soft = False
    for counter, (spent, held, executions) in zip(planned, counted, strict=False):
        projected = spent + held + reserve
        if counter.limit_micros is not None:
            warning = warning or projected >= (counter.warning_micros or 0)
            degraded = degraded or projected >= (counter.degradation_micros or 0)
        if not counter.hard:
            limit = counter.limit_micros
            over_soft = (
                over_soft
                or (limit is not None and projected > limit)
                or (counter.execution_limit is not None and executions + 1 > counter.execution_limit)
            )
    return warning, degraded, over_soft


def _tests(fact: Checked) -> str:
    record = fact.record
    policy = _policy(
        record.policy_effect,
        record.policy_reason,
        record.matched_policies,
        record.shadow_effect,
        record.shadow_policies,
    )
    planned = _planned(fact.plan)
    counted = ",".join(
        f'{start}"spent_micros":{spent},"held_micros":{held},"executions":{executions}}}'
        for start, (spent, held, executions) in zip(planned.counters, fact.counted, strict=False)
    )
    rated = ",".join(
        f'{start}"used":[{minute},{hour},{day}]}}'
        for start, (minute, hour, day) in zip(planned.rates, fact.rated, strict=False)
    )
    return (
        f'{{"policy":{policy}"facts":{_facts(record)}}},"counters":[{counted}],"rates":[{rated}],'
        f'"denied_by":{fact.answer.denied_by}}}'
    )


@lru_cache(maxsize=REMEMBERED)
def _policy(effect: str, reason: str, matched: tuple[str, ...], shadow_effect: str, shadow: tuple[str, ...]) -> str:
    said = {
        "effect": effect,
        "reason": reason,
        "matched": matched,
        "shadow": {"effect": shadow_effect, "matched": shadow},
    }
    return _encode(said)[:-1] + ","


def _facts(record: CheckRecord) -> str:
    """What policies saw beyond the decision's own columns, as far as it was known."""
    known = []
    if record.country:
        known.append(f'"country":{encode_basestring(record.country)}')
    if record.ip:
        known.append(f'"ip":{encode_basestring(record.ip)}')
    if record.tags is not None:
        known.append(f'"tags":{_encode(record.tags)}')
    return "{" + ",".join(known) + "}"


def _told(usage: Usage) -> str:
    told = zip(Usage._fields, usage, strict=True)
    return "{" + ",".join(f'"{name}":{count}' for name, count in told if count is not None) + "}"


class _Planned(NamedTuple):
    """What is the same for every call of a plan: its rate scopes, and how the JSON of each reading begins."""

    scopes: list[RateScope]
    counters: list[str]
    rates: list[str]


@lru_cache(maxsize=REMEMBERED)
def _planned(plan: CallPlan) -> _Planned:
    return _Planned(
        [RateScope(rate.rate_limit_id, rate.scope, rate.limits) for rate in plan.rates],
        [_counter(counter) for counter in plan.counters],
        [_rate(rate) for rate in plan.rates],
    )


def _counter(planned: PlannedCounter) -> str:
    said = {
        "budget_id": planned.budget_id,
        "scope": planned.scope,
        "period": planned.period.kind,
        "period_label": planned.period.label,
        "limit_micros": planned.limit_micros,
        "execution_limit": planned.execution_limit,
        "hard": planned.hard,
        "warning_micros": planned.warning_micros,
        "degradation_micros": planned.degradation_micros,
    }
    return _encode(said)[:-1] + ","


def _rate(planned: PlannedRate) -> str:
    said = {
        "rate_limit_id": planned.rate_limit_id,
        "per": planned.per,
        "scope": planned.scope,
        "limits": planned.limits,
    }
    return _encode(said)[:-1] + ","

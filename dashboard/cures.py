"""What would have made a recorded decision another: from the tests that the ledger kept. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.decision import CounterReading, RateReading
from engine.document.live import LiveDocument
from engine.explain import budget_cures, full_windows, reason_cures
from engine.ledger.queries.decisions import DecisionRecord
from engine.policy.context import PolicyContext
from engine.policy.cures import PolicyView, policy_cures

_LONGEST_WAIT = {"minute": "at most 60 s", "hour": "at most an hour", "day": "at most a day"}
_COUNTER = CounterReading.__slots__


def recalled_view(record: DecisionRecord, document: LiveDocument) -> PolicyView | None:
    """What the policies of the document version of then say of the recorded facts; None when not the same as then.

    The facts are those that policies saw. Another answer than the recorded one would explain another decision.
    """
    policy = record.tests.get("policy") or {}
    facts = policy.get("facts") or {}
    tags = facts.get("tags")
    context = PolicyContext(
        org_id=record.org_id,
        team_id=record.team_id or None,
        user_id=record.user_id or None,
        agent_id=record.agent_id,
        provider=record.provider or None,
        environment=record.environment or None,
        tags=None if tags is None else tuple(str(tag) for tag in tags),
        country=facts.get("country"),
        ip=facts.get("ip"),
        action=record.action or None,
    )
    result = document.policies.evaluate(context, record.at)
    if result.effect.value != policy.get("effect") or list(result.matched_policies) != list(policy.get("matched", ())):
        return None
    return PolicyView(document.policies, context, record.at, result)


def cures(record: DecisionRecord, view: PolicyView | None) -> list[str]:
    """Everything that the call would have needed; nothing when it was allowed."""
    return [] if record.outcome == "allowed" else list(_cures(record, view))


def _cures(record: DecisionRecord, view: PolicyView | None) -> Iterator[str]:
    if view is not None:
        yield from policy_cures(view)
    elif (record.tests.get("policy") or {}).get("effect") == "deny":
        yield "change the call or the policies, so that an ALLOW applies and no DENY does"
    yield from reason_cures(record.reason)
    yield from budget_cures(counters_of(record), record.reserve_micros)
    for rate, window in full_windows(_rates_of(record)):
        if rate.limits[("minute", "hour", "day").index(window)] == 0:
            yield f"raise rate limit '{rate.rate_limit_id}' per {window}, which allows no request at all"
        else:
            wait = _LONGEST_WAIT[window]
            yield f"wait until '{rate.rate_limit_id}' of {rate.scope!r} has room in its {window}, {wait}"


def counters_of(record: DecisionRecord) -> list[CounterReading]:
    """The budget counters that were tested; what cannot be read is left out."""
    found = []
    for each in record.tests.get("counters") or ():
        try:
            found.append(CounterReading(**{name: each[name] for name in _COUNTER if name in each}))
        except (TypeError, KeyError):
            continue
    return found


def _rates_of(record: DecisionRecord) -> list[RateReading]:
    return [
        RateReading(
            str(each.get("rate_limit_id", "")), str(each.get("per", "")), str(each.get("scope", "")),
            _three(each.get("used"), 0), _three(each.get("limits"), None),
        )
        for each in record.tests.get("rates") or ()
    ]  # fmt: skip


def _three(values: Any, missing: Any) -> Any:
    return (*(values or ()), missing, missing, missing)[:3]

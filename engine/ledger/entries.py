"""Events from the stream, typed: what the ledger writer works on. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from engine.admission.answers import CheckAnswer, read_check
from engine.admission.plan import CallPlan
from engine.admission.record import CheckRecord, HoldRecord
from engine.clock import from_ms
from engine.decision import RATE_REASONS, ReasonCode
from engine.ids import check_decision_id
from engine.ledger.budget_moves import budget_key
from engine.ledger.chain import check_storable
from engine.pricing.usage import Usage

KINDS = ("check", "settle", "cancel", "expired", "denied_many")
DENIED_MANY = KINDS[-1]
"""The kind of an event whose fact is `DeniedMany`."""
LATEST_MS = 253_402_300_799_999
"""The end of the year 9999, the last that a `datetime` knows."""
TOLD = (*Usage._fields, "gate_us")
"""What a settle may tell of its call: what it used, and how long its caller waited for the gate, in microseconds."""
LARGEST_NUMBER = 2**53
LARGEST_VERSION = 2**31 - 1
LONGEST_NAME = 128
LONGEST_VERSION = 64
LONGEST_WORD = 16

Reading = tuple[int, int, int]
PlanOf = Callable[[CheckRecord, int], CallPlan]
"""Finds what a check at an instant (milliseconds) was tested against."""


@dataclass(frozen=True)
class Checked:
    """A call was decided; `plan` is what it was tested against."""

    record: CheckRecord
    plan: CallPlan
    answer: CheckAnswer

    @cached_property
    def counted(self) -> list[Reading]:
        """Spent, held and executions of each counter of the plan, before the call; none when it was not looked at."""
        return _readings(self.answer.counted, len(self.plan.counters))

    @cached_property
    def rated(self) -> list[Reading]:
        """Requests in the rolling minute, hour and day of each rate scope of the plan, before the call."""
        return _readings(self.answer.rated, len(self.plan.rates))


@dataclass(frozen=True, slots=True)
class Closed:
    """A hold ended: settled, cancelled or expired. `before` is the hold as it was, `amount_micros` what is charged."""

    before: HoldRecord
    amount_micros: int
    success: bool
    usage: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeniedMany:
    """So many calls alike were denied, each without an event and a decision of its own: only rollups count them.

    `estimate_micros` is what all of them together would have cost.
    """

    agent_id: str
    team_id: str
    provider: str
    model: str
    complexity: str
    environment: str
    reason: str
    calls: int
    estimate_micros: int = 0


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """One event: where it stood in the stream, what it is about, when it was recorded, what it says.

    `waited`: it was folded in from `pending_events`.
    """

    stream_id: str
    kind: str
    decision_id: str
    at: datetime
    fact: Checked | Closed | DeniedMany | None
    payload: dict[str, Any]
    waited: bool = False


def read_event(stream_id: str, fields: dict[str, str], plan_of: PlanOf) -> LedgerEvent:
    """Type one stream entry; `plan_of` finds the counters and rate scopes of a check.

    One that the gate did not write is kept as it is, with kind `unreadable`.
    """
    try:
        return _typed(stream_id, fields, plan_of)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        at = from_ms(min(int(stream_id.partition("-")[0]), LATEST_MS))
        # PostgreSQL's JSON holds no zero bytes.
        kept = {name.replace("\0", "\\0"): value.replace("\0", "\\0") for name, value in fields.items()}
        return LedgerEvent(stream_id, "unreadable", "", at, None, kept)


def _typed(stream_id: str, fields: dict[str, str], plan_of: PlanOf) -> LedgerEvent:
    kind = fields["k"]
    if kind not in KINDS:
        raise ValueError(kind)
    # The gate's texts are plain; an escaped zero byte or half a character would be refused by the database.
    texts = "\n".join(fields.values())
    if "\0" in texts or "\\u" in texts:
        raise ValueError(texts)
    body = json.loads(fields["b"]) if "b" in fields else None
    check_storable(body)
    payload: dict[str, Any] = {name: value for name, value in fields.items() if name not in ("k", "d", "b")}
    if body is not None:
        payload["b"] = body
    return LedgerEvent(
        stream_id=stream_id,
        kind=kind,
        decision_id=fields["d"] if kind == DENIED_MANY else check_decision_id(fields["d"]),
        at=from_ms(_number(fields["t"])),
        fact=_fact(kind, fields, body, plan_of),
        payload=payload,
        waited=fields.get("p") == "1",
    )


def _fact(kind: str, fields: dict[str, str], body: Any, plan_of: PlanOf) -> Checked | Closed | DeniedMany:
    if kind == "check":
        return _checked(fields, body, plan_of)
    if kind == DENIED_MANY:
        return _denied_many(fields)
    return _closed(fields, body or {})


def _denied_many(fields: dict[str, str]) -> DeniedMany:
    reason, *alike = fields["a"].split("|")
    agent_id, team_id, provider, model, complexity, environment = alike
    if (
        reason == ReasonCode.ALLOWED
        or fields["d"]
        or len(max(alike, key=len)) > LONGEST_NAME
        or len(complexity) > LONGEST_WORD
    ):
        raise ValueError(fields)
    return DeniedMany(
        agent_id, team_id, provider, model, complexity, environment,
        ReasonCode(reason).value, _number(fields["n"]), _number(fields["m"]),
    )  # fmt: skip


def _checked(fields: dict[str, str], body: Any, plan_of: PlanOf) -> Checked:
    record = CheckRecord.of(body)
    _check_texts(record)
    for number in (record.estimate_micros, record.reserve_micros, record.prepare_us):
        _whole(number)
    if _whole(record.document_version) > LARGEST_VERSION:
        raise ValueError(record.document_version)
    for count in record.usage:
        if count is not None:
            _whole(count)
    at_ms = _number(fields["t"])
    plan = plan_of(record, at_ms)
    answer = read_check(at_ms, fields["a"], plan.counters, plan.rates)
    fact = Checked(record, plan, answer)
    if len(fact.counted) not in (0, len(plan.counters)) or len(fact.rated) not in (0, len(plan.rates)):
        raise ValueError(fields["a"])
    tested = len(fact.rated) if answer.reason in RATE_REASONS else len(fact.counted)
    if 0 < answer.denied_by <= tested and not answer.allowed:
        return fact
    if answer.denied_by == 0:
        return fact
    if plan.counters or plan.rates or answer.allowed:
        raise ValueError(fields["a"])
    # The document that decided is lost: the denial is kept, what denied cannot be named any more.
    return Checked(record, plan, replace(answer, denied_by=0))


def _check_texts(record: CheckRecord) -> None:
    """See that texts are texts and have room in their columns."""
    policies = (record.matched_policies, record.shadow_policies)
    names = (record.agent_id, record.team_id, record.user_id, record.provider, record.model, record.environment,
             record.action, *policies[0], *policies[1])  # fmt: skip
    words = (record.complexity, record.estimate_basis, record.policy_effect, record.shadow_effect)
    texts = (record.policy_reason, record.denial, record.outage, record.country, record.ip)
    # Joining them raises TypeError for anything but texts.
    "".join((*names, *words, *texts))
    if type(policies[0]) is not tuple or type(policies[1]) is not tuple:
        raise TypeError(policies)
    if (
        len(max(names, key=len)) > LONGEST_NAME
        or len(max(words, key=len)) > LONGEST_WORD
        or len(record.price_book_version) > LONGEST_VERSION
    ):
        raise ValueError(names)


def _closed(fields: dict[str, str], usage: dict[str, Any]) -> Closed:
    before = HoldRecord.from_text(fields["h"])
    for name in before.counters:
        budget_key(name)
    for told in TOLD:
        if usage.get(told) is not None:
            _whole(usage[told])
    return Closed(before, _number(fields["m"]), fields.get("s", "1") == "1", usage)


def _readings(texts: str, most: int) -> list[Reading]:
    readings = []
    for text in texts.split()[:most]:
        first, second, third = text.split(":")
        readings.append((int(first), int(second), int(third)))
    return readings


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(value)
    if not 0 <= value <= LARGEST_NUMBER:
        raise ValueError(value)
    return value


def _number(text: str) -> int:
    number = int(text)
    if not 0 <= number <= LARGEST_NUMBER:
        raise ValueError(text)
    return number

"""Events from the stream, typed: what the ledger writer works on. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.admission.answers import CheckAnswer, read_check
from engine.admission.plan import CallPlan
from engine.admission.record import CheckRecord, HoldRecord
from engine.clock import from_ms
from engine.ids import check_decision_id
from engine.ledger.rollups import budget_key
from engine.pricing.usage import Usage

KINDS = ("check", "settle", "cancel", "expired")
LATEST_MS = 253_402_300_799_999
"""The end of the year 9999, the last that a `datetime` knows."""
LARGEST_NUMBER = 2**53
LONGEST_NAME = 128

PlanOf = Callable[[CheckRecord, int], CallPlan]
"""Finds what a check at an instant (milliseconds) was tested against."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A call was decided; `plan` is what it was tested against."""

    record: CheckRecord
    plan: CallPlan
    answer: CheckAnswer


@dataclass(frozen=True, slots=True)
class Closed:
    """A hold ended: settled, cancelled or expired. `before` is the hold as it was, `amount_micros` what is charged."""

    before: HoldRecord
    amount_micros: int
    success: bool
    usage: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """One event: where it stood in the stream, what it is about, when it was recorded, what it says.

    `waited`: it was folded in from `pending_events`.
    """

    stream_id: str
    kind: str
    decision_id: str
    at: datetime
    fact: Checked | Closed | None
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
    for value in fields.values():
        # The gate's texts are plain; an escaped zero byte or half a character would be refused by the database.
        if "\0" in value or "\\u" in value:
            raise ValueError(value)
    body = json.loads(fields["b"]) if "b" in fields else None
    payload: dict[str, Any] = {name: value for name, value in fields.items() if name not in ("k", "d", "b")}
    if body is not None:
        payload["b"] = body
    return LedgerEvent(
        stream_id=stream_id,
        kind=kind,
        decision_id=check_decision_id(fields["d"]),
        at=from_ms(_number(fields["t"])),
        fact=_checked(fields, plan_of) if kind == "check" else _closed(fields, body or {}),
        payload=payload,
        waited=fields.get("p") == "1",
    )


def _checked(fields: dict[str, str], plan_of: PlanOf) -> Checked:
    record = CheckRecord.from_json(fields["b"])
    for name in (record.agent_id, record.team_id, record.user_id, record.provider, record.model, record.environment,
                 record.complexity, record.action, record.price_book_version, record.estimate_basis):  # fmt: skip
        if len(name) > LONGEST_NAME:
            raise ValueError(name)
    for number in (record.estimate_micros, record.reserve_micros, record.document_version, record.prepare_us,
                   *record.usage.told().values()):  # fmt: skip
        _number(str(number))
    at_ms = _number(fields["t"])
    plan = plan_of(record, at_ms)
    answer = read_check(at_ms, fields["a"], plan.counters, plan.rates)
    if len(answer.counters) not in (0, len(plan.counters)) or len(answer.rates) not in (0, len(plan.rates)):
        raise ValueError(fields["a"])
    return Checked(record, plan, answer)


def _closed(fields: dict[str, str], usage: dict[str, Any]) -> Closed:
    before = HoldRecord.from_text(fields["h"])
    for name in before.counters:
        budget_key(name)
    for field in Usage._fields:
        if usage.get(field) is not None:
            _count(usage[field])
    return Closed(before, _number(fields["m"]), fields.get("s", "1") == "1", usage)


def _count(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    _number(str(value))


def _number(text: str) -> int:
    number = int(text)
    if not 0 <= number <= LARGEST_NUMBER:
        raise ValueError(text)
    return number

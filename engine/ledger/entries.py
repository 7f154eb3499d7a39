"""Events from the stream, typed: what the ledger writer works on. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.admission.answers import CheckAnswer, read_check
from engine.admission.record import CheckRecord, HoldRecord
from engine.clock import from_ms


@dataclass(frozen=True, slots=True)
class Checked:
    """A call was decided."""

    record: CheckRecord
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
    """One event: where it stood in the stream, what it is about, when it was recorded, what it says."""

    stream_id: str
    kind: str
    decision_id: str
    at: datetime
    fact: Checked | Closed | None
    payload: dict[str, Any]


def read_event(stream_id: str, fields: dict[str, str]) -> LedgerEvent:
    """Type one stream entry. One that the gate did not write is kept as it is, with kind `unreadable`."""
    try:
        return _typed(stream_id, fields)
    except (ValueError, KeyError, TypeError):
        at = from_ms(int(stream_id.partition("-")[0]))
        return LedgerEvent(stream_id, "unreadable", "", at, None, dict(fields))


def _typed(stream_id: str, fields: dict[str, str]) -> LedgerEvent:
    kind = fields["k"]
    body = json.loads(fields["b"]) if "b" in fields else None
    payload: dict[str, Any] = {name: value for name, value in fields.items() if name not in ("k", "d", "b")}
    if body is not None:
        payload["b"] = body
    return LedgerEvent(
        stream_id=stream_id,
        kind=kind,
        decision_id=fields["d"],
        at=from_ms(int(fields["t"])),
        fact=_checked(fields) if kind == "check" else _closed(fields, body or {}),
        payload=payload,
    )


def _checked(fields: dict[str, str]) -> Checked:
    record = CheckRecord.from_json(fields["b"])
    reply = [None, fields["t"], fields["o"], fields["i"], fields["c"], fields["r"], fields["w"], fields["e"]]
    return Checked(record, read_check(reply, record.counters, record.rates))


def _closed(fields: dict[str, str], usage: dict[str, Any]) -> Closed:
    return Closed(HoldRecord.from_text(fields["h"]), int(fields["m"]), fields.get("s", "1") == "1", usage)

"""What the gate appended, as the ledger's typed events. Pure."""

from __future__ import annotations

from typing import Any

from engine.admission.answers import read_check
from engine.admission.plan import CallPlan
from engine.admission.record import CheckRecord
from engine.admission.reference_state import Event
from engine.clock import from_ms
from engine.ledger.entries import Checked, LedgerEvent, read_event


def check_event(event: Event, record: CheckRecord, plan: CallPlan) -> LedgerEvent:
    """The event of a check whose record and plan are at hand, without writing and reading the record's JSON.

    Equal to what `read_event` makes of the same entry in the stream; a test holds them together.
    """
    fields = event.fields
    at_ms = int(fields["t"])
    payload: dict[str, Any] = {"t": fields["t"], "a": fields["a"]}
    if "p" in fields:
        payload["p"] = fields["p"]
    payload["b"] = [list(value) if isinstance(value, tuple) else value for value in record]
    return LedgerEvent(
        stream_id=_stream_id(event),
        kind="check",
        decision_id=fields["d"],
        at=from_ms(at_ms),
        fact=Checked(record, plan, read_check(at_ms, fields["a"], plan.counters, plan.rates)),
        payload=payload,
        waited=fields.get("p") == "1",
    )


def closing_event(event: Event) -> LedgerEvent:
    """The event of a settle, a cancel or an expiry."""
    return read_event(_stream_id(event), event.fields, _no_plan)


def _stream_id(event: Event) -> str:
    milliseconds, sequence = event.event_id
    return f"{milliseconds}-{sequence}"


def _no_plan(record: CheckRecord, at_ms: int) -> CallPlan:
    raise LookupError(f"not the event of a check: {record} {at_ms}")

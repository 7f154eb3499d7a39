"""Settle and cancel: what becomes of a hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.admission.questions import Cancel, Hold, Settle
from engine.admission.record import HoldRecord
from engine.core import Core
from engine.decision import Decision
from engine.errors import DatabaseError, GateUnavailable, InvalidValue, SettleConflict, UnknownDecision, UnknownPrice
from engine.flows.alone import spool
from engine.flows.asking import decided
from engine.flows.steps import Ask, Await, Flow, NotInTime
from engine.ids import check_decision_id
from engine.ledger.pending import PendingEvent
from engine.ledger.recount import pricing_of
from engine.money import Micros, format_usd, to_micros
from engine.pricing.basis import Pricing
from engine.pricing.usage import NO_USAGE, Usage, read_usage
from engine.request import check_organization

_STATE_WORDS = {"S": "settled", "C": "cancelled", "X": "expired"}


def settle(
    core: Core,
    decision: Decision | str,
    *,
    org_id: str | None,
    actual_cost: Decimal | str | int | None,
    usage: Mapping[str, Any],
    success: bool,
) -> Flow[Micros]:
    """Replace a hold by what the call really cost."""
    check_organization(core.org_id, org_id)
    decision_id = check_decision_id(decision.id if isinstance(decision, Decision) else decision)
    used = read_usage(usage)
    if not isinstance(success, bool):
        raise InvalidValue("success", f"must be true or false, got {success!r}")
    if actual_cost is not None:
        actual = to_micros(actual_cost, "actual_cost")
    elif used == NO_USAGE:
        raise InvalidValue("actual_cost", "give the actual cost, or tokens or credits to price")
    else:
        pricing = decision.pricing if isinstance(decision, Decision) else (yield from _pricing(core, decision_id))
        actual = _price(core, pricing, used)
    body = json.dumps(_told(decision, used), separators=(",", ":"))
    payload = {"actual_micros": actual, "success": success, "body": body}
    try:
        reply = yield from decided(core, lambda: Settle(core.org_id, decision_id, actual, success, body))
    except GateUnavailable:
        yield from _keep_settle(core, decision_id, payload)
        return actual
    if reply.status == "UNKNOWN":
        yield from _settle_forgotten(core, decision_id, payload)
    elif reply.status == "CONFLICT":
        raise _conflict(decision_id, _STATE_WORDS[reply.raw[2]], int(reply.raw[3]))
    return actual


def _told(decision: Decision | str, used: Usage) -> dict[str, int]:
    """What the event of a settle tells: what was used, and how long the caller had waited for the gate.

    Only a caller knows the latter, and it knows it too late for the check's own event.
    """
    told = used.told()
    if isinstance(decision, Decision) and not decision.repeated:
        told["gate_us"] = decision.gate_us
    return told


def cancel(core: Core, decision: Decision | str, *, org_id: str | None) -> Flow[None]:
    """Undo a hold and its execution count."""
    check_organization(core.org_id, org_id)
    decision_id = check_decision_id(decision.id if isinstance(decision, Decision) else decision)
    try:
        reply = yield from decided(core, lambda: Cancel(core.org_id, decision_id))
    except GateUnavailable:
        yield from keep(core, core.pending(decision_id, "cancel", {}))
        return
    if reply.status == "CONFLICT":
        raise _conflict(decision_id, _STATE_WORDS[reply.raw[2]], int(reply.raw[3]))
    if reply.status == "UNKNOWN":
        row, waiting = yield from look_up(core, decision_id)
        if (row is None and waiting is None) or (row is not None and row.state == "denied"):
            raise UnknownDecision(f"decision_id: no allowed decision has the id {decision_id}")
        if row is not None and row.state in ("settled", "expired"):
            raise _conflict(decision_id, row.state, row.spent_micros)
        if row is None or row.state == "held":
            yield from keep(core, core.pending(decision_id, "cancel", {}))


def _keep_settle(core: Core, decision_id: str, payload: Mapping[str, Any]) -> Flow[None]:
    kept = yield from keep(core, core.pending(decision_id, "settle", dict(payload)))
    if kept is not None and kept["actual_micros"] != payload["actual_micros"]:
        raise _conflict(decision_id, "settled", kept["actual_micros"])


def keep(core: Core, event: PendingEvent) -> Flow[Mapping[str, Any] | None]:
    """Keep a fact for the gate: in SQL, else in the spool. Returns what SQL has of it, perhaps an earlier one."""
    entry = core.recorder.record(event)
    try:
        kept: Mapping[str, Any] = yield Await(entry.kept, core.settings.ledger_patience_seconds)
        return kept
    except (NotInTime, DatabaseError):
        yield from spool(core, event)
        core.recorder.abandon(entry)
        return None


def _settle_forgotten(core: Core, decision_id: str, payload: Mapping[str, Any]) -> Flow[None]:
    """Redis has forgotten the hold, or never had it: leave the settle to the ledger writer, which knows it."""
    row, waiting = yield from look_up(core, decision_id)
    allowed = row is not None and row.state != "denied"
    if not allowed and not (waiting is not None and waiting["allowed"]):
        raise UnknownDecision(f"decision_id: no allowed decision has the id {decision_id}")
    if row is not None and row.state == "settled" and row.spent_micros == payload["actual_micros"]:
        return
    if row is not None and row.state in ("settled", "cancelled"):
        raise _conflict(decision_id, row.state, row.spent_micros)
    yield from _keep_settle(core, decision_id, payload)


def look_up(core: Core, decision_id: str) -> Flow[tuple[Any, Any]]:
    """The decision as the ledger has it, and as it waits to be folded in."""
    try:
        found: tuple[Any, Any] = yield Await(core.find_decision(decision_id), core.settings.rebuild_patience_seconds)
        return found
    except NotInTime:
        raise DatabaseError("the ledger database did not answer in time; try again") from None


def _pricing(core: Core, decision_id: str) -> Flow[Pricing]:
    try:
        reply = yield Ask(Hold(core.org_id, decision_id))
        hold = HoldRecord.of_call(reply.raw[2])
        if hold is not None:
            return hold.pricing
    except GateUnavailable:
        pass
    row, waiting = yield from look_up(core, decision_id)
    if row is not None:
        return pricing_of(row)
    if waiting is not None:
        return Pricing.from_text(waiting["pricing"])
    raise UnknownDecision(f"decision_id: no decision has the id {decision_id}")


def _price(core: Core, pricing: Pricing, used: Usage) -> Micros:
    prices = core.document.prices.of(pricing.provider, pricing.model, pricing.complexity, pricing.agent_id)
    try:
        # Holds of earlier versions did not keep their time.
        return prices.actual(used, pricing.at_ms or core.clock.now_ms)
    except UnknownPrice as unknown:
        raise InvalidValue("actual_cost", f"must be given, because {unknown}") from None


def _conflict(decision_id: str, state: str, amount_micros: int) -> SettleConflict:
    if state == "settled":
        return SettleConflict(f"decision_id: {decision_id} is already settled at {format_usd(amount_micros)}")
    if state == "expired":
        return SettleConflict(f"decision_id: {decision_id} has expired and was charged {format_usd(amount_micros)}")
    return SettleConflict(f"decision_id: {decision_id} is already cancelled")

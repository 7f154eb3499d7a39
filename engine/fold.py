"""From a pending event to the question that folds it in, and what the answer means for its row. Pure."""

from __future__ import annotations

from typing import Any

from engine.admission.answers import CheckAnswer
from engine.admission.plan import plan_counters
from engine.admission.questions import Cancel, Fold, Idempotency, Settle
from engine.admission.record import CheckRecord, HoldRecord
from engine.document.schema import GovernanceDocument
from engine.ledger.entries import PlanOf
from engine.ledger.recount import facts_of, pricing_of
from engine.pricing.basis import Pricing

_STATE_CODES = {"held": "H", "settled": "S", "expired": "X", "cancelled": "C", "denied": "D"}


def check_payload(
    record: CheckRecord, body: str, answer: CheckAnswer, idempotency: Idempotency | None, asked_id: str
) -> dict[str, Any]:
    """A decision made while Redis was away, as its row keeps it.

    `body` is the record as JSON, `asked_id` the id under which the gate was asked, when that is another one.
    """
    return {
        "allowed": answer.allowed,
        "decided_ms": answer.now_ms,
        "expires_ms": answer.expires_ms,
        "answer": answer.to_text(),
        "pricing": Pricing(
            record.provider, record.model or None, record.complexity, record.agent_id, answer.now_ms
        ).to_text(),
        "body": body,
        "asked_id": asked_id,
        "idempotency": None if idempotency is None else [idempotency.key, idempotency.request_hash],
    }


def fold_question(row: Any, known: Any | None, document: GovernanceDocument, plan_of: PlanOf) -> Fold | Settle | Cancel:
    """What to ask the gate for a row of `pending_events`; `known` is the decision as the ledger has it.

    `document` is the one whose counters are installed, `plan_of` finds what a check was tested against.
    """
    payload = row.payload
    if row.kind == "check":
        return _fold_check(row.decision_id, payload, plan_of)
    record = "" if known is None else _record_of(known, document)
    if row.kind == "cancel":
        return Cancel(row.org_id, row.decision_id, record, waited=True)
    return Settle(
        row.org_id,
        row.decision_id,
        payload["actual_micros"],
        payload["success"],
        payload["body"],
        record,
        waited=True,
    )


def is_known_denial(row: Any, known: Any | None) -> bool:
    """Whether the gate had denied what was denied again without it: its answer was lost, the ledger has it."""
    return row.kind == "check" and not row.payload["allowed"] and known is not None and known.outcome == "denied"


def document_version_of(row: Any) -> int | None:
    """The document version by which a waiting decision was made; `None` for anything but a decision."""
    return CheckRecord.from_json(row.payload["body"]).document_version if row.kind == "check" else None


def fold_outcome(question: Fold | Settle | Cancel, status: str, known: Any | None) -> str:
    """What becomes of the row: nothing yet (empty), `in the ledger`, or why it cannot be folded in."""
    if status in ("UNKNOWN", "CONFLICT"):
        return {
            "UNKNOWN": "no allowed decision has this id",
            "CONFLICT": "it contradicts what was settled or cancelled before",
        }[status]
    if status == "SAME":
        # The event that closed it may still be on its way to SQL.
        wanted = {"settle": ("settled",), "cancel": ("cancelled",)}.get(question.script)
        in_ledger = known is not None and (wanted is None or known.state in wanted)
        return "in the ledger" if in_ledger else ""
    if status == "UNDONE":
        # The gate had decided after all; its own event is in the ledger, and the cancel follows.
        return "in the ledger"
    return ""


def _fold_check(decision_id: str, payload: dict[str, Any], plan_of: PlanOf) -> Fold:
    record = CheckRecord.from_json(payload["body"])
    plan = plan_of(record, payload["decided_ms"])
    hold = HoldRecord("H", record.reserve_micros, 0, Pricing.from_text(payload["pricing"]), plan.counter_names)
    return Fold(
        plan=plan,
        decision_id=decision_id,
        allowed=payload["allowed"],
        decided_ms=payload["decided_ms"],
        expires_ms=payload["expires_ms"],
        answer=payload["answer"],
        body=payload["body"],
        record=hold.to_text(),
        idempotency=Idempotency(*payload["idempotency"]) if payload["idempotency"] else None,
        asked_id=payload["asked_id"],
    )


def _record_of(row: Any, document: GovernanceDocument) -> str:
    state = _STATE_CODES[row.state]
    names = tuple(counter.name for counter in plan_counters(document, facts_of(row), row.at))
    return HoldRecord(state, row.reserve_micros, row.spent_micros, pricing_of(row), names).to_text()

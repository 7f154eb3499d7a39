"""See that decisions say what their events say.

The chain proves events. Pages, exports and totals read `decisions`, so whoever changes a row there must not be believed
because the chain is whole. What is expected of a row is worked out here from the events alone, without the writer's
code.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, exists, func, select

from engine.admission.record import CheckRecord
from engine.ledger.audit import LEDGER_DROP
from engine.ledger.checkpoints import later_month, month_start
from engine.ledger.database import Database
from engine.ledger.decision_walk import next_decisions
from engine.ledger.organizations import decisions_kept_from
from engine.ledger.tables import audit_log, decisions, event_partitions, events

BATCH = 1_000
CLOCKS_DIFFER = timedelta(days=1)
Watch = Callable[[int, int], None]

_BEFORE = re.compile(r"before \d{4}-(0[1-9]|1[0-2])")
_STATES = {"settle": "settled", "cancel": "cancelled", "expired": "expired"}
_FROM_RECORD = (
    "agent_id", "team_id", "user_id", "provider", "model", "environment", "complexity", "action",
    "estimate_micros", "reserve_micros", "document_version", "price_book_version", "outage",
)  # fmt: skip
_FROM_EVENTS = (
    "at", "outcome", "reason", "fail_open", "state", "spent_micros", "actual_micros", "success", "closed_at",
)  # fmt: skip
COMPARED = (*_FROM_RECORD, *_FROM_EVENTS)
"""Who asked for what, what was decided, and what it cost."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that is not what its events say, and a sentence about it."""

    decision_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """So many decisions were compared; `difference` is the first that is wrong, `None` when none is."""

    decisions: int
    difference: Difference | None
    without_events: int = 0
    """So many are kept although retention has dropped the month of their events: nothing can be said of them."""


def compare_decisions(database: Database, org_id: str, watch: Watch | None = None) -> Comparison:
    """Compare every decision with its events, and see that no event lacks its decision.

    Each batch is read in one snapshot, so a ledger writer may go on writing. Decisions that retention has dropped are
    not missed. `watch` is told how many decisions are compared, of how many.
    """
    total, done, without_events = _number_of_decisions(database, org_id), 0, 0
    with database.read() as connection:
        events_from = _events_kept_from(connection, org_id)
    after: dict[str, Any] | None = None
    while True:
        with database.snapshot() as connection:
            rows = next_decisions(connection, org_id, ("decision_id", *COMPARED), after=after, limit=BATCH)
            told = _told_by_events(connection, org_id, [row["decision_id"] for row in rows])
        for row in rows:
            said = told.get(row["decision_id"])
            # It waits for a settle, or a clock was behind when its event was written.
            if said is None and events_from is not None and row["at"] < events_from + CLOCKS_DIFFER:
                without_events += 1
                continue
            message = _what_differs(row, said)
            if message is not None:
                return Comparison(done, Difference(row["decision_id"], message))
            done += 1
        if watch is not None:
            watch(done + without_events, max(total, done))
        if len(rows) < BATCH:
            return Comparison(done, _without_decision(database, org_id), without_events)
        after = rows[-1]


def told_by(history: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What a decision's events, in order, say of it; `None` when none of them decided it. Pure."""
    told: dict[str, Any] | None = None
    for event in history:
        if event["kind"] == "check":
            decided = _decided(event)
            # The caller was told yes by its own process while the gate's no was lost on its way.
            overruled = told is not None and told["outcome"] == "denied" and decided["outcome"] == "allowed"
            if told is None or (overruled and event["payload"].get("p") == "1"):
                told = decided
        elif event["kind"] in _STATES and told is not None:
            _close(told, event)
    return told


def _decided(event: Mapping[str, Any]) -> dict[str, Any]:
    record = CheckRecord.of(event["payload"]["b"])
    reason = event["payload"]["a"].split(" ", 1)[0]
    allowed = reason == "allowed"
    return {
        **{name: getattr(record, name) for name in _FROM_RECORD},
        "at": event["at"],
        "outcome": "allowed" if allowed else "denied",
        "reason": reason,
        "fail_open": allowed and bool(record.outage),
        "state": "held" if allowed else "denied",
        "spent_micros": 0,
        "actual_micros": None,
        "success": None,
        "closed_at": None,
    }


def _close(told: dict[str, Any], event: Mapping[str, Any]) -> None:
    payload, kind = event["payload"], event["kind"]
    told["state"], told["closed_at"] = _STATES[kind], event["at"]
    told["spent_micros"] = int(payload["m"])
    if kind == "settle":
        told["actual_micros"] = told["spent_micros"]
        told["success"] = payload.get("s", "1") == "1"


def _what_differs(row: Mapping[str, Any], told: dict[str, Any] | None) -> str | None:
    if told is None:
        return "no event decided it"
    for column in COMPARED:
        if row[column] != told[column]:
            return f"its {column} is {_shown(row[column])}; its events say {_shown(told[column])}"
    return None


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)


def _events_kept_from(connection: Connection, org_id: str) -> datetime | None:
    """The end of the newest month whose events retention has dropped."""
    newest: str | None = connection.scalar(
        select(func.max(event_partitions.c.partition)).where(
            event_partitions.c.org_id == org_id, event_partitions.c.dropped_at.is_not(None)
        )
    )
    return None if newest is None else month_start(later_month(newest))


def _decisions_kept_from(connection: Connection, org_id: str) -> datetime | None:
    """From when on decisions are kept: as the organization's row says, and as far as an audit entry agrees."""
    noted = decisions_kept_from(connection, org_id)
    subjects = connection.scalars(
        select(audit_log.c.subject).where(audit_log.c.org_id == org_id, audit_log.c.action == LEDGER_DROP)
    )
    agreed = [month_start(subject.removeprefix("before ")) for subject in subjects if _BEFORE.fullmatch(subject)]
    return None if noted is None or not agreed else min(noted, max(agreed))


def _number_of_decisions(database: Database, org_id: str) -> int:
    with database.read() as connection:
        return int(
            connection.execute(
                select(func.count()).select_from(decisions).where(decisions.c.org_id == org_id)
            ).scalar_one()
        )


def _told_by_events(connection: Connection, org_id: str, ids: Sequence[str]) -> dict[str, dict[str, Any] | None]:
    histories: dict[str, list[dict[str, Any]]] = defaultdict(list)
    query = (
        select(events.c.decision_id, events.c.kind, events.c.at, events.c.payload)
        .where(events.c.org_id == org_id, events.c.decision_id.in_(ids))
        .order_by(events.c.seq)
    )
    for event in connection.execute(query).mappings():
        histories[event["decision_id"]].append(dict(event))
    return {decision_id: told_by(history) for decision_id, history in histories.items()}


def _without_decision(database: Database, org_id: str) -> Difference | None:
    """The first event that decided a call of which there is no decision."""
    for query in _lookups(database, org_id):
        with database.read() as connection:
            found = connection.execute(query).one_or_none()
        if found is not None:
            return Difference(found.decision_id, f"it is gone; event {found.seq} decided it")
    return None


def _lookups(database: Database, org_id: str) -> Iterator[Any]:
    with database.read() as connection:
        first, last = connection.execute(
            select(func.min(events.c.seq), func.max(events.c.seq)).where(events.c.org_id == org_id)
        ).one()
        kept_from = _decisions_kept_from(connection, org_id)
    if first is None:
        return
    missing = (
        select(events.c.seq, events.c.decision_id)
        .where(
            events.c.org_id == org_id,
            events.c.kind == "check",
            ~exists().where(decisions.c.decision_id == events.c.decision_id, decisions.c.org_id == org_id),
        )
        .order_by(events.c.seq)
        .limit(1)
    )
    if kept_from is not None:
        missing = missing.where(events.c.at >= kept_from)
    for start in range(first, last + 1, 10 * BATCH):
        yield missing.where(events.c.seq >= start, events.c.seq < start + 10 * BATCH)

"""Rules that are judged slot by slot: each slot of each rule once, over all workers."""

from __future__ import annotations

from datetime import datetime

from engine.alerting.announcing import Office
from engine.alerting.latched import METRIC
from engine.alerting.measuring.cadence import needs_ledger, slots
from engine.alerting.reading import Measuring
from engine.alerting.rule_states import last_slots
from engine.alerting.shipped import rules_of
from engine.alerting.slot_evaluation import evaluate_slot
from engine.document.store import live_document, live_version
from engine.ledger.database import Database
from engine.ledger.queries.health import drained_through
from engine.ledger.rollups import bucket_of


def evaluate_rules(database: Database, org_id: str, *, dashboard_url: str, now: datetime) -> int:
    """Evaluate every slot that is due of every rule but those on budget use; how many slots were ours.

    A rule about calls is evaluated when the ledger is drained past the slot's end; one about Bursar itself by the
    clock, for it must speak when the ledger cannot. One rule that fails keeps no other back.
    """
    with database.read() as connection:
        if live_version(connection, org_id) is None:
            return 0
        document = live_document(connection, org_id).document
        drained, last = drained_through(connection, org_id), last_slots(connection, org_id)
    office = Office(document, dashboard_url)
    evaluated = 0
    for rule in rules_of(document.alerts):
        ready = drained if needs_ledger(rule) else now
        if rule.metric == METRIC or ready is None:
            continue
        for slot in slots(rule, last.get(rule.rule_id), bucket_of(ready, "minute")):
            evaluated += evaluate_slot(database, rule, Measuring(org_id, document, slot, now), office)
    return evaluated

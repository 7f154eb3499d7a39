"""What the ledger writer is given when it is measured: entries as the gate writes them, by its specification.

Twenty agents of ten teams, 500 users, 1,000 policies, four budget counters and three rate scopes for each call. Most
calls are settled a moment later, some are cancelled, some never ended, some denied.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterator
from itertools import islice

from benchmarks.workload import _NEVER_FULL_USD, Call, calls, document
from engine.admission.questions import Cancel, Install, Settle
from engine.admission.reference import ReferenceGate
from engine.decide import PreparedCheck, prepare, question_for
from engine.document.live import LiveDocument
from engine.document.load import parse_document
from engine.document.schema import GovernanceDocument
from engine.ids import new_decision_id
from engine.pricing.usage import Usage

Entry = tuple[str, dict[str, str]]

HOLD_MS = 300_000
OPEN_CALLS = 64
"""So many calls are under way at once."""
MS_PER_CALL = 5
CANCELLED, NEVER_ENDED, UNAFFORDABLE = 0.03, 0.01, 0.05
"""Shares of calls. An unaffordable one is denied by its budget."""


def governed(organization: str) -> GovernanceDocument:
    """The measured organization's document."""
    return parse_document(document(organization), "the benchmark")


def entries(live: LiveDocument, number: int, *, start_ms: int) -> list[Entry]:
    """So many stream entries, the first one at `start_ms`: ids and fields."""
    return list(islice(_Traffic(live, start_ms).entries(), number))


class _Traffic:
    def __init__(self, live: LiveDocument, start_ms: int) -> None:
        self._live = live
        self._now = start_ms
        self._gate = ReferenceGate(lambda: self._now)
        self._org_id = live.document.organization
        self._dice = random.Random("the same traffic in every run")
        self._open: deque[tuple[str, PreparedCheck]] = deque()

    def entries(self) -> Iterator[Entry]:
        self._gate.ask(Install(self._org_id, (0, 0), 1, self._live.version, "charge"))
        events = self._gate.organization(self._org_id).events
        for call in calls():
            self._now += MS_PER_CALL
            self._check(call)
            while len(self._open) > OPEN_CALLS:
                self._end(*self._open.popleft())
            for event in events.kept:
                yield "{}-{}".format(*event.event_id), event.fields
            events.kept = []

    def _check(self, call: Call) -> None:
        request = call._asdict()
        if self._dice.random() < UNAFFORDABLE:
            request["estimated_cost"] = _NEVER_FULL_USD
        prepared = prepare(self._live, self._now, request)
        decision_id = new_decision_id(self._now)
        reply = self._gate.ask(question_for(prepared, decision_id, HOLD_MS))
        if reply.status == "ALLOWED":
            self._open.append((decision_id, prepared))

    def _end(self, decision_id: str, prepared: PreparedCheck) -> None:
        fate = self._dice.random()
        if fate < NEVER_ENDED:
            return
        if fate < NEVER_ENDED + CANCELLED:
            self._gate.ask(Cancel(self._org_id, decision_id))
            return
        told = Usage(prepared.record.input_tokens, self._dice.randint(20, 2000)).told()
        body = json.dumps({**told, "gate_us": self._dice.randint(150, 2500)}, separators=(",", ":"))
        actual = int(prepared.estimate.estimate_micros * self._dice.uniform(0.7, 1.4))
        self._gate.ask(Settle(self._org_id, decision_id, actual, self._dice.random() < 0.97, body))

"""What a governance service works with, however its callers wait: document, clock, limits, ledger."""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from engine.admission.gate import GateBase, RedisGate
from engine.admission.outage import OutageLimits
from engine.background import Background
from engine.clock import from_ms
from engine.decide import PreparedCheck, prepare
from engine.document.live import LiveDocument
from engine.document.store import is_outdated, live_document
from engine.drain import LedgerDrain
from engine.errors import BursarError, InvalidValue
from engine.ledger.database import Database
from engine.ledger.pending import PendingEvent, decision_or_waiting
from engine.ledger.recorder import PendingRecorder
from engine.ledger.spool import Spool
from engine.policy.context import PolicyContext
from engine.policy.result import PolicyEvaluationResult
from engine.settings import Settings

logger = logging.getLogger(__name__)

REBUILD_TIMEOUT_SECONDS = 5.0
"""How long a rebuild waits for one answer of Redis; nobody waits for the rebuild that long."""
COLD_REST_SECONDS = 0.5
"""So long after a caller has waited for a rebuild in vain, others do not wait."""
REFUSED_REST_SECONDS = 1.0
"""So long after a refused request has made this process look for a newer document the next one may."""
COMPARISON_REST_SECONDS = 0.02
"""So long after a comparison of Redis with the ledger the next one starts."""


class Core:
    """Shared by the threads or tasks of one service. Nothing here waits longer than a quick lock."""

    def __init__(
        self, database: Database, gate: GateBase, rebuild_gate: RedisGate, live: LiveDocument, settings: Settings
    ) -> None:
        self.org_id = live.document.organization
        self.database = database
        self.gate = gate
        self.clock = gate.clock
        self.settings = settings
        self.hold_ms = settings.hold_seconds * 1000
        self.limits = OutageLimits(settings.outage_rate_share)
        self.background = Background()
        # Apart from the others: however many wait here, Redis is compared and documents are read.
        self.lookups = Background()
        self.recorder = PendingRecorder(database, Spool(settings.state_dir / "spool", self.org_id))
        self.live = live
        self.waits_for_rebuild_from = 0.0
        self._live_until = time.monotonic() + settings.cache_ttl_seconds
        self._refused_from = 0.0
        self._rebuild_gate = rebuild_gate
        self._compare_from = 0.0
        _cores.add(self)

    @property
    def document(self) -> LiveDocument:
        """The document version in use. One older than `cache_ttl_seconds` is looked up again behind its back."""
        if time.monotonic() > self._live_until:
            self._live_until = time.monotonic() + self.settings.cache_ttl_seconds
            self.reload()
        return self.live

    def prepare(self, request: Mapping[str, Any]) -> PreparedCheck:
        """The pure part of a check, as of Redis' time.

        What is refused may be new in a version that this process has not seen: it looks for one, so that the next try
        a moment later is decided by it.
        """
        try:
            return prepare(self.document, self.clock.now_ms, request)
        except InvalidValue:
            if time.monotonic() > self._refused_from:
                self._refused_from = time.monotonic() + REFUSED_REST_SECONDS
                self.reload()
            raise

    def evaluate_policies(self, context: PolicyContext) -> PolicyEvaluationResult:
        """What the live policies say of a call, as of Redis' time."""
        return self.document.policies.evaluate(context, from_ms(self.clock.now_ms))

    def reload(self) -> Future[None]:
        """Use the newest document version."""
        return self.background.run_once("reload", self._reload)

    def rebuild(self) -> Future[None]:
        """See that the organization's state is in Redis."""
        return self.background.run_once("rebuild", self._rebuild)

    @property
    def distrusts(self) -> bool:
        """Whether this run of Redis has not been compared with the ledger yet: it may have come back older."""
        return not self.gate.links.trusted

    def verify(self) -> Future[None]:
        """Compare Redis' state with the ledger, and believe it from then on."""
        return self.background.run_once("verify", self._verify)

    def find_decision(self, decision_id: str) -> Future[tuple[Any | None, dict[str, Any] | None]]:
        """The decision as the ledger has it, and as it waits to be folded in."""

        def find() -> tuple[Any | None, dict[str, Any] | None]:
            with self.database.read() as connection:
                return decision_or_waiting(connection, self.org_id, decision_id)

        return self.lookups.run(find)

    def pending(self, decision_id: str, kind: Any, payload: dict[str, Any]) -> PendingEvent:
        """A fact that waits for Redis."""
        return PendingEvent(self.org_id, decision_id, kind, payload)

    def after_fork(self) -> None:
        """In the child of a fork: threads are gone, and connections are the parent's."""
        self.database.after_fork()
        self.background = Background()
        self.lookups = Background()
        self.recorder.after_fork()
        self.limits.after_fork()
        self.gate.breaker.after_fork()
        self._rebuild_gate.breaker.after_fork()

    def close(self) -> None:
        """Write what waits, and let go."""
        self.recorder.close()
        self.background.close()
        self.lookups.close()

    def _reload(self) -> None:
        try:
            with self.database.read() as connection:
                if is_outdated(connection, self.live):
                    self.live = live_document(connection, self.org_id)
        except BursarError as problem:
            logger.warning("keeping document version %d: %s", self.live.version, problem)

    def _verify(self) -> None:
        time.sleep(max(0.0, self._compare_from - time.monotonic()))
        self._compare_from = time.monotonic() + COMPARISON_REST_SECONDS
        self._rebuild()
        self.gate.breaker.succeeded()

    def _rebuild(self) -> None:
        run_id = self._rebuild_gate.run_id()
        if self._drain().rebuild_if_free():
            self.gate.links.trusted = run_id
        else:
            # The lease holder has been asked; look again soon.
            time.sleep(0.02)

    def _drain(self) -> LedgerDrain:
        return LedgerDrain(self.database, self._rebuild_gate, self.org_id, lease_seconds=self.settings.lease_seconds)


_cores: weakref.WeakSet[Core] = weakref.WeakSet()


def _after_fork() -> None:
    for core in list(_cores):
        core.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

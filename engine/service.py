"""The enforcement engine: decide calls, settle them, cancel them. One round trip to Redis each."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import select

from engine.admission.answers import read_check
from engine.admission.connect import open_gate
from engine.admission.gate import RedisGate, Reply
from engine.clock import from_ms, utc_now
from engine.decide import PreparedCheck, conclude, prepare, unavailable
from engine.decision import Decision, Denied
from engine.document.live import LiveDocument
from engine.document.load import read_document
from engine.document.store import live_document, live_version, publish_document
from engine.drain import LedgerDrain
from engine.errors import DatabaseError, DocumentError, GateUnavailable, InvalidValue, SettleConflict, UnknownDecision
from engine.ids import check_decision_id, new_decision_id
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.recount import pricing_of
from engine.ledger.tables import decisions, pending_events
from engine.ledger.upsert import insert_or
from engine.money import Micros, format_usd, to_micros
from engine.pricing.basis import Pricing
from engine.pricing.estimator import UnknownPrice, check_tokens, price_call
from engine.settings import Settings, read_settings

logger = logging.getLogger(__name__)

COLD_PATIENCE_SECONDS = 5.0
"""How long a call waits for its organization's state to be installed in Redis."""

_STATE_WORDS = {"S": "settled", "C": "cancelled"}


class GovernanceService:
    """Governs one organization's agents. Safe to share between threads.

    Make one with `from_document`; close it (or use it as a context manager) when done.
    """

    def __init__(
        self,
        database: Database,
        gate: RedisGate,
        live: LiveDocument,
        settings: Settings,
        owned: contextlib.ExitStack | None = None,
    ) -> None:
        self.org_id = live.document.organization
        self.database = database
        self.gate = gate
        self._live = live
        self._live_read = time.monotonic()
        self._settings = settings
        self._owned = owned or contextlib.ExitStack()
        self._warming = threading.Lock()

    @classmethod
    def from_document(cls, path: Path | str, *, settings: Settings | None = None) -> GovernanceService:
        """Govern by the document at `path`, which becomes the organization's live version.

        Without URLs in the settings, the ledger is an SQLite file and Redis a private server, both in the state
        directory and ended with this service. Raises `DocumentError`, `DatabaseError` or `GateUnavailable`.
        """
        document = read_document(path)
        settings = settings or read_settings()
        with contextlib.ExitStack() as opened:
            database = Database.of(settings)
            opened.callback(database.close)
            migrate(database)
            gate = opened.enter_context(open_gate(settings))
            live = publish_document(database, document, author="from_document", reason=f"read from {path}")
            return cls(database, gate, live, settings, opened.pop_all())

    @property
    def document(self) -> LiveDocument:
        """The document version in use; looked up again after `cache_ttl_seconds`."""
        if time.monotonic() > self._live_read + self._settings.cache_ttl_seconds:
            self._reload()
        return self._live

    def check(
        self,
        agent_id: str,
        *,
        org_id: str | None = None,
        team_id: str | None = None,
        user_id: str | None = None,
        action: str = "invoke",
        environment: str | None = None,
        complexity: str = "standard",
        model: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        estimated_cost: Decimal | str | int | None = None,
    ) -> Decision:
        """Decide whether the call may happen now; if so, hold its reserve and count it.

        `estimated_cost` (US dollars) is held as given; without it the price book's estimate plus 20 % is.
        Raises `InvalidValue` (a `ValueError`) naming a bad field, having written nothing. When Redis does not
        answer the decision is a denial with reason `gate_unavailable`.
        """
        request = {
            "agent_id": agent_id,
            "org_id": org_id,
            "team_id": team_id,
            "user_id": user_id,
            "action": action,
            "environment": environment,
            "complexity": complexity,
            "model": model,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "estimated_cost": estimated_cost,
        }
        decision_id = new_decision_id()
        prepared = self._prepare(request)
        started = time.perf_counter_ns()

        def ask() -> Reply:
            nonlocal prepared
            reply = self._ask_check(decision_id, prepared)
            if reply.status == "STALE":
                self._reload()
            if reply.status in ("STALE", "WRONG_PERIOD", "COLD"):
                prepared = self._prepare(request)
            return reply

        try:
            reply = self._answered(ask)
        except GateUnavailable as problem:
            gate_us = (time.perf_counter_ns() - started) // 1000
            return unavailable(prepared, decision_id, utc_now(), str(problem), gate_us)
        answer = read_check(reply.raw, prepared.record.counters, prepared.record.rates)
        return conclude(prepared, decision_id, answer, (time.perf_counter_ns() - started) // 1000)

    def settle(
        self,
        decision: Decision | str,
        *,
        org_id: str | None = None,
        actual_cost: Decimal | str | int | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        success: bool = True,
    ) -> Micros:
        """Replace the decision's hold by what the call really cost, in the period of the hold.

        `decision` is what `check` answered, or its id: then pricing by tokens asks Redis once more. Give
        `actual_cost` in US dollars, or tokens, which the price book turns into a cost. Returns the cost in
        micro-dollars. Settling again with the same cost changes nothing; with another, or after a cancel, raises
        `SettleConflict`. Raises `UnknownDecision` for an id that was never allowed here, `GateUnavailable` when
        Redis does not answer: then call again.
        """
        self._check_org(org_id)
        decision_id = check_decision_id(decision.id if isinstance(decision, Decision) else decision)
        usage = {
            "input_tokens": check_tokens(input_tokens, "input_tokens") if input_tokens is not None else None,
            "output_tokens": check_tokens(output_tokens, "output_tokens") if output_tokens is not None else None,
        }
        if actual_cost is not None:
            actual = to_micros(actual_cost, "actual_cost")
        elif input_tokens is None and output_tokens is None:
            raise InvalidValue("actual_cost", "give the actual cost, or input_tokens and output_tokens to price")
        else:
            actual = self._price_tokens(decision, usage)
        body = json.dumps(usage, separators=(",", ":"))

        def ask() -> Reply:
            return self.gate.settle(
                self.org_id, decision_id=decision_id, actual_micros=actual, success=success, body=body
            )

        reply = self._answered(ask)
        if reply.status == "UNKNOWN":
            self._settle_late(decision_id, actual, success, body)
        elif reply.status == "CONFLICT":
            raise _conflict(decision_id, _STATE_WORDS[reply.raw[2]], int(reply.raw[3]))
        return actual

    def cancel(self, decision: Decision | str, *, org_id: str | None = None) -> None:
        """Say that the call never left: its hold and execution count are undone. Errors as in `settle`.

        `decision` is what `check` answered, or its id.
        """
        self._check_org(org_id)
        decision_id = check_decision_id(decision.id if isinstance(decision, Decision) else decision)
        reply = self._answered(lambda: self.gate.cancel(self.org_id, decision_id=decision_id))
        if reply.status == "UNKNOWN":
            raise UnknownDecision(f"decision_id: no open hold has the id {decision_id}")
        if reply.status == "CONFLICT":
            state = "expired" if reply.raw[2] == "X" else _STATE_WORDS[reply.raw[2]]
            raise _conflict(decision_id, state, int(reply.raw[3]))

    @contextlib.contextmanager
    def guard(self, agent_id: str, **request: Any) -> Iterator[GuardedCall]:
        """Check, then run the block with a call to settle. Raises `Denied` when the call may not happen.

        A block that neither settles nor cancels leaves its hold to expire, which charges the reserve.
        Takes the arguments of `check`.
        """
        decision = self.check(agent_id, **request)
        if not decision.allowed:
            raise Denied(decision)
        yield GuardedCall(self, decision, request.get("input_tokens"))

    def close(self) -> None:
        """Close connections, and end the private server if this service started it."""
        self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self, request: dict[str, Any]) -> PreparedCheck:
        return prepare(self.document, from_ms(self.gate.now_ms), request)

    def _ask_check(self, decision_id: str, prepared: PreparedCheck) -> Reply:
        return self.gate.check(
            self.org_id,
            document_version=prepared.record.document_version,
            decision_id=decision_id,
            reserve_micros=prepared.estimate.reserve_micros,
            hold_ms=self._settings.hold_seconds * 1000,
            denied=prepared.denied.value if prepared.denied else "",
            body=prepared.record.to_json(),
            pricing=prepared.pricing.to_text(),
            counters=prepared.record.counters,
            rates=prepared.record.rates,
        )

    def _answered(self, ask: Callable[[], Reply]) -> Reply:
        """Ask until the gate decides: it may want its state installed, or the question put anew."""
        deadline = time.monotonic() + COLD_PATIENCE_SECONDS
        repeats = 0
        while True:
            reply = ask()
            # STALE once more after the newest version was read: Redis holds the state of another ledger.
            if reply.status == "COLD" or (reply.status == "STALE" and repeats > 0):
                if time.monotonic() > deadline:
                    raise GateUnavailable("the organization's state is being rebuilt")
                self._warm_up()
            elif reply.status in ("STALE", "WRONG_PERIOD", "LATE"):
                repeats += 1
                if repeats > 5:
                    raise GateUnavailable(f"Redis answered {reply.status} {repeats} times")
            else:
                return reply

    def _warm_up(self) -> None:
        # One thread of a process installs the state; the others wait here and then find it.
        if self._warming.acquire(blocking=False):
            try:
                drain = LedgerDrain(self.database, self.gate, self.org_id, lease_seconds=self._settings.lease_seconds)
                if drain.rebuild_if_free():
                    return
            except (DatabaseError, DocumentError) as problem:
                raise GateUnavailable(str(problem)) from problem
            finally:
                self._warming.release()
        time.sleep(0.02)

    def _reload(self) -> None:
        try:
            with self.database.read() as connection:
                if live_version(connection, self.org_id) != self._live.version:
                    self._live = live_document(connection, self.org_id)
        except (DatabaseError, DocumentError) as problem:
            logger.warning("keeping document version %d: %s", self._live.version, problem)
        self._live_read = time.monotonic()

    def _check_org(self, org_id: str | None) -> None:
        if org_id is not None and org_id != self.org_id:
            raise InvalidValue("org_id", f"this service governs {self.org_id!r}, not {org_id!r}")

    def _price_tokens(self, decision: Decision | str, usage: dict[str, int | None]) -> Micros:
        if isinstance(decision, Decision):
            pricing = decision.pricing
        else:
            hold = self.gate.hold(self.org_id, decision)
            pricing = hold.pricing if hold is not None else self._stored_pricing(decision)
        try:
            return price_call(pricing.provider, pricing.complexity, **usage, model=pricing.model)
        except UnknownPrice as unknown:
            raise InvalidValue("actual_cost", f"must be given, because {unknown}") from None

    def _stored_pricing(self, decision_id: str) -> Pricing:
        with self.database.read() as connection:
            row = connection.execute(
                select(decisions).where(decisions.c.decision_id == decision_id, decisions.c.org_id == self.org_id)
            ).one_or_none()
        if row is None:
            raise UnknownDecision(f"decision_id: no decision has the id {decision_id}")
        return pricing_of(row)

    def _settle_late(self, decision_id: str, actual: Micros, success: bool, body: str) -> None:
        """Redis has forgotten the hold: leave the settle to the ledger writer, which knows it."""
        with self.database.write() as connection:
            row = connection.execute(
                select(decisions.c.state, decisions.c.spent_micros).where(
                    decisions.c.decision_id == decision_id, decisions.c.org_id == self.org_id
                )
            ).one_or_none()
            if row is None or row.state == "denied":
                raise UnknownDecision(f"decision_id: no allowed decision has the id {decision_id}")
            if row.state == "settled" and row.spent_micros == actual:
                return
            if row.state in ("settled", "cancelled"):
                raise _conflict(decision_id, row.state, row.spent_micros)
            connection.execute(
                insert_or(connection, pending_events)
                .values(
                    decision_id=decision_id,
                    org_id=self.org_id,
                    kind="settle",
                    payload={"actual_micros": actual, "success": success, "body": body},
                    created_at=utc_now(),
                )
                .on_conflict_do_nothing()
            )
            kept = connection.execute(
                select(pending_events.c.payload).where(pending_events.c.decision_id == decision_id)
            ).scalar_one()
            if kept["actual_micros"] != actual:
                raise _conflict(decision_id, "settled", kept["actual_micros"])


class GuardedCall:
    """An allowed call inside `guard`: settle or cancel it once its outcome is known."""

    def __init__(self, service: GovernanceService, decision: Decision, input_tokens: int | None) -> None:
        self._service = service
        self._input_tokens = input_tokens
        self.decision = decision

    def settle(
        self,
        *,
        actual_cost: Decimal | str | int | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        success: bool = True,
    ) -> Micros:
        """As `GovernanceService.settle`, for this call. Input tokens left out are those given to `guard`."""
        return self._service.settle(
            self.decision,
            actual_cost=actual_cost,
            input_tokens=self._input_tokens if input_tokens is None else input_tokens,
            output_tokens=output_tokens,
            success=success,
        )

    def cancel(self) -> None:
        """As `GovernanceService.cancel`, for this call."""
        self._service.cancel(self.decision.id)


def _conflict(decision_id: str, state: str, amount_micros: int) -> SettleConflict:
    if state == "settled":
        return SettleConflict(f"decision_id: {decision_id} is already settled at {format_usd(amount_micros)}")
    if state == "expired":
        return SettleConflict(f"decision_id: {decision_id} has expired and was charged {format_usd(amount_micros)}")
    return SettleConflict(f"decision_id: {decision_id} is already cancelled")

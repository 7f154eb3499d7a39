"""What a service does, step by step, without waiting itself: each flow yields what it needs and is sent the answer.

`GovernanceService` answers by blocking a thread, `AsyncGovernanceService` by suspending a task; both run these flows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from engine.admission.answers import CheckAnswer, read_check
from engine.admission.questions import Cancel, Hold, Idempotency, Peek, Question, Reply, Settle
from engine.admission.record import HoldRecord
from engine.core import COLD_REST_SECONDS, Core
from engine.decide import (
    PreparedCheck,
    conclude,
    in_outage,
    question_for,
    repeated,
    unavailable_answer,
    unavailable_message,
)
from engine.decision import Decision, ReasonCode
from engine.errors import (
    BursarError,
    DatabaseError,
    GateUnavailable,
    InvalidValue,
    KeyReused,
    PoolExhausted,
    SettleConflict,
    SpoolError,
    UnknownDecision,
)
from engine.fold import check_payload
from engine.ids import check_decision_id, new_decision_id, repeatable_decision_id
from engine.ledger.pending import PendingEvent
from engine.ledger.recorder import Entry
from engine.ledger.recount import pricing_of
from engine.money import Micros, format_usd, to_micros
from engine.pricing.basis import Pricing
from engine.pricing.estimator import UnknownPrice, check_tokens, price_call
from engine.request import Request, request_hash

MOST_REPEATS = 5
"""How often a question is put anew because the answer was that it must be."""
TOGETHER = 50
"""Questions sent in one go: the deadline is for all of them."""
_STATE_WORDS = {"S": "settled", "C": "cancelled", "X": "expired"}


class NotInTime(BursarError):
    """What was waited for has not come."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Put a question to the gate; the answer is its `Reply`, or `GateUnavailable` is raised."""

    question: Question


@dataclass(frozen=True, slots=True)
class AskMany:
    """Put questions to the gate together; the answer is a list of replies and `GateUnavailable` objects."""

    questions: Sequence[Question]


@dataclass(frozen=True, slots=True)
class Await:
    """Wait for a future, at most so long; `NotInTime` is raised then, and the future goes on."""

    future: Future[Any]
    seconds: float


T = TypeVar("T")
Flow = Generator[Ask | AskMany | Await, Any, T]


def check(core: Core, request: Request) -> Flow[Decision]:
    """Decide one call.

    1. Pure part: facts, policies, price, plan.
    2. Ask the gate; where its answer is that the question must be put anew, do so.
    3. Without an answer decide alone, within the limits of an outage, and keep that for the gate.
    """
    decision_id = new_decision_id()
    prepared = core.prepare(request.facts)
    idempotency = _idempotency(request)
    started = time.perf_counter_ns()
    try:
        prepared, reply = yield from _ask_check(core, request, prepared, decision_id, idempotency)
    except GateUnavailable as problem:
        return (yield from _decide_alone(core, prepared, decision_id, idempotency, problem, started))
    return _concluded(core, prepared, decision_id, reply, started)


def check_many(core: Core, requests: Sequence[Request]) -> Flow[list[Decision]]:
    """Decide several calls, asked together. All requests are validated first."""
    asked = []
    for request in requests:
        prepared = core.prepare(request.facts)
        asked.append((request, prepared, new_decision_id(), _idempotency(request)))
    started = time.perf_counter_ns()
    replies: list[Reply | GateUnavailable] = []
    for first in range(0, len(asked), TOGETHER):
        questions = [
            question_for(prepared, decision_id, core.hold_ms, key)
            for _, prepared, decision_id, key in asked[first : first + TOGETHER]
        ]
        try:
            if core.distrusts:
                yield from _trust_again(core)
            replies += yield AskMany(questions)
        except GateUnavailable as problem:
            replies += [problem for _ in questions]
    made: list[Decision] = []
    for (request, prepared, decision_id, idempotency), reply in zip(asked, replies, strict=True):
        if isinstance(reply, GateUnavailable):
            made.append((yield from _decide_alone(core, prepared, decision_id, idempotency, reply, started)))
        elif reply.status in ("STALE", "WRONG_PERIOD", "COLD", "LATE"):
            made.append((yield from check(core, request)))
        else:
            made.append(_concluded(core, prepared, decision_id, reply, started))
    return made


def settle(
    core: Core,
    decision: Decision | str,
    *,
    org_id: str | None,
    actual_cost: Decimal | str | int | None,
    input_tokens: int | None,
    output_tokens: int | None,
    success: bool,
) -> Flow[Micros]:
    """Replace a hold by what the call really cost."""
    core.check_org(org_id)
    decision_id = check_decision_id(decision.id if isinstance(decision, Decision) else decision)
    usage = {
        "input_tokens": None if input_tokens is None else check_tokens(input_tokens, "input_tokens"),
        "output_tokens": None if output_tokens is None else check_tokens(output_tokens, "output_tokens"),
    }
    if not isinstance(success, bool):
        raise InvalidValue("success", f"must be true or false, got {success!r}")
    if actual_cost is not None:
        actual = to_micros(actual_cost, "actual_cost")
    elif input_tokens is None and output_tokens is None:
        raise InvalidValue("actual_cost", "give the actual cost, or input_tokens and output_tokens to price")
    else:
        pricing = decision.pricing if isinstance(decision, Decision) else (yield from _pricing(core, decision_id))
        actual = _price(pricing, usage)
    body = json.dumps(usage, separators=(",", ":"))
    payload = {"actual_micros": actual, "success": success, "body": body}
    try:
        reply = yield from _decided(core, lambda: Settle(core.org_id, decision_id, actual, success, body))
    except GateUnavailable:
        yield from _keep_settle(core, decision_id, payload)
        return actual
    if reply.status == "UNKNOWN":
        yield from _settle_forgotten(core, decision_id, payload)
    elif reply.status == "CONFLICT":
        raise _conflict(decision_id, _STATE_WORDS[reply.raw[2]], int(reply.raw[3]))
    return actual


def cancel(core: Core, decision: Decision | str, *, org_id: str | None) -> Flow[None]:
    """Undo a hold and its execution count."""
    core.check_org(org_id)
    decision_id = check_decision_id(decision.id if isinstance(decision, Decision) else decision)
    try:
        reply = yield from _decided(core, lambda: Cancel(core.org_id, decision_id))
    except GateUnavailable:
        yield from _keep(core, core.pending(decision_id, "cancel", {}))
        return
    if reply.status == "CONFLICT":
        raise _conflict(decision_id, _STATE_WORDS[reply.raw[2]], int(reply.raw[3]))
    if reply.status == "UNKNOWN":
        row, waiting = yield from _look_up(core, decision_id)
        if (row is None and waiting is None) or (row is not None and row.state == "denied"):
            raise UnknownDecision(f"decision_id: no allowed decision has the id {decision_id}")
        if row is not None and row.state in ("settled", "expired"):
            raise _conflict(decision_id, row.state, row.spent_micros)
        if row is None or row.state == "held":
            yield from _keep(core, core.pending(decision_id, "cancel", {}))


def peek(core: Core, request: Request) -> Flow[tuple[PreparedCheck, Reply]]:
    """How counters and rate scopes of a call stand, without side effects. Raises `GateUnavailable`."""
    prepared = core.prepare(request.facts)
    reply = yield from _decided(core, lambda: Peek(prepared.plan))
    return prepared, reply


def warm_up(core: Core, seconds: float) -> Flow[None]:
    """See that the organization's state and newest document version are in Redis, if that can be done in time."""
    try:
        yield Await(core.rebuild(), seconds)
    except BursarError:
        # The first calls will see, and decide what to do about it.
        return


def _ask_check(
    core: Core, request: Request, prepared: PreparedCheck, decision_id: str, idempotency: Idempotency | None
) -> Flow[tuple[PreparedCheck, Reply]]:
    def question() -> Question:
        return question_for(prepared, decision_id, core.hold_ms, idempotency)

    def again() -> None:
        nonlocal prepared
        prepared = core.prepare(request.facts)

    reply = yield from _decided(core, question, again)
    return prepared, reply


def _decided(core: Core, question: Callable[[], Question], again: Callable[[], None] = lambda: None) -> Flow[Reply]:
    """Ask until the gate decides: it may want its state installed, or the question put anew (`again`)."""
    if core.distrusts:
        yield from _trust_again(core)
    reply: Reply = yield Ask(question())
    if reply.status not in ("STALE", "WRONG_PERIOD", "COLD", "LATE"):
        return reply
    deadline = time.monotonic() + core.settings.rebuild_patience_seconds
    repeats = stale = 0
    while True:
        repeats += 1
        stale += reply.status == "STALE"
        if reply.status == "STALE" and stale == 1:
            yield from _wait(core.reload(), core.settings.ledger_patience_seconds)
        elif reply.status in ("COLD", "STALE"):
            # STALE once more after the newest version was read: Redis holds the state of another ledger.
            yield from _wait_for_rebuild(core, deadline)
            repeats = 0
        if repeats > MOST_REPEATS:
            raise GateUnavailable(f"Redis answered {reply.status} {repeats} times")
        again()
        reply = yield Ask(question())
        if reply.status not in ("STALE", "WRONG_PERIOD", "COLD", "LATE"):
            return reply


def _trust_again(core: Core) -> Flow[None]:
    """After a lost connection: a server that came back with an older state must not decide.

    Takes no longer than asking would. Behind an open breaker nobody waits; the comparison closes it again.
    """
    deadline = time.monotonic() + core.gate.timeout_seconds
    while core.distrusts:
        comparison = core.verify()
        left = deadline - time.monotonic()
        if core.gate.breaker.is_open:
            raise GateUnavailable("Redis has not answered lately")
        if left <= 0:
            core.gate.breaker.failed()
            raise GateUnavailable("Redis' state could not be compared with the ledger in time")
        yield from _wait(comparison, left)


def _wait_for_rebuild(core: Core, deadline: float) -> Flow[None]:
    now = time.monotonic()
    if now >= deadline or now < core.waits_for_rebuild_from:
        core.waits_for_rebuild_from = max(core.waits_for_rebuild_from, now + COLD_REST_SECONDS)
        core.rebuild()
        raise GateUnavailable("the organization's state is being rebuilt")
    yield from _wait(core.rebuild(), deadline - now)


def _wait(future: Future[Any], seconds: float) -> Flow[None]:
    """Wait; whatever comes of it shows in the next answer of the gate."""
    try:
        yield Await(future, seconds)
    except (NotInTime, DatabaseError, GateUnavailable):
        return


def _concluded(core: Core, prepared: PreparedCheck, decision_id: str, reply: Reply, started: int) -> Decision:
    gate_us = (time.perf_counter_ns() - started) // 1000
    if reply.status == "REUSED":
        raise KeyReused("idempotency_key: was used for a call with other arguments; use a new key for a new call")
    if reply.status == "REPEATED":
        return repeated(prepared, reply, gate_us)
    answer = read_check(reply.now_ms, reply.raw[2], prepared.plan.counters, prepared.plan.rates)
    core.limits.note(prepared.plan, answer, prepared.estimate.reserve_micros)
    return conclude(prepared, decision_id, answer, gate_us)


def _decide_alone(
    core: Core,
    prepared: PreparedCheck,
    decision_id: str,
    idempotency: Idempotency | None,
    problem: GateUnavailable,
    started: int,
) -> Flow[Decision]:
    """Decide without the gate and keep that in the ledger for it (promise 6).

    1. What policies or prices deny stays denied. A process that is short of connections denies: that is no outage.
    2. The limits of an outage decide the rest.
    3. The decision is kept in SQL before the caller gets it. Where that fails, a call with a hard budget is denied and
       any other allowed call goes to the spool.
    """
    now_ms = core.clock.now_ms
    reserve = prepared.estimate.reserve_micros
    if prepared.denied is not None:
        prepared = in_outage(prepared, outage=str(problem))
        answer = CheckAnswer(prepared.denied or ReasonCode.POLICY_DENY, 0, now_ms)
    elif isinstance(problem, PoolExhausted):
        prepared = in_outage(prepared, outage=str(problem), denial=unavailable_message(str(problem)))
        answer = unavailable_answer(now_ms)
    else:
        verdict = core.limits.decide(prepared.plan, reserve, now_ms, core.hold_ms)
        denial = unavailable_message(verdict.denial or str(problem)) if not verdict.allowed else ""
        prepared = in_outage(prepared, outage=str(problem), denial=denial)
        answer = verdict.answer
    if idempotency is not None and answer.allowed:
        # A denied call did nothing, so its key stays free: only what is allowed must be found again.
        decision_id = repeatable_decision_id(core.org_id, idempotency.key)
    entry = core.recorder.record(_pending_check(core, prepared, decision_id, answer, idempotency))
    try:
        kept = yield Await(entry.kept, core.settings.ledger_patience_seconds)
    except (NotInTime, DatabaseError) as ledger_problem:
        prepared, answer = _unrecorded(core, prepared, decision_id, answer, idempotency, entry, ledger_problem)
        kept = None
    gate_us = (time.perf_counter_ns() - started) // 1000
    if kept is not None and idempotency is not None and answer.allowed:
        same_call = kept["idempotency"] == [idempotency.key, idempotency.request_hash]
        if not same_call or kept["decided_ms"] != answer.now_ms:
            # Another call under this key, or another try of this one, was first.
            core.limits.give_back(prepared.plan, reserve)
        if not same_call:
            raise KeyReused("idempotency_key: was used for a call with other arguments; use a new key for a new call")
        answer = read_check(kept["decided_ms"], kept["answer"], prepared.plan.counters, prepared.plan.rates)
    return conclude(prepared, decision_id, answer, gate_us)


def _unrecorded(
    core: Core,
    prepared: PreparedCheck,
    decision_id: str,
    answer: CheckAnswer,
    idempotency: Idempotency | None,
    entry: Entry,
    problem: BursarError,
) -> tuple[PreparedCheck, CheckAnswer]:
    """The ledger database did not take the decision in time."""
    if not answer.allowed:
        core.recorder.keep_trying(entry)
        return prepared, answer
    if not any(counter.hard for counter in prepared.plan.counters):
        try:
            core.recorder.spool.append(entry.event)
        except SpoolError as spool_problem:
            problem = spool_problem
        else:
            core.recorder.recover()
            return prepared, answer
    core.limits.give_back(prepared.plan, prepared.estimate.reserve_micros)
    words = "the decision cannot be recorded" if isinstance(problem, NotInTime) else str(problem)
    prepared = in_outage(prepared, outage=prepared.record.outage, denial=unavailable_message(words))
    answer = unavailable_answer(answer.now_ms)
    core.recorder.withdraw(entry, _pending_check(core, prepared, decision_id, answer, idempotency))
    return prepared, answer


def _pending_check(
    core: Core, prepared: PreparedCheck, decision_id: str, answer: CheckAnswer, idempotency: Idempotency | None
) -> PendingEvent:
    payload = check_payload(prepared.record, prepared.record.to_json(), answer, idempotency)
    return core.pending(decision_id, "check", payload)


def _keep_settle(core: Core, decision_id: str, payload: Mapping[str, Any]) -> Flow[None]:
    kept = yield from _keep(core, core.pending(decision_id, "settle", dict(payload)))
    if kept is not None and kept["actual_micros"] != payload["actual_micros"]:
        raise _conflict(decision_id, "settled", kept["actual_micros"])


def _keep(core: Core, event: PendingEvent) -> Flow[Mapping[str, Any] | None]:
    """Keep a fact for the gate: in SQL, else in the spool. Returns what SQL has of it, perhaps an earlier one."""
    entry = core.recorder.record(event)
    try:
        kept: Mapping[str, Any] = yield Await(entry.kept, core.settings.ledger_patience_seconds)
        return kept
    except (NotInTime, DatabaseError):
        core.recorder.spool.append(event)
        core.recorder.abandon(entry)
        core.recorder.recover()
        return None


def _settle_forgotten(core: Core, decision_id: str, payload: Mapping[str, Any]) -> Flow[None]:
    """Redis has forgotten the hold, or never had it: leave the settle to the ledger writer, which knows it."""
    row, waiting = yield from _look_up(core, decision_id)
    allowed = row is not None and row.state != "denied"
    if not allowed and not (waiting is not None and waiting["allowed"]):
        raise UnknownDecision(f"decision_id: no allowed decision has the id {decision_id}")
    if row is not None and row.state == "settled" and row.spent_micros == payload["actual_micros"]:
        return
    if row is not None and row.state in ("settled", "cancelled"):
        raise _conflict(decision_id, row.state, row.spent_micros)
    yield from _keep_settle(core, decision_id, payload)


def _look_up(core: Core, decision_id: str) -> Flow[tuple[Any, Any]]:
    """The decision as the ledger has it, and as it waits to be folded in."""
    try:
        found: tuple[Any, Any] = yield Await(core.find_decision(decision_id), core.settings.rebuild_patience_seconds)
        return found
    except NotInTime:
        raise DatabaseError("the ledger database did not answer in time; try again") from None


def _pricing(core: Core, decision_id: str) -> Flow[Pricing]:
    try:
        reply = yield Ask(Hold(core.org_id, decision_id))
        if reply.raw[2]:
            return HoldRecord.from_text(reply.raw[2]).pricing
    except GateUnavailable:
        pass
    row, waiting = yield from _look_up(core, decision_id)
    if row is not None:
        return pricing_of(row)
    if waiting is not None:
        return Pricing.from_text(waiting["pricing"])
    raise UnknownDecision(f"decision_id: no decision has the id {decision_id}")


def _price(pricing: Pricing, usage: Mapping[str, int | None]) -> Micros:
    try:
        return price_call(
            pricing.provider, pricing.complexity, usage["input_tokens"], usage["output_tokens"], pricing.model
        )
    except UnknownPrice as unknown:
        raise InvalidValue("actual_cost", f"must be given, because {unknown}") from None


def _idempotency(request: Request) -> Idempotency | None:
    return None if request.idempotency_key is None else Idempotency(request.idempotency_key, request_hash(request))


def _conflict(decision_id: str, state: str, amount_micros: int) -> SettleConflict:
    if state == "settled":
        return SettleConflict(f"decision_id: {decision_id} is already settled at {format_usd(amount_micros)}")
    if state == "expired":
        return SettleConflict(f"decision_id: {decision_id} has expired and was charged {format_usd(amount_micros)}")
    return SettleConflict(f"decision_id: {decision_id} is already cancelled")

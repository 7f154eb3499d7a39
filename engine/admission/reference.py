"""The gate's specification: what each question is answered and what it changes, in plain Python. Pure.

`lua/` does the same in Redis. A test drives both through the same histories and demands equal answers and states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.admission.plan import CallPlan
from engine.admission.questions import Cancel, Check, Fold, Hold, Install, Peek, Question, Reply, Settle, Sweep
from engine.admission.reference_state import (
    CANCELLED,
    CLOSED_HOLD_MS,
    DENIED,
    ENDED_COUNTER_MS,
    EXPIRE_HOLD,
    FORGET_COUNTER,
    FORGET_HOLD,
    HELD,
    SETTLED,
    Agenda,
    Answered,
    Counters,
    HeldCall,
    Holds,
    Organization,
    Total,
)

EXPIRED_BY_A_CHECK = 16
"""Things due that a check does on its way: few, so that no caller waits long."""

_PERIOD_WORDS = {"month": "monthly", "day": "daily"}

Answer = Sequence[str | int]
"""A status word and what follows it; the time is put between them."""


class ReferenceGate:
    """The gate of one process's own memory, with a clock from outside. One thread at a time."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._organizations: dict[str, Organization] = {}

    @property
    def now_ms(self) -> int:
        """The clock's time."""
        return self._clock()

    def organization(self, org_id: str) -> Organization:
        """What is kept of an organization."""
        known = self._organizations.get(org_id)
        if known is None:
            known = self._organizations[org_id] = Organization()
        return known

    def ask(self, question: Question, not_after_ms: int = 0) -> Reply:
        """Answer one question. After `not_after_ms` (0 = never) its asker is gone, and nothing is done for it."""
        now = self.now_ms
        org = self.organization(_org_id(question))
        org.forget_old_answers(now)
        if question.expires and 0 < not_after_ms < now:
            return Reply("LATE", now, ["LATE", now])
        status, *rest = _answer(org, question, now)
        return Reply(str(status), now, [status, now, *rest])

    def invalidate(self, org_id: str) -> None:
        """Make the organization's state COLD: nothing is written for it until it is installed anew."""
        self.organization(org_id).counters.epoch = None


def _org_id(question: Question) -> str:
    match question:
        case Check() | Fold() | Peek():
            return question.plan.org_id
        case Settle() | Cancel() | Hold() | Sweep() | Install():
            return question.org_id
        case _:
            raise TypeError(f"the gate has no answer to {question!r}")


def _answer(org: Organization, question: Question, now: int) -> Answer:
    match question:
        case Check():
            return _check(org, question, now)
        case Settle():
            return _settle(org, question, now)
        case Cancel():
            return _cancel(org, question, now)
        case Fold():
            return _fold(org, question, now)
        case Peek():
            return _peek(org, question, now)
        case Hold():
            return _hold(org, question)
        case Sweep():
            return _sweep(org, question, now)
        case Install():
            return _install(org, question, now)
        case _:
            raise TypeError(f"the gate has no answer to {question!r}")


def _check(org: Organization, check: Check, now: int) -> Answer:
    plan, idempotency = check.plan, check.idempotency
    if now < check.not_before_ms:
        return ["WRONG_PERIOD"]
    # A newer document may count other things: its counters are worked out from the ledger first.
    if org.is_cold or org.counters.document_version < check.document_version:
        return ["COLD"]
    if org.counters.document_version > check.document_version:
        return ["STALE"]
    if idempotency is not None and (answered := org.answers.get(idempotency.key)) is not None:
        if answered.request_hash != idempotency.request_hash:
            return ["REUSED"]
        decided = org.holds.calls.get(answered.decision_id)
        # A cancelled call never left: its key is free again.
        if decided is None or decided.state != CANCELLED:
            return ["REPEATED", answered.decision_id, answered.decided_ms, answered.expires_ms]
    if check.decision_id in org.holds.calls:
        # Its caller has given up on this check and gone another way.
        return ["LATE"]
    if plan.counters and not plan.from_ms <= now < plan.until_ms:
        return ["WRONG_PERIOD"]
    org.do_what_is_due(now, EXPIRED_BY_A_CHECK)

    totals = [org.counters.read(name) for name in plan.counter_names]
    rated = [org.windows_of(rate.name).reading(now, rate.limits) for rate in plan.rates]
    reason, denied_by = _verdict(check, totals, [full for _, _, full in rated])
    wait = _longest([wait for _, wait, _ in rated])
    allowed = reason == "allowed"
    expires = now + check.hold_ms if allowed else 0
    used = " ".join(["{}:{}:{}".format(*usage) for usage, _, _ in rated])
    answer = f"{reason} {denied_by} {wait} {expires}|{_counted(totals)}|{used}"
    if allowed or not 0 < check.stream_cap <= len(org.events.kept):
        org.events.append(now, k="check", d=check.decision_id, t=now, a=answer, b=check.body)
    else:
        org.count_denial(now, reason, check.alike, check.estimate_micros)
    if allowed:
        hold = HeldCall(HELD, check.reserve_micros, 0, check.pricing, plan.counter_names)
        for counter in plan.counters:
            if org.counters.read(counter.name).executions == 0:
                org.agenda.put(FORGET_COUNTER, counter.name, counter.period.end_ms + ENDED_COUNTER_MS)
        _open_hold(org, check.decision_id, hold, expires)
        for rate in plan.rates:
            org.windows_to_count_in(rate.name).hit(now)
        if idempotency is not None:
            answered = Answered(idempotency.request_hash, check.decision_id, now, expires)
            org.remember_answer(idempotency.key, answered, now, instead=True)
    return ["ALLOWED" if allowed else "DENIED", answer]


def _verdict(check: Check, totals: Sequence[Total], full_windows: Sequence[str]) -> tuple[str, int]:
    """The reason, and the position of what denied: from 1 among counters or rate scopes, 0 for none of them.

    What was decided before comes first, then costs, executions and rates. A soft budget denies nothing.
    """
    if check.denied:
        return check.denied, 0
    counters = [
        (position, counter, total)
        for position, (counter, total) in enumerate(zip(check.plan.counters, totals, strict=True), start=1)
        if counter.hard
    ]
    for position, counter, total in counters:
        limit = counter.limit_micros
        if limit is not None and total.spent_micros + total.held_micros + check.reserve_micros > limit:
            return f"budget_{_PERIOD_WORDS[counter.period.kind]}_cost", position
    for position, counter, total in counters:
        if counter.execution_limit is not None and total.executions + 1 > counter.execution_limit:
            return f"budget_{_PERIOD_WORDS[counter.period.kind]}_executions", position
    for position, full in enumerate(full_windows, start=1):
        if full:
            return full, position
    return "allowed", 0


def _settle(org: Organization, settle: Settle, now: int) -> Answer:
    if org.is_cold:
        return ["COLD"]
    hold = _known_hold(org, settle.decision_id, settle.record)
    if hold is None:
        return ["UNKNOWN"]
    if hold.state == SETTLED and hold.charged_micros == settle.actual_micros:
        return ["SAME", settle.actual_micros]
    if hold.state in {SETTLED, CANCELLED}:
        return ["CONFLICT", hold.state, hold.charged_micros]
    org.events.append(
        now, k="settle", d=settle.decision_id, t=now, m=settle.actual_micros, s=int(settle.success), h=str(hold),
        b=settle.body, p="1" if settle.waited else "",
    )  # fmt: skip
    org.close(settle.decision_id, hold, SETTLED, settle.actual_micros, now)
    if settle.record:
        org.keep_a_while(hold, now)
    return ["SETTLED", settle.actual_micros]


def _cancel(org: Organization, cancel: Cancel, now: int) -> Answer:
    if org.is_cold:
        return ["COLD"]
    hold = _known_hold(org, cancel.decision_id, cancel.record)
    if hold is None:
        return ["UNKNOWN"]
    if hold.state == CANCELLED:
        return ["SAME"]
    if hold.state != HELD:
        return ["CONFLICT", hold.state, hold.charged_micros]
    _cancel_hold(org, cancel.decision_id, hold, now, waited=cancel.waited)
    if cancel.record:
        org.keep_a_while(hold, now)
    return ["CANCELLED"]


def _fold(org: Organization, fold: Fold, now: int) -> Answer:
    if org.is_cold:
        return ["COLD"]
    stands = org.holds.calls.get(fold.decision_id)
    if stands is not None:
        if stands.state != HELD or fold.allowed:
            return ["SAME"]
        # The gate had allowed what its caller, who got no answer, took for a denial.
        _cancel_hold(org, fold.decision_id, stands, now, waited=True)
        return ["UNDONE"]
    lost = org.holds.calls.get(fold.asked_id)
    if lost is not None and lost.state == HELD:
        # The gate had allowed the call, but its answer was lost: its caller knows another hold by now.
        _cancel_hold(org, fold.asked_id, lost, now, waited=False)
    else:
        lost = None
    org.events.append(now, k="check", d=fold.decision_id, t=fold.decided_ms, a=fold.answer, b=fold.body, p="1")
    if not fold.allowed:
        org.holds.calls[fold.decision_id] = HeldCall(DENIED, 0, 0, "-", ())
        org.agenda.put(FORGET_HOLD, fold.decision_id, now + CLOSED_HOLD_MS)
        return ["FOLDED"]
    for counter in fold.plan.counters:
        # Its period may be long over.
        at = max(counter.period.end_ms, now) + ENDED_COUNTER_MS
        org.agenda.put(FORGET_COUNTER, counter.name, at)
    _open_hold(org, fold.decision_id, HeldCall.from_text(fold.record), fold.expires_ms)
    for rate in () if lost else fold.plan.rates:
        org.windows_to_count_in(rate.name).hit_late(fold.decided_ms)
    if fold.idempotency is not None:
        answered = Answered(fold.idempotency.request_hash, fold.decision_id, fold.decided_ms, fold.expires_ms)
        org.remember_answer(fold.idempotency.key, answered, now, instead=lost is not None)
    return ["FOLDED"]


def _peek(org: Organization, peek: Peek, now: int) -> Answer:
    if org.is_cold:
        return ["COLD"]
    waits = [org.windows_of(rate.name).wait(now, rate.limits)[0] for rate in peek.plan.rates]
    totals = [org.counters.read(name) for name in peek.plan.counter_names]
    return ["SEEN", _counted(totals), _rated(org, peek.plan, now), " ".join(map(str, waits))]


def _hold(org: Organization, question: Hold) -> Answer:
    hold = org.holds.calls.get(question.decision_id)
    return ["HOLD", "" if hold is None else str(hold)]


def _sweep(org: Organization, sweep: Sweep, now: int) -> Answer:
    if org.is_cold:
        return ["COLD"]
    epoch = org.counters.epoch
    assert epoch is not None
    return ["SWEPT", org.do_what_is_due(now, sweep.most), org.counters.document_version, epoch]


def _install(org: Organization, install: Install, now: int) -> Answer:
    # A state worked out from the ledger lacks what the ledger has not read.
    if org.events.kept and org.events.kept[-1].event_id > install.cursor:
        return ["UNDRAINED"]
    if (org.holds.epoch or 0) >= install.epoch:
        return ["OUTDATED"]
    denials = org.counters.denials
    org.counters = Counters(install.epoch, install.document_version, install.expired_holds)
    org.holds = Holds(install.epoch)
    org.agenda = Agenda(install.epoch)
    for counter in install.counters:
        org.counters.totals[counter.name] = Total(counter.spent_micros, counter.held_micros, counter.executions)
        org.agenda.put(FORGET_COUNTER, counter.name, counter.end_ms + ENDED_COUNTER_MS)
    for hold in install.holds:
        org.holds.calls[hold.decision_id] = HeldCall.from_text(hold.record)
        org.agenda.put(EXPIRE_HOLD, hold.decision_id, hold.expires_ms)
    org.events.go_on_after(install.cursor)
    # Denials that are counted but not told yet outlive the state that they were counted in.
    for name in sorted(denials):
        org.tell_denials(now, name, denials[name])
    return ["INSTALLED"]


def _open_hold(org: Organization, decision_id: str, hold: HeldCall, expires_ms: int) -> None:
    for name in hold.counters:
        total = org.counters.change(name)
        total.held_micros += hold.reserve_micros
        total.executions += 1
    org.holds.calls[decision_id] = hold
    org.agenda.put(EXPIRE_HOLD, decision_id, expires_ms)


def _cancel_hold(org: Organization, decision_id: str, hold: HeldCall, now: int, *, waited: bool) -> None:
    org.events.append(now, k="cancel", d=decision_id, t=now, m=0, h=str(hold), p="1" if waited else "")
    org.close(decision_id, hold, CANCELLED, 0, now)


def _known_hold(org: Organization, decision_id: str, record: str) -> HeldCall | None:
    """The hold as the gate knows it, else as the ledger does; `None` for a call that was never allowed."""
    hold = org.holds.calls.get(decision_id)
    if hold is None and record:
        hold = HeldCall.from_text(record)
    return None if hold is None or hold.state == DENIED else hold


def _counted(totals: Sequence[Total]) -> str:
    return " ".join(map(str, totals))


def _rated(org: Organization, plan: CallPlan, now: int) -> str:
    return " ".join("{}:{}:{}".format(*org.windows_of(rate.name).usage(now)) for rate in plan.rates)


def _longest(waits: Sequence[int]) -> int:
    return -1 if -1 in waits else max(waits, default=0)

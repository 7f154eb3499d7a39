"""Deciding while Redis is away: what one process may still allow by itself. No input or output.

Rate limits: `local` gives this process its share of the limit, on top of what it last saw used; `open` lets calls pass,
`closed` none. Hard budgets: `bounded` lets this process spend a small share of the limit, and never beyond what it last
saw left; `closed` nothing. Soft budgets let calls pass. (Guide, Graceful Degradation; promise 6.)
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from decimal import Decimal

from engine.admission.answers import CheckAnswer, read_counter, read_rate
from engine.admission.plan import CallPlan, PlannedCounter, PlannedRate
from engine.admission.windows import RollingWindows
from engine.decision import COST_REASONS, EXECUTION_REASONS, ReasonCode

QUIET_MS = 60_000
"""When Redis answers so long after the last outage decision, its numbers have it all: the allowance starts anew."""
MOST_PLANS = 10_000
MOST_SCOPES = 100_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What this process decides by itself. `denial` is the sentence of a denial that no counter or window explains."""

    answer: CheckAnswer
    denial: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the call may happen."""
        return self.answer.allowed


@dataclass(frozen=True, slots=True)
class _Seen:
    """What Redis last said of one counter."""

    spent_micros: int = 0
    held_micros: int = 0
    executions: int = 0


@dataclass(slots=True)
class _Own:
    """What this process has allowed of one counter since then."""

    micros: int = 0
    executions: int = 0


class OutageLimits:
    """The limits of this process while Redis is away. Safe to share between threads.

    `rate_share` is the part of a rate limit that this process admits by itself: 1 / number of processes.
    """

    def __init__(self, rate_share: float = 0.25) -> None:
        self._share = Decimal(str(rate_share))
        self._lock = threading.Lock()
        self._noted: dict[CallPlan, tuple[int, bool, int, str, str]] = {}
        self._seen: dict[str, _Seen] = {}
        self._own: dict[str, _Own] = {}
        self._windows: dict[str, RollingWindows] = {}
        self._own_windows: dict[str, RollingWindows] = {}
        self._last_ms = 0

    def note(self, plan: CallPlan, answer: CheckAnswer, reserve_micros: int) -> None:
        """Remember what Redis answered to a call with this reserve; looked at only in an outage."""
        if len(self._noted) >= MOST_PLANS:
            self._noted = {}
        # Plain values: there is one for every user, and the garbage collector need not follow them.
        self._noted[plan] = answer.now_ms, answer.allowed, reserve_micros, answer.counted, answer.rated

    def decide(self, plan: CallPlan, reserve_micros: int, now_ms: int, hold_ms: int) -> Verdict:
        """Decide one call and, when it may happen, count it."""
        with self._lock:
            self._catch_up()
            self._last_ms = now_ms
            verdict = self._test(plan, reserve_micros, now_ms, hold_ms)
            if verdict.allowed:
                self._count(plan, reserve_micros, now_ms)
            return verdict

    def give_back(self, plan: CallPlan, reserve_micros: int) -> None:
        """A call that was allowed could not be recorded and does not happen. The windows keep the request."""
        with self._lock:
            for counter in plan.counters:
                own = self._own.get(counter.name)
                if own is not None:
                    own.micros -= reserve_micros
                    own.executions -= 1

    def after_fork(self) -> None:
        """In the child of a fork: a lock held by another thread of the parent would never be given back."""
        self._lock = threading.Lock()

    def _catch_up(self) -> None:
        """Take in what Redis has said since. Long enough after the last outage it has all of it: start anew."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        answers = sorted(noted.items(), key=lambda item: item[1][0])
        if answers[-1][1][0] > self._last_ms + QUIET_MS:
            for kept in (self._own, self._own_windows, self._windows, self._seen):
                kept.clear()
        for plan, (at_ms, allowed, reserve, counted, rated) in answers:
            # Readings are from before the call.
            added, hit = (reserve, 1) if allowed else (0, 0)
            for counter in map(read_counter, plan.counters, counted.split()):
                self._seen[counter.name] = _Seen(
                    counter.spent_micros, counter.held_micros + added, counter.executions + hit
                )
            for planned, rate in zip(plan.rates, map(read_rate, plan.rates, rated.split()), strict=False):
                windows = RollingWindows()
                windows.preload(at_ms, rate.used)
                if hit:
                    windows.hit(at_ms)
                self._windows[planned.name] = windows

    def _test(self, plan: CallPlan, reserve: int, now_ms: int, hold_ms: int) -> Verdict:
        counted = [self._reading(counter) for counter in plan.counters]
        rated = [_text(self._usage(rate, now_ms)) for rate in plan.rates]
        reason, denied_by, wait, denial = ReasonCode.ALLOWED, 0, 0, ""
        if len(self._own) + len(self._own_windows) > MOST_SCOPES:
            reason, denial = (
                ReasonCode.GATE_UNAVAILABLE,
                "this process has too many counters to watch while Redis is away",
            )
        for index, counter in enumerate(plan.counters, 1):
            if counter.hard and reason is ReasonCode.ALLOWED:
                own, reading = self._own.get(counter.name, _Own()), read_counter(counter, counted[index - 1])
                allowance = counter.outage_allowance
                if reading.exceeds_cost(reserve):
                    reason, denied_by = COST_REASONS[counter.period.kind], index
                elif reading.exceeds_executions:
                    reason, denied_by = EXECUTION_REASONS[counter.period.kind], index
                elif (
                    allowance is None
                    or _passes(own.micros + reserve, counter.limit_micros, allowance)
                    or _passes(own.executions + 1, counter.execution_limit, allowance)
                ):
                    reason = ReasonCode.GATE_UNAVAILABLE
                    denial = f"budget '{counter.budget_id}' allows this process no more while Redis is away"
        for index, rate in enumerate(plan.rates, 1):
            if reason is ReasonCode.ALLOWED and rate.outage_mode != "open":
                if rate.outage_mode == "closed":
                    reason = ReasonCode.GATE_UNAVAILABLE
                    denial = f"rate limit '{rate.rate_limit_id}' lets no call pass while Redis is away"
                    continue
                wait, full = self._wait(rate, now_ms)
                if full:
                    reason, denied_by = ReasonCode(full), index
        expires = now_ms + hold_ms if reason is ReasonCode.ALLOWED else 0
        answer = CheckAnswer(
            reason, denied_by, now_ms, wait, expires, " ".join(counted), " ".join(rated), plan.counters, plan.rates
        )
        return Verdict(answer, denial)

    def _count(self, plan: CallPlan, reserve: int, now_ms: int) -> None:
        for counter in plan.counters:
            own = self._own.setdefault(counter.name, _Own())
            own.micros += reserve
            own.executions += 1
        for rate in plan.rates:
            self._own_windows.setdefault(rate.name, RollingWindows()).hit(now_ms)
            if rate.name in self._windows:
                self._windows[rate.name].hit(now_ms)

    def _reading(self, counter: PlannedCounter) -> str:
        seen, own = self._seen.get(counter.name, _Seen()), self._own.get(counter.name, _Own())
        return f"{seen.spent_micros}:{seen.held_micros + own.micros}:{seen.executions + own.executions}"

    def _usage(self, rate: PlannedRate, now_ms: int) -> tuple[int, int, int]:
        windows = self._windows.get(rate.name) or self._own_windows.get(rate.name)
        return windows.usage(now_ms) if windows else (0, 0, 0)

    def _wait(self, rate: PlannedRate, now_ms: int) -> tuple[int, str]:
        minute, hour, day = rate.limits
        own_limits = (self._own_limit(minute), self._own_limit(hour), self._own_limit(day))
        wait, full = self._own_windows.get(rate.name, RollingWindows()).wait(now_ms, own_limits)
        if rate.name in self._windows:
            seen_wait, seen_full = self._windows[rate.name].wait(now_ms, rate.limits)
            wait = -1 if -1 in (wait, seen_wait) else max(wait, seen_wait)
            full = full or seen_full
        return wait, full

    def _own_limit(self, limit: int | None) -> int | None:
        return limit if not limit else max(1, int(limit * self._share))


def _passes(use: int, limit: int | None, allowance: Decimal) -> bool:
    return limit is not None and use > int(limit * allowance)


def _text(usage: tuple[int, int, int]) -> str:
    return ":".join(map(str, usage))

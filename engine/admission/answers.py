"""What the scripts of the gate answer, as types. Pure: also reads the same texts back from the event stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from engine.admission.plan import PlannedCounter, PlannedRate
from engine.decision import EXECUTION_REASONS, RATE_REASONS, WINDOWS, CounterReading, RateReading, ReasonCode
from engine.money import format_usd

_REASONS = {reason.value: reason for reason in ReasonCode}


@dataclass(frozen=True)
class CheckAnswer:
    """The gate's answer to a check: `reason` says whether and why; readings are from before the call.

    `counted` and `rated` are the readings as texts, of `planned_counters` and `planned_rates`: few callers look.
    """

    reason: ReasonCode
    denied_by: int
    now_ms: int
    wait_ms: int = 0
    expires_ms: int = 0
    counted: str = ""
    rated: str = ""
    planned_counters: Sequence[PlannedCounter] = ()
    planned_rates: Sequence[PlannedRate] = ()

    @cached_property
    def counters(self) -> tuple[CounterReading, ...]:
        """Every budget counter that was tested."""
        return tuple(map(read_counter, self.planned_counters, self.counted.split()))

    @cached_property
    def rates(self) -> tuple[RateReading, ...]:
        """Every rate scope that was tested."""
        return tuple(map(read_rate, self.planned_rates, self.rated.split()))

    def to_text(self) -> str:
        """As `check.lua` says it."""
        verdict = f"{self.reason.value} {self.denied_by} {self.wait_ms} {self.expires_ms}"
        return f"{verdict}|{self.counted}|{self.rated}"

    def message(self, reserve_micros: int, denial: str) -> str:
        """The sentence for a person. `denial` is the sentence of a denial that no counter or window explains."""
        reason = self.reason
        if reason is ReasonCode.ALLOWED:
            return "Allowed"
        if self.denied_by == 0:
            return denial
        if reason in RATE_REASONS:
            index = RATE_REASONS.index(reason)
            rate = self.rates[self.denied_by - 1]
            wait = self.retry_after_seconds
            again = f"; try again in {wait} s" if wait is not None else ""
            return (
                f"Rate limit '{rate.rate_limit_id}' of {rate.per} {rate.scope!r} is reached: "
                f"{rate.used[index]} of {rate.limits[index]} requests per {WINDOWS[index]}{again}"
            )
        counter = self.counters[self.denied_by - 1]
        period = "Monthly" if counter.period == "month" else "Daily"
        if reason in EXECUTION_REASONS.values():
            return (
                f"{period} execution limit of budget '{counter.budget_id}' would be exceeded: "
                f"{counter.executions + 1} > {counter.execution_limit}"
            )
        projected = counter.projected_micros(reserve_micros)
        limit = counter.limit_micros or 0
        shown = (format_usd(projected), format_usd(limit))
        if shown[0] == shown[1]:
            shown = (format_usd(projected, exact=True), format_usd(limit, exact=True))
        return f"{period} budget '{counter.budget_id}' would be exceeded: {shown[0]} > {shown[1]}"

    @property
    def allowed(self) -> bool:
        """Whether the call may happen; then its reserve is held until `expires_ms`."""
        return self.reason is ReasonCode.ALLOWED

    @property
    def retry_after_seconds(self) -> int | None:
        """Whole seconds after which only time stands between the caller and a yes; `None` when waiting is no cure."""
        if self.reason.group != "rate_limit" or self.wait_ms < 0:
            return None
        return max(1, -(-self.wait_ms // 1000))


def read_check(now_ms: int, text: str, counters: Sequence[PlannedCounter], rates: Sequence[PlannedRate]) -> CheckAnswer:
    """Type the answer of `check.lua` or of an event; `counters` and `rates` are what was asked."""
    verdict, counted, rated = text.split("|")
    reason, denied_by, wait, expires = verdict.split()
    return CheckAnswer(
        _REASONS[reason], int(denied_by), now_ms, int(wait), int(expires), counted, rated, counters, rates
    )


def read_counter(planned: PlannedCounter, text: str) -> CounterReading:
    """Type one `spent:held:executions`."""
    spent, held, executions = map(int, text.split(":"))
    return CounterReading(
        budget_id=planned.budget_id,
        scope=planned.scope,
        period=planned.period.kind,
        period_label=planned.period.label,
        limit_micros=planned.limit_micros,
        execution_limit=planned.execution_limit,
        spent_micros=spent,
        held_micros=held,
        executions=executions,
        hard=planned.hard,
        warning_micros=planned.warning_micros,
        degradation_micros=planned.degradation_micros,
    )


def read_rate(planned: PlannedRate, text: str) -> RateReading:
    """Type one `minute:hour:day`."""
    minute, hour, day = map(int, text.split(":"))
    return RateReading(planned.rate_limit_id, planned.per, planned.scope, (minute, hour, day), planned.limits)

"""When rules are evaluated: the ends of the windows that are due. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from engine.alerting.rules import Rule

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MOST_MINUTES = 60
MOST_HOURS = 48
"""Slots that are made up for one by one after an absence: nobody is helped by an alert about a week ago."""
LONGEST_ABSENCE = timedelta(hours=47)
"""So far back it is made up for in wider steps: as long as minutes are kept, less an hour at their end."""
MOST_STEPS = 576
"""Of those wider steps: the two days in steps of 5 minutes, the window of most rules."""
_STEPS = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 3, 5))
"""They begin with the hour, so that the end of a local day is one of them."""

BY_THE_CLOCK = frozenset(
    (
        "fail_open_seconds",
        "ledger_lag_seconds",
        "redis_evicted_keys",
        "redis_evicting_policy",
        "credential_age_days",
        "watchdog",
    )
)
"""They must speak when the ledger cannot, so they do not wait for it."""
HOURLY = frozenset(
    (
        "budget_forecast_percentage",
        "budget_days_uncovered",
        "cost_variance_percentage",
        "spend_anomaly_usd",
        "unsettled_percentage",
    )
)
"""They are about days; an hour more or less changes little, and they read a lot."""
_AS_OF_NOW = BY_THE_CLOCK | {"cost_variance_percentage", "budget_remaining_usd"}
"""What they measure is what is true now, whatever the slot: nothing is learned about the past."""


def needs_ledger(rule: Rule) -> bool:
    """Whether its slots wait until the ledger is drained past them; the others are judged by the clock."""
    return rule.metric not in BY_THE_CLOCK


def step_of(rule: Rule) -> timedelta:
    """The time from one evaluation to the next: a minute or an hour."""
    return HOUR if rule.metric in HOURLY else MINUTE


def slots(rule: Rule, last: datetime | None, ready_through: datetime) -> list[datetime]:
    """The ends of the slots to evaluate now, oldest first: whole minutes or hours of UTC in `(last, ready_through]`.

    `last` is the newest one evaluated; None for a rule that never was, which begins with the newest slot alone.
    `ready_through` is `drained_through` of a rule that needs the ledger, and else the clock.

    After a long absence the newest 60 minutes or 48 hours are made up for one by one. What rules see in minutes is
    besides looked at in wider steps (`_wider_steps`), back to the two days for which minutes are kept. Of metrics that
    say what is true now (Redis, the ledger's lag, what is left of a budget, the stored variance) only the newest slot
    is evaluated: another would say the same again, and a rule with `for` would take that for time in which it held.
    """
    step = step_of(rule)
    newest = _floor(ready_through, step)
    if last is None:
        return [newest]
    since = _floor(last, step)
    due = (newest - since) // step
    most = 1 if rule.metric in _AS_OF_NOW else MOST_HOURS if step == HOUR else MOST_MINUTES
    one_by_one = [newest - step * back for back in range(min(due, most) - 1, -1, -1)]
    if due <= MOST_MINUTES or step == HOUR or rule.metric in _AS_OF_NOW:
        return one_by_one
    return _wider_steps(rule, max(since, newest - LONGEST_ABSENCE), one_by_one[0]) + one_by_one


def _wider_steps(rule: Rule, since: datetime, until: datetime) -> list[datetime]:
    """The slots in `(since, until)`, so far apart that they are few, and every minute is in the window of one of them.

    They are at most as far apart as the rule's window is long, and as its `for`: what held so long is seen twice. So a
    rule with a window of less than 5 minutes looks back less far than the two days: `MOST_STEPS` of its windows.
    """
    window = rule.window if isinstance(rule.window, timedelta) else max(_STEPS)
    longest = min(window, rule.hold or window)
    allowed = [step for step in _STEPS if step <= longest] or [MINUTE]
    step = next((step for step in allowed if (until - since) // step <= MOST_STEPS), allowed[-1])
    newest = until - (until - until.replace(minute=0)) % step
    slots_back = (newest - step * number for number in range(MOST_STEPS + 1))
    return sorted(slot for slot in slots_back if since < slot < until)[-MOST_STEPS:]


def _floor(instant: datetime, step: timedelta) -> datetime:
    utc = instant.astimezone(UTC).replace(second=0, microsecond=0)
    return utc.replace(minute=0) if step == HOUR else utc

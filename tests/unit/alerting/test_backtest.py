"""What a rule would have done over values of the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.alerting.alert import observed
from engine.alerting.backtest import Outcome, outcome_of, replay
from engine.alerting.rules import Rule
from engine.document.schema import AlertsSpec, GovernanceDocument

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DOCUMENT = GovernanceDocument(
    organization="acme",
    alerts=AlertsSpec.model_validate({"channels": {"c": {"log": True}}, "routes": {"critical": ["c"]}}),
)


def tried(values: list[int], *, start: datetime = START, **rule: Any) -> Outcome:
    """The rule `> 50` over these values, a minute apart."""
    chosen = Rule("r", "policy_deny_count", Decimal(50), ">", severity="critical", route="critical", **rule)
    slots: list[Any] = [(START + number * MINUTE, {(): observed(value)}) for number, value in enumerate(values)]
    return outcome_of(replay(chosen, DOCUMENT, slots), start, START + len(values) * MINUTE, MINUTE)


def test_how_often_how_long_and_how_high() -> None:
    outcome = tried([0, 60, 70, *[0] * 10, 51, *[60] * 9, *[0] * 10, 99, 99])
    assert [(each.fired_at - START, each.lasted, each.peak) for each in outcome.episodes] == [
        (MINUTE, 2 * MINUTE, Decimal(70)),
        (13 * MINUTE, 10 * MINUTE, Decimal(60)),
        (33 * MINUTE, None, Decimal(99)),
    ]
    # Until the value was good again, not until the alert was over five minutes later.
    assert outcome.short == 1
    assert outcome.episodes[0].resolved_at == START + 8 * MINUTE
    # Three first messages and two that it was over.
    assert (outcome.notifications, outcome.near_misses, outcome.flaps) == (5, 0, 0)


def test_near_misses_and_flaps_are_counted() -> None:
    outcome = tried([60, 0, 60, 60, 60, 0, 60, 0, *[0] * 6], hold=2 * MINUTE)
    assert (len(outcome.episodes), outcome.near_misses, outcome.flaps) == (1, 1, 1)
    assert outcome.episodes[0].lasted == 3 * MINUTE


def test_what_fired_before_the_time_asked_for_is_not_of_it() -> None:
    assert tried([60, *[0] * 10, 60, 60], start=START + MINUTE).episodes[0].fired_at == START + 11 * MINUTE


def test_groups_fire_apart() -> None:
    rule = Rule("r", "policy_deny_count", Decimal(50), ">", group_by=("agent",))
    first, second = (("agent", "a"),), (("agent", "b"),)
    slots: list[Any] = [(START + n * MINUTE, {first: observed(60), second: observed(n)}) for n in range(5)]
    outcome = outcome_of(replay(rule, DOCUMENT, slots), START, START + 5 * MINUTE, MINUTE)
    assert [dict(each.group) for each in outcome.episodes] == [{"agent": "a"}]

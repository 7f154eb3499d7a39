"""The life of an alert, row by row of its table."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from engine.alerting.alert import Alert, Ending, NoData, State, alert_key, observed
from engine.alerting.lifecycle import advance, end, fire
from engine.document.alert_rules import Comparison
from tests.unit.alerting.life import HOUR, MINUTE, RULE, SILENCED, START, Life

FIRST = ["first_message breached"]
OVER = ["parent_edit over", "resolve_line over"]


def test_inactive_and_a_breach_with_for_0_fires_with_the_first_message() -> None:
    life = Life()
    assert life.sees(51) == FIRST
    assert (life.alert.state, life.alert.episode, life.alert.fired_at) == (State.FIRING, 1, START)


def test_inactive_and_a_breach_with_for_above_0_is_pending_and_tells_nobody() -> None:
    life = Life(hold=MINUTE)
    assert life.sees(51) == []
    assert (life.alert.state, life.alert.episode) == (State.PENDING, 0)


def test_pending_held_for_long_enough_fires_with_the_first_message() -> None:
    life = Life(hold=MINUTE)
    life.sees(51)
    assert life.wait(MINUTE - timedelta(microseconds=1)).sees(51) == []
    assert life.wait(timedelta(microseconds=1)).sees(51) == FIRST
    assert life.is_now(State.FIRING)


def test_pending_and_clear_is_inactive_and_counted_as_a_near_miss() -> None:
    life = Life(hold=MINUTE)
    life.sees(51)
    assert life.wait(MINUTE / 2).sees(0) == ["near_miss cleared_too_soon"]
    assert (life.alert.state, life.alert.near_misses, life.alert.episode) == (State.INACTIVE, 1, 0)
    assert not life.all[0].tells


def test_pending_and_no_breach_any_more_does_not_keep_the_time_it_held() -> None:
    life = Life(hold=MINUTE)
    life.sees(51)
    life.wait(MINUTE / 2).sees(45)
    assert life.wait(MINUTE / 2).sees(51) == []
    assert life.is_now(State.PENDING)


def test_firing_and_severity_rises_replies_with_broadcast_and_edits_the_parent_and_clears_the_ack() -> None:
    life = Life().fired()
    life.acked()
    assert life.wait(MINUTE).sees(90, severity="critical") == [
        "parent_edit severity_rose",
        "thread_reply+broadcast severity_rose",
    ]
    assert (life.alert.state, life.alert.severity, life.alert.ack) == (State.FIRING, "critical", None)


def test_firing_and_severity_falls_edits_the_parent_only() -> None:
    life = Life().fired(severity="critical")
    assert life.wait(MINUTE).sees(51, severity="warning") == ["parent_edit severity_fell"]
    assert life.wait(MINUTE).sees(51, severity="critical")[-1] == "thread_reply+broadcast severity_rose"


def test_a_fall_of_severity_keeps_the_ack() -> None:
    life = Life().fired(severity="critical")
    life.acked()
    life.wait(MINUTE).sees(51, severity="warning")
    assert life.alert.ack is not None


def test_firing_and_a_clear_value_is_recovering_and_tells_nobody() -> None:
    life = Life().fired()
    assert life.wait(MINUTE).sees(40) == []
    assert life.is_now(State.RECOVERING)


def test_recovering_and_a_breach_fires_on_and_counts_a_flap() -> None:
    life = Life().fired()
    life.wait(MINUTE).sees(40)
    assert life.wait(MINUTE).sees(51) == ["flap breached_again"]
    assert (life.alert.state, life.alert.flaps, life.alert.episode) == (State.FIRING, 1, 1)
    assert life.alert.fired_at == START, "the same episode"


def test_recovering_held_for_long_enough_is_resolved_with_a_green_parent_and_one_line() -> None:
    life = Life().fired()
    life.wait(MINUTE).sees(40)
    assert life.wait(5 * MINUTE - timedelta(microseconds=1)).sees(40) == []
    assert life.wait(timedelta(microseconds=1)).sees(40) == OVER
    assert (life.alert.state, life.alert.ending) == (State.RESOLVED, Ending.CLEARED)
    assert life.all[-1].lasted == 6 * MINUTE


def test_without_keep_firing_for_a_clear_value_resolves_at_once() -> None:
    life = Life(keep_firing_for=timedelta(0)).fired()
    assert life.wait(MINUTE).sees(40) == OVER


def test_recovering_is_left_only_by_a_breach_not_by_a_value_in_between() -> None:
    life = Life().fired()
    life.wait(MINUTE).sees(40)
    assert life.wait(MINUTE).sees(50) == []
    assert life.is_now(State.RECOVERING)
    assert life.wait(4 * MINUTE).sees(50) == OVER


def test_a_value_between_clear_and_threshold_neither_fires_nor_recovers() -> None:
    life = Life()
    assert life.sees(50) == []
    assert life.is_now(State.INACTIVE)
    life.wait(MINUTE).fired()
    life.wait(MINUTE).sees(Decimal("40.0001"))
    assert life.is_now(State.FIRING)
    life.wait(MINUTE).sees(40)
    assert life.is_now(State.RECOVERING)


def test_what_resolved_may_fire_again_as_another_episode() -> None:
    life = Life(keep_firing_for=timedelta(0)).fired()
    life.wait(MINUTE).sees(0)
    assert life.wait(MINUTE).sees(51) == FIRST
    assert life.alert.episode == 2
    assert (life.alert.ack, life.alert.flaps, life.alert.fired_at) == (None, 0, life.now)


@pytest.mark.parametrize(("comparison", "value", "fires"), [(">", 50, False), (">", 51, True), (">=", 50, True)])
def test_the_boundary_is_exact(comparison: Comparison, value: int, fires: bool) -> None:
    life = Life(comparison=comparison)
    life.sees(value)
    assert life.alert.is_open is fires


def test_no_data_holds_what_was_and_says_so_once() -> None:
    life = Life().fired()
    assert life.wait(MINUTE).no_data() == ["thread_reply no_data"]
    assert life.wait(MINUTE).no_data() == []
    assert life.is_now(State.FIRING)
    assert life.alert.no_data_since == START + MINUTE
    life.wait(MINUTE).sees(51)
    assert life.alert.no_data_since != START + MINUTE
    assert life.wait(MINUTE).no_data() == ["thread_reply no_data"], "another gap"


def test_no_data_holds_pending_and_recovering_too() -> None:
    life = Life(hold=2 * MINUTE)
    life.sees(51)
    assert life.wait(MINUTE).no_data() == []
    assert life.wait(MINUTE).no_data() == [], "what nobody measured makes nothing fire"
    assert life.is_now(State.PENDING)
    life.wait(MINUTE).sees(51)
    life.wait(MINUTE).sees(0)
    life.wait(HOUR).no_data()
    assert life.is_now(State.RECOVERING)


def test_no_data_counts_as_zero_for_counts() -> None:
    life = Life(no_data="zero", keep_firing_for=timedelta(0)).fired()
    assert life.wait(MINUTE).no_data() == OVER
    assert life.alert.no_data_since is None


def test_no_data_alerts_where_the_rule_says_so_and_only_once() -> None:
    life = Life(no_data="alert")
    assert life.no_data() == ["first_message no_data"]
    assert life.wait(MINUTE).no_data() == []
    assert life.wait(MINUTE).sees(0) == []
    assert life.wait(5 * MINUTE).sees(0) == OVER


def test_no_data_alerts_only_after_its_for() -> None:
    life = Life(no_data="alert", hold=MINUTE)
    assert life.no_data() == []
    assert life.wait(MINUTE).no_data() == ["first_message no_data"]


def test_too_few_samples_are_no_data() -> None:
    life = Life(min_samples=100)
    life.sees(51, samples=99)
    assert life.is_now(State.INACTIVE)
    life.wait(MINUTE).sees(51, samples=100)
    assert life.is_now(State.FIRING)
    life.wait(MINUTE).sees(0, samples=99)
    assert life.is_now(State.FIRING), "too few to say that it is over"


def test_too_few_samples_are_no_reason_to_alert_that_there_is_no_data() -> None:
    life = Life(no_data="alert", min_samples=100)
    assert life.sees(0, samples=1) == []


def test_too_few_samples_are_zero_where_no_data_is() -> None:
    life = Life(no_data="zero", min_samples=100, keep_firing_for=timedelta(0)).fired(samples=100)
    assert life.wait(MINUTE).sees(90, samples=1) == OVER


def test_a_value_that_is_no_number_is_no_data() -> None:
    assert observed(None) == NoData()
    assert observed(float("nan")) == NoData()
    assert observed(float("inf")) != NoData()
    assert Life().sees(float("inf")) == FIRST


@pytest.mark.parametrize("values", [[], [51], [51, 0]])
def test_an_evaluation_error_leaves_the_alert_as_it_is(values: list[int]) -> None:
    life = Life()
    for value in values:
        life.wait(MINUTE).sees(value)
    before = life.alert
    assert life.wait(MINUTE).fails() == []
    assert life.alert == before


def test_an_evaluation_error_stops_neither_escalation_nor_repeats() -> None:
    life = Life(severity="critical").fired()
    assert life.wait(15 * MINUTE).fails() == ["escalation+1 not_acknowledged"]


def test_the_same_slot_again_or_an_older_one_changes_nothing() -> None:
    life = Life().fired()
    once = life.alert
    assert life.sees(0) == []
    assert life.wait(-MINUTE).sees(0) == []
    assert life.alert == once


def test_effects_are_numbered_within_the_episode() -> None:
    life = Life(keep_firing_for=timedelta(0)).fired()
    life.wait(MINUTE).sees(0)
    life.wait(MINUTE).sees(51)
    assert [(effect.episode, effect.number) for effect in life.all] == [(1, 1), (1, 2), (1, 3), (2, 1)]


def test_a_rule_that_is_gone_ends_its_alert() -> None:
    life = Life().fired()
    step = end(life.alert, START + MINUTE, Ending.RULE_REMOVED)
    assert (step.alert.state, step.alert.ending) == (State.RESOLVED, Ending.RULE_REMOVED)
    assert [effect.kind for effect in step.effects] == ["parent_edit", "resolve_line"]
    assert end(step.alert, START + MINUTE, Ending.PERIOD_ENDED) == (step.alert, ())


def test_a_rule_that_is_gone_forgets_what_was_pending() -> None:
    life = Life(hold=MINUTE)
    life.sees(51)
    assert end(life.alert, START, Ending.RULE_REMOVED).alert.state is State.INACTIVE
    assert end(Alert(), START, Ending.RULE_REMOVED) == (Alert(), ())


def test_a_latched_alert_does_not_clear_by_its_value() -> None:
    life = Life(kind="latched").fired()
    assert life.wait(MINUTE).sees(0) == []
    assert life.is_now(State.FIRING)
    life.alert = end(life.alert, life.now, Ending.BUDGET_CHANGED).alert
    assert life.wait(MINUTE).sees(51) == FIRST, "a raised budget arms it again"


def test_a_latched_alert_of_a_period_that_is_over_does_not_fire_again() -> None:
    life = Life(kind="latched").fired()
    life.alert = end(life.alert, life.now, Ending.PERIOD_ENDED).alert
    assert life.wait(MINUTE).sees(51) == []
    assert life.is_now(State.RESOLVED)


def test_a_latched_crossing_fires_whatever_its_value() -> None:
    step = fire(Alert(), Decimal("0.7"), START, RULE)
    assert [effect.kind for effect in step.effects] == ["first_message"]
    assert (step.alert.state, step.alert.episode) == (State.FIRING, 1)
    assert fire(step.alert, Decimal("0.8"), START + MINUTE, RULE) == (step.alert, ())


def test_a_latched_crossing_that_is_hidden_is_recorded_and_made_up_for() -> None:
    step = fire(Alert(), Decimal("0.7"), START, RULE, SILENCED)
    assert [(effect.kind, effect.hidden) for effect in step.effects] == [("first_message", SILENCED)]
    [later] = advance(step.alert, None, START + MINUTE, RULE).effects
    assert (later.kind, later.why, later.tells) == ("first_message", "no_longer_hidden", True)


def test_a_key_tells_groups_and_periods_apart() -> None:
    keys = [
        alert_key("acme", "r"),
        alert_key("acme", "r", ("t1", "")),
        alert_key("acme", "r", ("", "t1")),
        alert_key("acme", "r", ("t1",)),
        alert_key("acme", "r", (), "2026-11"),
    ]
    assert len(set(keys)) == len(keys)

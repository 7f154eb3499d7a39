"""Whom an alert calls while it fires: acknowledgements, silences, escalation, repeats, updates of the thread."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.alerting.alert import Alert
from engine.alerting.attention import NotAcknowledged, acknowledge
from tests.unit.alerting.life import HOUR, MINUTE, SILENCED, START, Life

SECOND = timedelta(seconds=1)


def test_without_an_ack_the_mention_comes_again_after_15_minutes_and_email_and_webhook_after_30() -> None:
    life = Life(severity="critical").fired()
    assert life.wait(15 * MINUTE - SECOND).sees(51) == []
    assert life.wait(SECOND).sees(51) == ["escalation+1 not_acknowledged"]
    assert life.wait(15 * MINUTE - SECOND).sees(51) == []
    assert life.wait(SECOND).sees(51) == ["escalation+2 not_acknowledged"]
    assert life.wait(2 * HOUR).sees(51) == []


def test_a_worker_that_was_away_takes_both_steps_once() -> None:
    life = Life(severity="critical").fired()
    assert life.wait(HOUR).time_passes() == ["escalation+1 not_acknowledged", "escalation+2 not_acknowledged"]
    assert life.wait(MINUTE).time_passes() == []


@pytest.mark.parametrize("severity", ["warning", "info"])
def test_only_critical_alerts_escalate(severity: str) -> None:
    life = Life(severity=severity).fired()
    assert life.wait(HOUR).sees(51) == []


@pytest.mark.parametrize(("severity", "after"), [("critical", 4 * HOUR), ("warning", 24 * HOUR)])
def test_a_repeat_comes_after_4_hours_when_critical_and_24_when_a_warning(severity: str, after: timedelta) -> None:
    life = Life(severity=severity).fired()
    life.wait(30 * MINUTE).sees(51)
    # Counted from the last message that called somebody: for a critical alert that is its second escalation.
    before = timedelta(0) if severity == "critical" else 30 * MINUTE
    assert life.wait(after - before - SECOND).sees(51) == []
    assert life.wait(SECOND).sees(51) == ["repeat still_firing"]
    assert life.wait(after - SECOND).sees(51) == []
    assert life.wait(SECOND).sees(51) == ["repeat still_firing"]


def test_what_is_for_information_is_never_repeated() -> None:
    life = Life(severity="info").fired()
    assert life.wait(72 * HOUR).sees(51) == []


def test_a_latched_alert_is_never_repeated_and_still_escalates() -> None:
    life = Life(severity="critical", kind="latched").fired()
    assert life.wait(30 * MINUTE).time_passes() == [
        "escalation+1 not_acknowledged",
        "escalation+2 not_acknowledged",
    ]
    assert life.wait(100 * HOUR).time_passes() == []


def test_a_recovering_alert_calls_nobody() -> None:
    life = Life(severity="critical", keep_firing_for=HOUR).fired()
    life.wait(MINUTE).sees(0)
    assert life.wait(30 * MINUTE).sees(0) == []


def test_an_ack_is_shown_and_stops_escalation_and_repeats() -> None:
    life = Life(severity="critical").fired()
    assert life.acked() == ["parent_edit acknowledged", "thread_reply acknowledged"]
    assert [effect.by for effect in life.all[-2:]] == ["ann", "ann"]
    assert life.wait(23 * HOUR).sees(51) == []


def test_an_ack_ends_after_24_hours_and_somebody_is_called_again() -> None:
    life = Life(severity="critical").fired()
    life.acked()
    assert life.wait(24 * HOUR - SECOND).time_passes() == []
    assert life.wait(SECOND).time_passes() == ["parent_edit ack_ended", "repeat still_firing"]
    assert life.alert.ack is None
    assert life.wait(15 * MINUTE).time_passes() == ["escalation+1 not_acknowledged"]


def test_an_ack_ends_when_severity_rises_and_escalation_begins_anew() -> None:
    life = Life().fired()
    life.acked()
    life.wait(HOUR).sees(90, severity="critical")
    assert life.wait(15 * MINUTE).sees(90, severity="critical") == ["escalation+1 not_acknowledged"]


def test_an_ack_lasts_through_a_flap_and_not_into_the_next_episode() -> None:
    life = Life(keep_firing_for=2 * MINUTE).fired()
    life.acked()
    life.wait(MINUTE).sees(0)
    life.wait(MINUTE).sees(51)
    assert life.alert.ack is not None
    life.wait(MINUTE).sees(0)
    life.wait(2 * MINUTE).sees(0)
    life.wait(MINUTE).fired()
    assert life.alert.ack is None


def test_an_ack_of_what_does_not_fire_or_is_acked_already_says_why_not() -> None:
    assert acknowledge(Alert(), "ann", START) == NotAcknowledged(
        "the alert is inactive; only one that fires can be acknowledged"
    )
    life = Life().fired()
    life.acked("ann")
    assert acknowledge(life.alert, "bob", START + MINUTE) == NotAcknowledged("ann has acknowledged it already")
    assert not isinstance(acknowledge(life.alert, "bob", START + 24 * HOUR), NotAcknowledged)


def test_a_silenced_alert_fires_and_tells_nobody_until_the_silence_ends() -> None:
    life = Life()
    life.hidden = SILENCED
    assert life.sees(51) == ["first_message breached (silenced)"]
    assert not life.all[0].tells
    assert life.wait(HOUR).sees(51) == []
    life.hidden = None
    assert life.wait(HOUR).sees(51) == ["first_message no_longer_hidden"]
    assert life.wait(MINUTE).sees(51) == []


def test_what_began_and_ended_in_silence_is_told_to_nobody() -> None:
    life = Life(keep_firing_for=timedelta(0))
    life.hidden = SILENCED
    life.sees(51)
    life.hidden = None
    assert life.wait(MINUTE).sees(0) == []
    assert life.alert.state == "resolved"


def test_a_silence_stops_calls_but_keeps_the_parent_true() -> None:
    life = Life(severity="critical").fired()
    life.hidden = SILENCED
    assert life.wait(5 * HOUR).sees(51) == []
    assert life.wait(MINUTE).sees(51, severity="warning") == ["parent_edit severity_fell"]
    life.wait(MINUTE).sees(0)
    assert life.wait(5 * MINUTE).sees(0) == ["parent_edit over", "resolve_line over"]


def test_a_rise_in_silence_is_recorded_and_told_when_the_silence_ends() -> None:
    life = Life().fired()
    life.hidden = SILENCED
    assert life.wait(MINUTE).sees(90, severity="critical") == [
        "thread_reply+broadcast severity_rose (silenced)",
        "parent_edit severity_rose",
    ]
    assert life.wait(MINUTE).sees(90, severity="critical") == []
    life.hidden = None
    assert life.wait(MINUTE).time_passes() == ["thread_reply+broadcast severity_rose"]
    assert life.wait(MINUTE).time_passes() == []


def test_a_hidden_alert_can_be_acked_and_is_told_once_all_the_same() -> None:
    life = Life(severity="critical")
    life.hidden = SILENCED
    life.sees(51)
    assert life.acked() == []
    life.hidden = None
    assert life.wait(MINUTE).time_passes() == ["first_message no_longer_hidden"]
    assert life.wait(HOUR).time_passes() == [], "somebody has taken it on"


def test_the_thread_is_told_the_value_every_5_minutes_as_long_as_it_moves() -> None:
    life = Life(kind="latched", update_every=5 * MINUTE).fired(90)
    assert life.wait(5 * MINUTE - SECOND).sees(91) == []
    assert life.wait(SECOND).sees(91) == ["thread_reply value_moved"]
    assert life.wait(5 * MINUTE).sees(91) == [], "no news"
    assert life.wait(MINUTE).sees(92) == ["thread_reply value_moved"]
    life.acked()
    assert life.wait(5 * MINUTE).sees(93) == ["thread_reply value_moved"], "an ack stops calls, not the thread"

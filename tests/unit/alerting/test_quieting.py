"""What keeps an alert from people: silences, and alerts that say it already."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.alerting.alert import Hidden, HiddenBy
from engine.alerting.quieting import AlertFacts, Matcher, Silence, hidden_by
from engine.errors import InvalidValue

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALERT = AlertFacts("k", "acme", "policy_deny", "policy_deny_count", {"rule": "policy_deny", "team": "t1"})


def silence(*matchers: Matcher, **values: Any) -> Silence:
    usual = {"start": NOW, "end": NOW + HOUR, "author": "ann", "reason": "maintenance"}
    return Silence("s", matchers or (Matcher("rule", "policy_deny"),), **{**usual, **values})


def test_a_silence_hides_what_all_its_matchers_fit() -> None:
    both = silence(Matcher("rule", "policy_deny"), Matcher("team", "t1"))
    assert hidden_by(ALERT, [both], [], NOW) == Hidden(HiddenBy.SILENCED, "s")
    assert hidden_by(replace(ALERT, labels={"rule": "policy_deny", "team": "t2"}), [both], [], NOW) is None


@pytest.mark.parametrize(
    ("matcher", "hides"),
    [
        (Matcher("team", "t1"), True),
        (Matcher("team", "t"), False),
        (Matcher("team", "t1", "!="), False),
        (Matcher("team", "t2", "!="), True),
        (Matcher("agent", "bot"), False),
        (Matcher("agent", "bot", "!="), True),
        (Matcher("agent", ""), True),
    ],
)
def test_a_matcher_is_exact_and_a_missing_label_is_an_empty_one(matcher: Matcher, hides: bool) -> None:
    assert silence(matcher).hides(ALERT.labels, NOW) is hides


@pytest.mark.parametrize(
    ("at", "hides"),
    [(-timedelta(microseconds=1), False), (0 * HOUR, True), (HOUR - timedelta(microseconds=1), True), (HOUR, False)],
)
def test_a_silence_is_from_its_start_until_just_before_its_end(at: timedelta, hides: bool) -> None:
    assert silence().hides(ALERT.labels, NOW + at) is hides


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"end": NOW}, "end: must be after the start"),
        ({"end": NOW + timedelta(days=30, microseconds=1)}, "end: must be at most 30 days after the start"),
        ({"start": NOW.replace(tzinfo=None)}, "start: must have a time zone"),
        ({"author": " "}, "author: is required"),
        ({"reason": ""}, "reason: is required"),
    ],
)
def test_a_silence_that_cannot_be_is_refused_with_its_field(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        silence(**values)


def test_a_silence_may_last_30_days_and_must_match_something() -> None:
    assert silence(end=NOW + timedelta(days=30)).hides(ALERT.labels, NOW)
    with pytest.raises(InvalidValue, match="matchers: a silence needs one at least"):
        Silence("s", (), NOW, NOW + HOUR, "ann", "x")
    with pytest.raises(InvalidValue, match="matchers: a matcher needs a label"):
        Matcher("", "x")


def budget_alert(key: str, per: str, *, org_id: str = "acme", blocks: bool = False) -> AlertFacts:
    return AlertFacts(key, org_id, "budget_exhausted", "budget_usage_percentage", {"per": per}, blocks)


def test_a_blocked_budget_of_the_organization_hides_the_budget_alerts_of_its_agents() -> None:
    org = budget_alert("org", "org", blocks=True)
    assert hidden_by(budget_alert("bot", "agent"), [], [org], NOW) == Hidden(HiddenBy.INHIBITED, "org")
    assert hidden_by(org, [], [org], NOW) is None, "never itself"
    assert hidden_by(budget_alert("day", "org"), [], [org], NOW) is None, "nor another of the organization's"
    assert hidden_by(ALERT, [], [org], NOW) is None, "nor what is not about budgets"
    assert hidden_by(budget_alert("bot", "agent", org_id="other"), [], [org], NOW) is None


def test_a_budget_that_blocks_nobody_hides_nothing() -> None:
    assert hidden_by(budget_alert("bot", "agent"), [], [budget_alert("org", "org")], NOW) is None
    assert hidden_by(budget_alert("bot", "agent"), [], [budget_alert("team", "team", blocks=True)], NOW) is None


def test_a_redis_that_is_away_hides_what_follows_from_it() -> None:
    redis = AlertFacts("redis", "acme", "fail_open_lasting", "fail_open_seconds", {})
    one = AlertFacts("a", "acme", "mine", "rate_limit_fail_open_count", {"agent": "bot"})
    assert hidden_by(one, [], [redis], NOW) == Hidden(HiddenBy.INHIBITED, "redis")
    assert hidden_by(one, [], [replace(redis, org_id="other")], NOW) is None
    lag = replace(one, metric="ledger_lag_seconds", labels={})
    assert hidden_by(lag, [], [redis], NOW) == Hidden(HiddenBy.INHIBITED, "redis")
    assert hidden_by(ALERT, [], [redis], NOW) is None


def test_a_silence_is_named_before_another_alert() -> None:
    org = budget_alert("org", "org", blocks=True)
    found = hidden_by(budget_alert("bot", "agent"), [silence(Matcher("per", "agent"))], [org], NOW)
    assert found == Hidden(HiddenBy.SILENCED, "s")

"""When first messages leave, and which of them together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alerting.grouping import Waiting, departures, group_wait

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
WAIT = timedelta(seconds=30)


def waiting(key: str = "a", **values: Any) -> Waiting:
    usual = {"org_id": "acme", "rule_id": "r", "severity": "warning", "kind": "level", "since": NOW}
    return Waiting(key, **{**usual, **values})


@pytest.mark.parametrize("urgent", [{"severity": "critical"}, {"kind": "latched"}])
def test_critical_and_latched_leave_at_once(urgent: dict[str, Any]) -> None:
    item = waiting(**urgent)
    assert group_wait(item) == timedelta(0)
    assert departures([item], NOW).single == (item,)


def test_the_others_wait_30_seconds_from_the_first_of_their_group_on() -> None:
    first, second = waiting("a"), waiting("b", since=NOW + WAIT / 2)
    assert group_wait(first) == WAIT
    early = departures([first, second], NOW + WAIT - timedelta(microseconds=1))
    assert (early.single, early.digests, early.look_again_at) == ((), (), NOW + WAIT)
    assert departures([first, second], NOW + WAIT).single == (first, second)


def test_a_group_is_of_one_rule_and_one_organization() -> None:
    others = [waiting("b", rule_id="other", since=NOW + WAIT), waiting("c", org_id="other", since=NOW + 2 * WAIT)]
    leaving = departures([waiting("a"), *others], NOW + WAIT)
    assert [item.key for item in leaving.single] == ["a"]
    assert leaving.look_again_at == NOW + 2 * WAIT


def test_ten_of_a_group_are_ten_messages_and_eleven_are_one_digest_with_the_five_worst() -> None:
    many = [waiting(f"{number:02}", weight=Decimal(number)) for number in range(11)]
    assert len(departures(many[:10], NOW + WAIT).single) == 10
    leaving = departures(many, NOW + WAIT)
    assert leaving.single == ()
    [digest] = leaving.digests
    assert [item.key for item in digest.top] == ["10", "09", "08", "07", "06"]
    assert len(digest.keys) == 11
    assert (digest.org_id, digest.rule_id, digest.severity) == ("acme", "r", "warning")


def test_critical_alerts_are_never_put_into_a_digest() -> None:
    many = [waiting(str(number), severity="critical") for number in range(20)]
    leaving = departures(many, NOW)
    assert (len(leaving.single), leaving.digests) == (20, ())


def test_the_worst_come_first() -> None:
    items = [waiting("info", severity="info"), waiting("small"), waiting("big", weight=Decimal(9))]
    assert [item.key for item in departures(items, NOW + WAIT).single] == ["big", "small", "info"]


ITEMS = st.lists(
    st.builds(
        waiting,
        st.uuids().map(str),
        org_id=st.sampled_from(["acme", "other"]),
        rule_id=st.sampled_from(["r", "s"]),
        severity=st.sampled_from(["info", "warning", "critical"]),
        kind=st.sampled_from(["level", "latched"]),
        since=st.integers(0, 40).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    ),
    max_size=60,
    unique_by=lambda item: item.key,
)


@given(ITEMS, st.integers(0, 90))
def test_each_leaves_once_or_waits_and_none_longer_than_30_seconds(items: list[Waiting], seconds: int) -> None:
    now = NOW + timedelta(seconds=seconds)
    leaving = departures(items, now)
    left = [item.key for item in leaving.single] + [key for digest in leaving.digests for key in digest.keys]
    assert len(left) == len(set(left))
    stayed = [item for item in items if item.key not in left]
    assert all(not item.urgent and now < item.since + WAIT for item in stayed)
    assert (leaving.look_again_at is None) == (not stayed)

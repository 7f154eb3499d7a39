"""What a test expects must be able to come: an alert that nothing can fire is inactive whatever the rules do. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from engine.alerting.grouping import WAIT
from engine.alerting.rule_tests.schema import AlertExpected, ExpectSpec, NotificationExpected
from engine.alerting.rule_tests.series import offset_of, shown_offset
from engine.alerting.rules import Rule
from engine.errors import InvalidValue


def refuse_impossible(
    expect: ExpectSpec, rules: Sequence[Rule], groups: Sequence[Mapping[str, str]], end: timedelta
) -> None:
    """Raise `InvalidValue` for an expectation that no evaluation of the test can fulfil or disprove.

    `rules` are evaluated, for `groups`, until `end` after the start.
    """
    by_id = {rule.rule_id: rule for rule in rules}
    for index, wanted in enumerate(expect.alerts):
        field = f"expect.alerts.{index}"
        _refuse_names(field, wanted, by_id, groups)
        _refuse_later(field, wanted, end, end)
    for index, told in enumerate(expect.notifications or ()):
        field = f"expect.notifications.{index}"
        _refuse_names(field, told, by_id, groups)
        # What waits for others leaves a little later.
        _refuse_later(field, told, end + WAIT, end)


def _refuse_names(
    field: str,
    wanted: AlertExpected | NotificationExpected,
    rules: Mapping[str, Rule],
    groups: Sequence[Mapping[str, str]],
) -> None:
    if wanted.rule is not None and wanted.rule not in rules:
        raise InvalidValue(f"{field}.rule", f"the test evaluates {', '.join(rules)} and no rule {wanted.rule!r}")
    if wanted.group is not None and dict(wanted.group) not in [dict(group) for group in groups]:
        raise InvalidValue(f"{field}.group", "is none of the groups of series: nothing is measured of it")


def _refuse_later(field: str, wanted: AlertExpected | NotificationExpected, latest: timedelta, end: timedelta) -> None:
    if offset_of(wanted.at) > latest:
        raise InvalidValue(f"{field}.at", f"the test ends at {shown_offset(end)}: give more values, or an earlier time")

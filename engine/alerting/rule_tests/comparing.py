"""What was expected of a test and what came of it, line by line. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.alerting.alert import State
from engine.alerting.rule_tests.rehearsal import Subject, Told
from engine.alerting.rule_tests.schema import AlertExpected, ExpectSpec, NotificationExpected
from engine.alerting.rule_tests.series import offset_of, shown_offset


def differences(expected: ExpectSpec, subjects: Sequence[Subject], told: Sequence[Told], start: datetime) -> list[str]:
    """A line for everything that is not as expected; none when all is."""
    return [
        *_of_alerts(expected.alerts, subjects, start),
        *_of_notifications(expected.notifications, told, start),
    ]


def _of_alerts(expected: Sequence[AlertExpected], subjects: Sequence[Subject], start: datetime) -> Iterator[str]:
    for wanted in expected:
        instant = start + offset_of(wanted.at)
        concerned = [subject for subject in subjects if _concerns(wanted, subject.rule.rule_id, subject.group)]
        if len({(subject.rule.rule_id, tuple(subject.group.items())) for subject in concerned}) > 1:
            yield f"alert at {wanted.at}: several may be meant, name its rule or its group"
            continue
        found = [subject.at(instant) for subject in concerned]
        # An alert that never was is inactive; of several episodes the newest that had begun counts.
        begun = [each for each in found if each[2] is not None]
        state, severity, since = begun[-1] if begun else (State.INACTIVE.value, wanted.severity, None)
        about = _about(wanted.rule, wanted.group)
        if state != wanted.state:
            was = state if since is None else f"{state} since {shown_offset(since - start)}"
            yield f"alert{about} at {wanted.at}: expected {wanted.state}, was {was}"
        elif wanted.severity is not None and severity != wanted.severity:
            yield f"alert{about} at {wanted.at}: expected severity {wanted.severity}, was {severity}"


def _of_notifications(
    expected: Sequence[NotificationExpected] | None, told: Sequence[Told], start: datetime
) -> Iterator[str]:
    if expected is None:
        return
    left = list(told)
    missing: list[NotificationExpected] = []
    for wanted in expected:
        fitting = next((each for each in left if _fits(wanted, each, start)), None)
        if fitting is None:
            missing.append(wanted)
        else:
            left[:] = [each for each in left if each is not fitting]
    lines = [(offset_of(each.at), 0, f"expected, did not come: {_wanted(each)}") for each in missing]
    lines += [(each.at - start, 1, f"came, not expected:     {_came(each, start)}") for each in left]
    yield from (line for _, _, line in sorted(lines))


def _fits(wanted: NotificationExpected, told: Told, start: datetime) -> bool:
    return (
        told.at - start == offset_of(wanted.at)
        and told.kind == wanted.kind
        and (wanted.to is None or set(wanted.to) == set(told.to))
        and wanted.severity in (None, told.severity)
        and wanted.why in (None, told.why)
        and _concerns(wanted, told.rule_id, told.group)
    )


def _concerns(wanted: AlertExpected | NotificationExpected, rule_id: str, group: Mapping[str, str]) -> bool:
    return wanted.rule in (None, rule_id) and (wanted.group is None or dict(wanted.group) == dict(group))


def _wanted(wanted: NotificationExpected) -> str:
    to = "" if wanted.to is None else f" to {', '.join(wanted.to) or 'nobody'}"
    details = ", ".join(each for each in (wanted.severity, wanted.why) if each is not None)
    return f"{wanted.at} {wanted.kind}{_about(wanted.rule, wanted.group)}{to}{f' ({details})' if details else ''}"


def _came(told: Told, start: datetime) -> str:
    number = f" of {told.number} alerts" if told.number > 1 else ""
    to = ", ".join(told.to) or "nobody"
    about = _about(told.rule_id, told.group)
    return f"{shown_offset(told.at - start)} {told.kind}{about}{number} to {to} ({told.severity}, {told.why})"


def _about(rule: str | None, group: Mapping[Any, str] | None) -> str:
    names = ([rule] if rule else []) + [f"{name}={value}" for name, value in (group or {}).items()]
    return f" of {' '.join(names)}" if names else ""

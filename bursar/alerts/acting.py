"""`bursar alerts ack`, `silence add`, `silence end` and `send-test`."""

from __future__ import annotations

import json
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from bursar.alerts.listing import silence_json, words
from bursar.alerts.matching import FIELD, checked
from bursar.governing.authorship import author_or_user, checked_reason
from bursar.governing.ledger import chosen_organization, live_or_none, needed_ledger
from bursar.governing.screen import say, when
from engine.alerting.actions import AlertActionRefused, acknowledge_alert, add_silence, end_silence, hides
from engine.alerting.alert_lookup import (
    short_alert_ids,
    short_silence_ids,
    standing_for,
    whole_alert_id,
    whole_silence_id,
)
from engine.alerting.alert_rows import SUPERSEDED
from engine.alerting.quieting import LONGEST_SILENCE
from engine.alerting.rule_tests.matchers import read_matcher
from engine.alerting.shipped import rules_of
from engine.clock import utc_now
from engine.document.alert_rules import Duration, length_of
from engine.errors import BursarError, InvalidValue
from engine.ledger.database import Database
from engine.ledger.queries.alerts import find_alert
from engine.settings import read_settings

MOST_SHOWN = 20


def run_ack(alerts: list[str], *, by: str | None, org: str | None, as_json: bool) -> bool:
    """Acknowledge alerts; whether all of them are now acknowledged. An id that names none stops it before the first."""
    settings = read_settings()
    author = _by(by)
    with needed_ledger(settings) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            ids = list(dict.fromkeys(whole_alert_id(connection, org_id, each) for each in alerts))
        told = [_acknowledged(database, org_id, alert_id, author, settings.dashboard_url) for alert_id in ids]
    if as_json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        for each in told:
            done = bool(each["acknowledged"])
            say(str(each["message"]) if done else f"bursar: {each['message']}", "" if done else "red",
                to_stderr=not done)  # fmt: skip
    return all(each["acknowledged"] for each in told)


def _acknowledged(database: Database, org_id: str, alert_id: str, author: str, url: str) -> dict[str, object]:
    """What came of one, for programs."""
    told: dict[str, object] = {"id": alert_id}
    instead = _stands_for(database, org_id, alert_id)
    if instead is not None:
        return told | {"acknowledged": False} | instead
    try:
        said = acknowledge_alert(database, org_id, alert_id, by=author, now=utc_now(), dashboard_url=url)
    except AlertActionRefused as refused:
        return told | {"acknowledged": False, "message": str(refused)}
    return told | {"acknowledged": True, "message": said}


def _stands_for(database: Database, org_id: str, alert_id: str) -> dict[str, object] | None:
    """Of an alert that was told with a higher threshold: that one. It is the one to acknowledge."""
    live = live_or_none(database, org_id)
    with database.read() as connection:
        line = find_alert(connection, org_id, alert_id)
        if live is None or line is None or line.state != SUPERSEDED:
            return None
        other = standing_for(connection, org_id, line, rules_of(live.document.alerts))
        if other is None:
            return {"message": f"{line.title}: was told with a higher threshold, whose alert is over", "instead": None}
        short = short_alert_ids(connection, org_id, [other.alert_id])[other.alert_id]
    message = f"{line.title}: was told with a higher threshold; acknowledge {short} instead: {other.title}"
    return {"message": message, "instead": other.alert_id}


def run_silence_add(
    matchers: list[str], *, length: str, reason: str, by: str | None, org: str | None, as_json: bool
) -> None:
    """Make a silence, and say what it hides."""
    wanted = [read_matcher(each, FIELD) for each in matchers]
    lasts = _length(length)
    author, why = _by(by), checked_reason(reason)
    now = utc_now()
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        live = live_or_none(database, org_id)
        if live is None:
            raise BursarError(f"organization {org_id} has no document yet; `bursar apply FILE` makes it live")
        warnings = checked(wanted, live.document)
        silence = add_silence(
            database, org_id, wanted, start=now, end=now + lasts, author=author, reason=why, now=now
        )  # fmt: skip
        with database.read() as connection:
            hidden = hides(connection, org_id, silence, now)
            short = short_silence_ids(connection, org_id, [silence.silence_id])[silence.silence_id]
    for sentence in warnings:
        say(f"warning: {sentence}", "yellow", to_stderr=True)
    if as_json:
        print(json.dumps(silence_json(silence, hidden), indent=2, ensure_ascii=False))
        return
    say(f"{org_id}: silence {short} hides {words(silence)} until {when(silence.end)}")
    if not hidden:
        say("  no open alert, so far")
    for title in hidden[:MOST_SHOWN]:
        say(f"  {title}")
    if len(hidden) > MOST_SHOWN:
        say(f"  and {len(hidden) - MOST_SHOWN:,} more")


def run_silence_end(silence: str, *, by: str | None, org: str | None, as_json: bool) -> None:
    """End a silence."""
    author, now = _by(by), utc_now()
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            silence_id = whole_silence_id(connection, org_id, silence)
        end_silence(database, org_id, silence_id, by=author, now=now)
    if as_json:
        told = {"id": silence_id, "ended_at": now.isoformat(), "ended_by": author}
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return
    say(f"{org_id}: silence {silence_id} is over; what it hid and still fires is told now")


def run_send_test(channel: str, *, org: str | None) -> bool:
    """Send a test message; whether it arrived."""
    from jobs.delivery.send_test import send_test

    settings = read_settings()
    with needed_ledger(settings) as database:
        org_id = chosen_organization(database, org)
        sent = send_test(database, settings, org_id, channel)
    say(sent.sentence, "green" if sent.delivered else "red")
    return sent.delivered


def _by(name: str | None) -> str:
    try:
        return author_or_user(name)
    except InvalidValue as refused:
        raise InvalidValue("--by", refused.problem) from None


def _length(written: str) -> timedelta:
    try:
        length = length_of(TypeAdapter(Duration).validate_python(written))
    except ValidationError as error:
        raise InvalidValue("--for", error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    if not timedelta(0) < length <= LONGEST_SILENCE:
        raise InvalidValue("--for", f"must be more than 0s and at most {LONGEST_SILENCE.days}d, got {written}")
    return length

"""Clicks on the buttons of an alert in Slack: from Slack's payload to who wants what, and the answer to them.

1. Read the payload; what is not a click on one of our buttons is dropped.
2. Ask who the clicking person is here. Nobody who may act: they are told so, nothing happens.
3. Hand the action on, and tell the person what came of it, visible to them alone.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from engine.errors import BursarError
from jobs.delivery.slack_blocks import ACKNOWLEDGE, SILENCE

logger = logging.getLogger(__name__)

SILENCE_FOR = timedelta(hours=1)
NOT_ALLOWED = "You may not act on alerts here: your Slack user is not linked to anyone who may."
FAILED = "That did not work. Please try again, or use the alert's page."
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.@-]{1,128}")
_SLACK_ID = re.compile(r"[A-Z0-9]{2,32}")


class Wish(StrEnum):
    """What a click asks for."""

    ACKNOWLEDGE = "ack"
    SILENCE = "silence"


_WISHES = {ACKNOWLEDGE: Wish.ACKNOWLEDGE, SILENCE: Wish.SILENCE}


@dataclass(frozen=True, slots=True)
class SlackPerson:
    """Who clicked. In shared channels the person may belong to another workspace: look at both ids."""

    team_id: str
    user_id: str
    name: str = ""
    """As Slack shows it; people choose it themselves, so nothing may depend on it."""


@dataclass(frozen=True, slots=True)
class Click:
    """One click on a button of an alert's message."""

    wish: Wish
    alert_id: str
    person: SlackPerson
    channel: str
    ts: str
    """The clicked message, by which it can be edited."""


@dataclass(frozen=True, slots=True)
class AlertAction:
    """A click of someone who may. `user` is who they are here; `silence_for` goes with SILENCE."""

    wish: Wish
    alert_id: str
    user: str
    click: Click
    silence_for: timedelta | None = None


Allowed = Callable[[Click], str | None]
"""Who the clicking person is here, if they may act on this alert; None if they may not."""
Handler = Callable[[AlertAction], str]
"""Does what is asked and returns the words for the person who clicked. Doing it twice must be harmless.

A `BursarError` is told to them as it is.
"""
Whisper = Callable[[Click, str], None]
"""Tells the clicking person something that nobody else sees."""


def read_clicks(payload: Mapping[str, Any]) -> list[Click]:
    """The clicks on our buttons in a payload of Slack; everything else, also a malformed one, is none."""
    if payload.get("type") != "block_actions":
        return []
    person, container = _mapping(payload, "user"), _mapping(payload, "container")
    user_id, team_id = _text(person, "id"), _text(person, "team_id") or _text(_mapping(payload, "team"), "id")
    channel = _text(container, "channel_id") or _text(_mapping(payload, "channel"), "id")
    ts = _text(container, "message_ts") or _text(_mapping(payload, "message"), "ts")
    if not all(_SLACK_ID.fullmatch(word) for word in (user_id, team_id, channel)) or not ts:
        return []
    who = SlackPerson(team_id, user_id, _text(person, "username") or _text(person, "name"))
    actions = payload.get("actions")
    pressed = [action for action in actions if isinstance(action, Mapping)] if isinstance(actions, list) else []
    return [
        Click(_WISHES[_text(action, "action_id")], _text(action, "value"), who, channel, ts)
        for action in pressed
        if _text(action, "action_id") in _WISHES and _IDENTIFIER.fullmatch(_text(action, "value"))
    ]


def handle_payload(payload: Mapping[str, Any], *, allowed: Allowed, handler: Handler, whisper: Whisper) -> int:
    """Do what the clicks in a payload ask for; how many were handed on. Raises nothing: Slack is not to ask again."""
    return sum(_handle(click, allowed, handler, whisper) for click in read_clicks(payload))


def _handle(click: Click, allowed: Allowed, handler: Handler, whisper: Whisper) -> bool:
    done = False
    try:
        user = allowed(click)
        if user is None:
            words = NOT_ALLOWED
            logger.warning(
                "%s of alert %s refused to Slack user %s of %s",
                click.wish,
                click.alert_id,
                click.person.user_id,
                click.person.team_id,
            )
        else:
            silence_for = SILENCE_FOR if click.wish is Wish.SILENCE else None
            words = handler(AlertAction(click.wish, click.alert_id, user, click, silence_for))
            done = True
    except BursarError as refused:
        words = str(refused)
    except Exception:
        logger.exception("%s of alert %s failed", click.wish, click.alert_id)
        words = FAILED
    try:
        whisper(click, words)
    except Exception as error:  # noqa: BLE001 - what was asked for is done; the message itself will show it
        logger.warning("the answer to a click on alert %s was not delivered: %s", click.alert_id, type(error).__name__)
    return done


def _mapping(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = source.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(source: Mapping[str, Any], name: str) -> str:
    value = source.get(name)
    return value if isinstance(value, str) else ""

"""What a person can do to an alert: acknowledge it, silence it, end a silence."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from dashboard.access import Viewer
from dashboard.acting import LONGEST_REASON, action
from dashboard.frame import organization
from dashboard.reading.alerts import read_scopes
from dashboard.reading.base import database, ledger_url
from dashboard.wording import plural
from engine.alerting.actions import acknowledge_alert, add_silence, end_silence, hidden_titles
from engine.alerting.quieting import Matcher
from engine.alerting.silencing import Scope
from engine.clock import utc_now
from engine.settings import read_settings

LENGTHS = {
    "30 min": timedelta(minutes=30),
    "1 h": timedelta(hours=1),
    "4 h": timedelta(hours=4),
    "1 day": timedelta(days=1),
    "7 days": timedelta(days=7),
    "30 days": timedelta(days=30),
}
USUAL = "1 h"


def acknowledge_button(alert_id: str) -> None:
    """Take the alert on. At three in the morning nobody has to say why."""
    action(
        "Acknowledge", key=f"acknowledge_{alert_id}", needs="operator", icon=":material/how_to_reg:", primary=True,
        fields=lambda: _optional_reason(alert_id), reason=False,
        do=lambda viewer, _, because: acknowledged(viewer, alert_id, because),
    )  # fmt: skip


def acknowledged(viewer: Viewer, alert_id: str, because: str) -> str:
    """Take it on in the viewer's name; the sentence of what came of it."""
    return acknowledge_alert(
        database(ledger_url()), organization(), alert_id, by=viewer.name, now=utc_now(),
        dashboard_url=read_settings().dashboard_url, reason=because.strip()[:LONGEST_REASON],
    )  # fmt: skip


def silence_button(alert_id: str, scopes: tuple[Scope, ...]) -> None:
    """Silence the alert, or more like it."""
    action(
        "Silence", key=f"silence_{alert_id}", needs="operator", icon=":material/notifications_off:",
        fields=lambda: _scope_fields(alert_id, scopes),
        do=lambda viewer, because, asked: silenced(viewer, asked[0].matchers, LENGTHS[asked[1]], because),
    )  # fmt: skip


def silenced(
    viewer: Viewer, matchers: tuple[Matcher, ...], length: timedelta, because: str, after: timedelta = timedelta(0)
) -> str:
    """Make a silence in the viewer's name that begins `after` a while; the sentence says what it hides."""
    now, ledger = utc_now(), database(ledger_url())
    silence = add_silence(
        ledger, organization(), matchers, start=now + after, end=now + after + length, author=viewer.name,
        reason=because, now=now,
    )  # fmt: skip
    with ledger.read() as connection:
        hidden = hidden_titles(connection, organization(), {"": matchers})[""]
    number = plural(len(hidden), "open alert") if hidden else "no open alert so far"
    begins = f"from {silence.start:%d %b, %H:%M} " if after else ""
    return f"Silenced {begins}until {silence.end:%d %b, %H:%M} UTC: {number}"


def end_silence_button(silence_id: str, where: str) -> None:
    """Let people hear again."""
    action(
        "End silence", key=f"end_{where}_{silence_id}", needs="operator", icon=":material/notifications:",
        fields=lambda: None, reason=False, do=lambda viewer, _, __: ended(viewer, silence_id),
    )  # fmt: skip


def ended(viewer: Viewer, silence_id: str) -> str:
    """End a silence in the viewer's name."""
    end_silence(database(ledger_url()), organization(), silence_id, by=viewer.name, now=utc_now())
    return "The silence is over; what it hid and still fires is told now"


def length_field(key: str) -> str:
    """How long a silence lasts."""
    chosen = st.segmented_control("For", list(LENGTHS), default=USUAL, required=True, key=key, width="stretch")
    return chosen or USUAL


def _optional_reason(alert_id: str) -> str:
    return st.text_input(
        "Reason (optional)", max_chars=LONGEST_REASON, key=f"acknowledge_{alert_id}_because",
        placeholder="What you know or will do",
    )  # fmt: skip


def _scope_fields(alert_id: str, scopes: tuple[Scope, ...]) -> tuple[Scope, str]:
    hidden = read_scopes(ledger_url(), organization(), scopes)
    number = st.radio(
        "Hide", range(len(scopes)), key=f"silence_{alert_id}_scope",
        format_func=lambda index: scopes[index].words,
        captions=[hides_words(titles) for titles in hidden],
    )  # fmt: skip
    return scopes[number or 0], length_field(f"silence_{alert_id}_length")


def hides_words(titles: tuple[str, ...]) -> str:
    """`Hides 3 open alerts`."""
    return f"Hides {plural(len(titles), 'open alert')}" if titles else "Hides no open alert now"

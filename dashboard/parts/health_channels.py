"""The channels of the governance document: where each goes, whether it arrives there, and a test of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard.access import Viewer
from dashboard.acting import action
from dashboard.frame import organization
from dashboard.reading.base import database, ledger_url, read_live
from dashboard.reading.health import HealthView, read_tests
from dashboard.wording import clock_time
from engine.alerting.channel_test import queue_test
from engine.clock import utc_now
from engine.document.alert_channels import ChannelSpec
from engine.ledger.queries.channels import ChannelState, ChannelTest, shown_target
from engine.settings import Settings

DELIVERY_WORDS = {
    "waiting": "waiting",
    "queued": "waiting for the worker",
    "sending": "being sent",
    "delivered": "delivered",
    "retry": "failed, will be tried again",
    "unknown": "may have arrived, will be sent again",
    "dead": "could not be delivered",
    "suppressed": "not sent",
}
_ANYWHERE = ""
"""The lane of a channel type that has one place whatever its targets say."""


def channels_tab(view: HealthView, settings: Settings) -> None:
    """All channels with their state and last test; an admin may send a test."""
    live = read_live(ledger_url(), organization())
    channels = {} if live is None else live.document.alerts.channels
    if not channels:
        st.info(
            "The governance document has no channel yet: add alerts.channels to it. Alerts show on the Alerts page.",
            icon=":material/notifications_off:",
        )
        return
    tests = {test.channel: test for test in read_tests(ledger_url(), organization())}
    st.dataframe(
        [channel_row(name, spec, view, settings, tests.get(name)) for name, spec in sorted(channels.items())],
        hide_index=True,
        key="channels",
        alt="Channels with their state, last delivery and last test",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        action(
            "Send a test",
            key="send_test",
            needs="admin",
            icon=":material/send:",
            fields=lambda: st.selectbox("Channel", sorted(channels), key="test_channel"),
            do=lambda viewer, _, name: send(viewer, name, settings.dashboard_url),
            reason=False,
        )
        if tests:
            # The page does not run again by itself.
            st.button("Look again", key="look_at_tests", icon=":material/refresh:", on_click=read_tests.clear)
    st.caption(
        "A test is sent by the worker, in its turn. A channel that was noted as broken gets another try by it. "
        "Channels that are not set up have their messages in the log."
    )


def send(viewer: Viewer, name: str, dashboard_url: str) -> str:
    """Queue a test for one channel; what happens next, in a sentence."""
    queue_test(
        database(ledger_url()), organization(), name, author=viewer.name, now=utc_now(), dashboard_url=dashboard_url
    )
    return f"A test message for {name} is queued; its state is in the list of channels."


def channel_row(
    name: str, spec: ChannelSpec, view: HealthView, settings: Settings, test: ChannelTest | None
) -> dict[str, str]:
    """One channel for the table. Of a webhook only where it goes: the rest of its address is a secret."""
    state = _lane_of(spec, view.channels)
    if state is not None and state.broken:
        word = f"Broken: {state.broken_reason}"
    elif not is_set_up(spec, settings):
        word = "Not set up: goes to the log"
    elif state is not None and state.paused_until is not None and state.paused_until > view.now:
        word = f"Paused until {clock_time(state.paused_until, view.now)}"
    else:
        word = "Works" if state is not None and state.last_delivered_at is not None else "Not used lately"
    delivered = None if state is None else state.last_delivered_at
    return {
        "Channel": name,
        "Kind": spec.kind,
        "Goes to": shown_target(spec.target) or "the log",
        "State": word,
        "Last delivered": "–" if delivered is None else clock_time(delivered, view.now),
        "Last test": "–" if test is None else test_words(test, view.now),
    }


def test_words(test: ChannelTest, now: datetime) -> str:
    """What became of a test: `delivered, 09:42:10 UTC`."""
    word = DELIVERY_WORDS.get(test.state, test.state)
    if test.state == "delivered" and test.by not in (None, test.channel_type):
        word = f"delivered to the {test.by} instead"
    at = clock_time(test.delivered_at or test.created_at, now)
    why = f": {test.error}" if test.error and test.state != "delivered" else ""
    return f"{word}, {at}{why}"


def is_set_up(spec: ChannelSpec, settings: Settings) -> bool:
    """Whether this process knows how to reach the kind of channel; the worker has the same settings."""
    match spec.kind:
        case "slack":
            return settings.slack_token is not None or settings.slack_webhook_url is not None
        case "email":
            return settings.smtp_url is not None
        case "webhook":
            return settings.webhook_secret is not None
        case _:
            return True


def _lane_of(spec: ChannelSpec, states: Sequence[ChannelState]) -> ChannelState | None:
    names = (spec.target, f"#{spec.target.lstrip('#')}", _ANYWHERE)
    known = {state.target: state for state in states if state.channel_type == spec.kind}
    return next((known[name] for name in names if name in known), None)

"""The head of every page: title, the one question it answers, how fresh its data is, what is firing or silent."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from dashboard.frame import organization
from dashboard.reading.base import Health, ledger_url, read_health
from dashboard.wording import clock_time, duration, percent, plain, plural

DELIVERY_JOBS = ("deliver-slack", "deliver-email", "deliver-webhook", "deliver-log")
SILENT_AFTER = timedelta(seconds=30)
"""A job that has not succeeded for longer is called silent."""
SAID = "said"
"""Where an action leaves the sentence that the next run of the page shows."""


def page_head(title: str, question: str) -> Health:
    """The page's head. Returns what it says, for parts that need the same."""
    health = read_health(ledger_url(), organization())
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title(title, anchor=False)
        st.page_link(
            "app_pages/alerts.py",
            label=firing_words(health),
            icon=":material/notifications_active:" if health.firing else ":material/notifications:",
            query_params={"org": organization()},
            width="content",
        )
    st.caption(f"{question} · {plain(organization())}")
    st.caption(f":material/schedule: {plain(freshness(health))}")
    warning = silence(health)
    if warning:
        st.warning(plain(warning), icon=":material/sync_problem:")
    if health.broken_channels:
        st.error(plain(health.broken_channels), icon=":material/notifications_off:")
    said = st.session_state.pop(SAID, None)
    if said:
        st.success(plain(said), icon=":material/check_circle:")
    return health


def freshness(health: Health) -> str:
    """`Data to 09:42:10 UTC, 98.1 % of this month's cost settled`."""
    if health.drained_through is None:
        return "No data has reached the ledger yet"
    line = f"Data to {clock_time(health.drained_through, health.now)}"
    if health.settled_cost_share is not None:
        line += f", {percent(min(health.settled_cost_share, 1.0))} of this month's cost settled"
    return line


def firing_words(health: Health) -> str:
    """`2 alerts firing`, coloured by the worst of them."""
    number = sum(health.firing.values())
    if not number:
        return "Nothing firing"
    colour = "red" if health.firing.get("critical") or health.firing.get("management") else "orange"
    return f":{colour}[**{plural(number, 'alert')} firing**]"


def silence(health: Health) -> str | None:
    """What stands still because a job is silent, in words; None when all jobs work."""
    ledger, evaluate = (is_silent(health, job) for job in ("ledger", "evaluate"))
    unsent = next((job for job in DELIVERY_JOBS if is_silent(health, job)), None)
    parts = []
    if ledger:
        parts.append(
            f"The ledger worker has been silent {_since(health, 'ledger')}: "
            "calls are still decided, but these numbers stand still."
        )
    if evaluate and unsent:
        parts.append(f"Alerts have been neither evaluated nor sent {_since(health, 'evaluate')}.")
    elif evaluate:
        parts.append(f"Alerts have not been evaluated {_since(health, 'evaluate')}.")
    elif unsent:
        parts.append(f"Notifications have not been sent {_since(health, unsent)}.")
    return " ".join(parts) or None


def is_silent(health: Health, job: str) -> bool:
    """Whether a job has not succeeded within `SILENT_AFTER`."""
    last = health.last_successes.get(job)
    return last is None or health.now - last > SILENT_AFTER


def _since(health: Health, job: str) -> str:
    last = health.last_successes.get(job)
    if last is None:
        return "since the start"
    return f"since {clock_time(last, health.now)} ({duration(health.now - last)})"

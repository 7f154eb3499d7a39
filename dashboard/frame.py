"""What surrounds every page: organization, title, freshness, and the states empty, stale and failed."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import streamlit as st

from dashboard.palette import Palette, palette_for
from dashboard.reading import Health, ledger_url, read_organizations
from dashboard.wording import clock_time, duration, percent, plain
from engine.errors import BursarError, DatabaseError, InvalidValue

LIVE_SECONDS = 4
"""How often live parts look again."""
DELIVERY_JOBS = ("deliver-slack", "deliver-email", "deliver-webhook", "deliver-log")
SILENT_AFTER = timedelta(seconds=30)
"""A job that has not succeeded for longer is called silent."""

_log = logging.getLogger("bursar.dashboard")


@contextmanager
def failures_explained(*, retry: bool = True) -> Iterator[None]:
    """Show a sentence and a reference instead of a traceback; the log has the rest under that reference.

    With `retry` the page tries again by itself; a live part, which does so anyway, says `retry=False`.
    """
    try:
        yield
        return
    except DatabaseError as error:
        _explain("The ledger database cannot be read.", error)
    except InvalidValue as error:
        _explain(f"A setting cannot be used: {plain(str(error))}.", error)
    except Exception as error:  # noqa: BLE001 - the last stop: a person must not see a traceback
        _explain("This page could not be shown.", error)
    if retry:
        look_again()


def _explain(sentence: str, error: Exception) -> None:
    # One failure that lasts is logged once, not at every look.
    known: dict[str, str] = st.session_state.setdefault("failures", {})
    cause = f"{type(error).__name__}: {error}"
    if cause not in known:
        if len(known) >= 50:
            known.clear()
        known[cause] = secrets.token_hex(4)
        # What an operator has to mend says so in its message; anything else is ours to find.
        ours = None if isinstance(error, BursarError) else error
        _log.error("dashboard failure, reference %s: %s", known[cause], error, exc_info=ours)
    st.error(f"{sentence} It is tried again every few seconds. Reference: `{known[cause]}`", icon=":material/error:")


def look_again() -> None:
    """Run the page again in a moment: for states that pass by themselves."""
    shown_at = time.monotonic()

    @st.fragment(run_every=LIVE_SECONDS)
    def wait() -> None:
        if time.monotonic() - shown_at > LIVE_SECONDS / 2:
            st.rerun()

    wait()


def choose_organization() -> None:
    """Take the organization from `?org=` or the sidebar; stop with a next step when there is none."""
    states = {state.org_id: state for state in read_organizations(ledger_url())}
    names = list(states)
    if not names:
        st.session_state.pop("organization", None)
        st.title("Bursar")
        nothing_yet("No organization yet", "This ledger is empty: run `bursar demo`, or make a first check.")
        look_again()
        st.stop()
    asked_for = st.query_params.get("org")
    if asked_for and asked_for not in names:
        st.title("Bursar")
        st.warning(f"The organization {plain(asked_for)} is not in this ledger.", icon=":material/help:")
        st.button(f"Show {names[0]} instead", on_click=st.query_params.clear)
        st.stop()
    if len(names) == 1:
        st.session_state["organization"] = names[0]
    else:
        with st.sidebar:
            st.session_state["organization"] = st.selectbox("Organization", names, key="org", bind="query-params")
    st.session_state["organization_since"] = states[st.session_state["organization"]].created_at


def organization() -> str:
    """The chosen organization."""
    return str(st.session_state["organization"])


def organization_since() -> datetime:
    """When the chosen organization became known to the ledger."""
    since: datetime = st.session_state["organization_since"]
    return since


def nothing_yet(title: str, next_step: str) -> None:
    """The empty state: why, and what to do."""
    st.info(f"{next_step} The page fills by itself.", title=title, icon=":material/hourglass_empty:")


def colours() -> Palette:
    """The palette for the appearance that the viewer's browser shows."""
    return palette_for(st.context.theme.type)


def page_head(title: str, question: str) -> None:
    """The page's title and the one question it answers."""
    st.title(title, anchor=False)
    st.caption(f"{question} · {plain(organization())}")


def freshness(health: Health, settled_share: float | None = None) -> None:
    """Say how far the data reaches; warn when a job is silent."""
    if health.drained_through is None:
        line = "No data has reached the ledger yet"
    else:
        line = f"Data to {clock_time(health.drained_through, health.now)}"
    if settled_share is not None:
        line += f" · {percent(settled_share)} of this month's calls settled"
    st.caption(f":material/schedule: {plain(line)} · times and days are UTC")
    warning = silence(health)
    if warning:
        st.warning(plain(warning), icon=":material/sync_problem:")
    if health.broken_channels:
        st.error(plain(health.broken_channels), icon=":material/notifications_off:")


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

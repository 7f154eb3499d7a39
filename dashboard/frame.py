"""What surrounds every page: its organization, and the states empty, not permitted and failed."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import streamlit as st

from dashboard.access import NotPermitted, open_to_viewer, require
from dashboard.palette import Palette, palette_for
from dashboard.reading.base import database, ledger_url, read_organizations
from dashboard.wording import plain
from engine.errors import BursarError, DatabaseError, InvalidValue
from engine.ledger.migrate import newest_version, older_version

AGAIN_SECONDS = 4
"""How soon a page that failed or has nothing yet looks again."""

_log = logging.getLogger("bursar.dashboard")


@contextmanager
def failures_explained(*, retry: bool = True) -> Iterator[None]:
    """Show a sentence and a reference instead of a traceback; the log has the rest under that reference.

    With `retry` the page tries again by itself; a live part, which does so anyway, says `retry=False`.
    """
    try:
        if not retry:
            # A live part runs without the page around it, and a role may have been taken away since.
            require(organization(), "viewer")
        yield
        return
    except NotPermitted as refused:
        not_permitted(str(refused))
        return
    except DatabaseError as error:
        _explain(_other_tables(of_file=True) or "The ledger database cannot be read.", error)
    except InvalidValue as error:
        _explain(f"A setting cannot be used: {plain(str(error))}.", error)
    except Exception as error:  # noqa: BLE001 - the last stop: a person must not see a traceback
        _explain(_other_tables(of_file=False) or "This page could not be shown.", error)
    if retry:
        look_again()


def not_permitted(sentence: str) -> None:
    """The state of a page or a part that the viewer's role does not open."""
    st.warning(plain(f"{sentence[:1].upper()}{sentence[1:]}."), title="Not permitted", icon=":material/lock:")


def _other_tables(*, of_file: bool) -> str | None:
    """What to do about tables of another Bursar. A file has no column for the same reason as it cannot be opened.

    PostgreSQL tells the two apart, and is not asked again when it does not answer.
    """
    try:
        ledger = database(ledger_url())
        found = older_version(ledger) if ledger.is_sqlite is of_file else None
    except Exception:  # noqa: BLE001 - what is wrong is being said already
        return None
    if found is None:
        return None
    tables = f"The tables of the ledger have version {found}, these pages work with {newest_version()}."
    return f"{tables} {'Run `bursar migrate`.' if found < newest_version() else 'Install the newer Bursar.'}"


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

    @st.fragment(run_every=AGAIN_SECONDS)
    def wait() -> None:
        if time.monotonic() - shown_at > AGAIN_SECONDS / 2:
            st.rerun()

    wait()


def choose_organization() -> None:
    """Take the organization from `?org=`; stop with a next step when there is none."""
    states = {state.org_id: state for state in read_organizations(ledger_url())}
    names = open_to_viewer(states)
    if not names:
        st.session_state.pop("organization", None)
        st.title("Bursar")
        nothing_yet("No organization yet", "This ledger is empty: run `bursar demo`, or make a first check.")
        look_again()
        st.stop()
    asked_for = st.query_params.get("org")
    if asked_for and asked_for not in names:
        st.title("Bursar")
        unknown = f"The organization {plain(asked_for)} is not in this ledger, or not open to you."
        st.warning(unknown, icon=":material/help:")
        st.button(f"Show {names[0]} instead", on_click=st.query_params.clear)
        st.stop()
    st.session_state["organizations"] = names
    # The filter row of the page lets the viewer choose another.
    st.session_state["organization"] = asked_for or names[0]
    st.session_state["organization_since"] = states[st.session_state["organization"]].created_at


def organization() -> str:
    """The chosen organization."""
    return str(st.session_state["organization"])


def organizations() -> list[str]:
    """All that the viewer may choose among."""
    return list(st.session_state["organizations"])


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

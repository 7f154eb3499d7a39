"""Buttons that change something: who may, why, what was done. The role is looked at again when it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from dashboard.access import Role, Viewer, current_viewer, may, require
from dashboard.frame import organization
from dashboard.head import SAID
from dashboard.wording import plain
from engine.document.authorship import one_line
from engine.errors import BursarError

LONGEST_REASON = 500
_SUBMIT = "_submit"

Asked = TypeVar("Asked")


def action(
    label: str,
    *,
    key: str,
    needs: Role,
    fields: Callable[[], Asked],
    do: Callable[[Viewer, str, Asked], str],
    icon: str,
    confirm: str | None = None,
    reason: bool = True,
    primary: bool = False,
) -> None:
    """A button that opens a form: the fields, a reason, and a button that does it.

    `fields` draws the widgets (keys of its own) and returns what they say. `do` gets who asks, the reason and that; it
    changes the ledger, writes the audit entry in the same transaction and returns a sentence for people. What it
    refuses (a `BursarError`) is shown beside the form, and what was typed stays.
    """
    viewer = current_viewer(organization())
    permitted = may(viewer, needs)
    # Another key once it is done: the form closes and its reason is empty, so that nobody does it twice unawares.
    done = f"{key}_done"
    times = int(st.session_state.get(done, 0))
    own = f"{key}_{times}" if times else key
    why = None if permitted else f"Needs the role {needs}; you have {viewer.role or 'none'}."
    with (
        st.popover(
            label, icon=icon, disabled=not permitted, help=why, key=own, type="primary" if primary else "secondary"
        ),
        st.form(f"{own}_form", border=False, enter_to_submit=False),
    ):
        asked = fields()
        because = st.text_input("Reason", max_chars=LONGEST_REASON, key=f"{own}_reason") if reason else ""
        st.caption(f"Recorded in the audit log as {plain(viewer.name)}.")
        if st.form_submit_button(confirm or label, type="primary", key=f"{own}{_SUBMIT}"):
            refused = perform(needs, because, asked, do, reason=reason)
            if refused is None:
                st.session_state[done] = times + 1
                st.rerun()
            st.error(plain(refused), icon=":material/error:")


def as_shown(key: str, live: int) -> int:
    """The version that an action is to be based on, given the live one; `key` remembers it for the session.

    When a button was pressed it is the one that was shown with the button, and not what has become live since: nothing
    that nobody looked at is changed. At any other run it is the live one, which is being shown.
    """
    pressed = any(str(name).endswith(_SUBMIT) and value is True for name, value in st.session_state.items())
    shown = int(st.session_state.get(key, live)) if pressed else live
    st.session_state[key] = live
    return shown


def perform(
    needs: Role, because: str, asked: Asked, do: Callable[[Viewer, str, Asked], str], *, reason: bool = True
) -> str | None:
    """Do it if the viewer may now; None when done, else why not. The sentence shows at the top of the next run."""
    if reason and not because.strip():
        return "Reason: say why, in a few words."
    try:
        why = one_line(" ".join(because.split()), "reason", LONGEST_REASON) if reason else ""
        viewer = require(organization(), needs)
        said = do(viewer, why, asked)
    except BursarError as error:
        text = str(error)
        return f"{text[:1].upper()}{text[1:]}."
    # Everybody must see what was changed, at once.
    st.cache_data.clear()
    st.session_state[SAID] = said
    return None

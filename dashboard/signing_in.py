"""Signing in and out, as a person sees it."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

import streamlit as st

from dashboard.access import Viewer, current_viewer, open_to_viewer, signed_in_claims
from dashboard.destination import FAILED, destination_of
from dashboard.entrance import SIGN_IN_PATH
from dashboard.frame import failures_explained
from dashboard.reading.base import ledger_url, read_organizations
from dashboard.roles import LONGEST_SIGN_IN
from dashboard.wording import plain
from engine.settings import SignIn, read_settings

_LINK_STYLE = (
    "display:inline-block;padding:0.5rem 1.25rem;border-radius:0.5rem;background:#173F8A;color:#FFFFFF;"
    "text-decoration:none;font-weight:600"
)


def gate() -> None:
    """Let in who may see something; others see what to do, and the page ends here.

    1. Settings that cannot be used let nobody in.
    2. Without sign-in everybody is let in: the server answers to this machine only.
    3. Who has not signed in, or not recently, is asked to.
    4. Who has no role anywhere is told whom and what to ask for.
    """
    let_in = False
    with failures_explained():
        let_in = _is_let_in()
    if not let_in:
        st.stop()


def sidebar(viewer: Viewer) -> None:
    """Who looks, with which role, and the way out."""
    with st.sidebar:
        if not viewer.signed_in:
            st.caption(":material/lock_open: No sign-in configured: this machine only")
        role = "no role here" if viewer.role is None else f"role {viewer.role}"
        st.caption(f":material/person: {plain(viewer.name)} · {role}")
        if viewer.signed_in:
            _sign_out_button()


def _is_let_in() -> bool:
    sign_in = read_settings().sign_in
    if sign_in is None:
        return True
    if signed_in_claims(sign_in) is None:
        _ask_to_sign_in(sign_in)
        return False
    viewer = current_viewer(None)
    if viewer.role is not None:
        return True
    if open_to_viewer(state.org_id for state in read_organizations(ledger_url())):
        return True
    _explain_no_role(viewer)
    return False


def _ask_to_sign_in(sign_in: SignIn) -> None:
    st.title("Bursar", anchor=False)
    asked = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    if FAILED in asked:
        st.error(
            "Signing in did not work: it was given up, or the answer of the sign-in server was refused. Try again. "
            "If it stays so, whoever runs Bursar finds the reason in the log of the pages.",
            icon=":material/error:",
        )
    elif st.user.get("is_logged_in"):
        hours = LONGEST_SIGN_IN.total_seconds() / 3600
        st.info(f"A sign-in lasts {hours:.0f} hours, and yours is over. Sign in again.", icon=":material/schedule:")
    else:
        st.write("Sign in to see these pages. You come back to the page you asked for.")
    # The configured address, whatever name this server was reached by: only there does the sign-in cookie count.
    address = f"{sign_in.origin}{SIGN_IN_PATH}?next={quote(destination_of(st.context.url, asked), safe='')}"
    # A link button would open another tab.
    st.markdown(f'<a href="{escape(address)}" target="_self" style="{_LINK_STYLE}">Sign in</a>', unsafe_allow_html=True)


def _explain_no_role(viewer: Viewer) -> None:
    st.title("Bursar", anchor=False)
    st.warning(
        f"{plain(viewer.name)} is signed in and has no role here. Ask whoever runs Bursar for the role viewer: "
        "in the governance document of your organization (`access.roles`), or at your sign-in provider.",
        title="No permission",
        icon=":material/lock:",
    )
    _sign_out_button()


def _sign_out_button() -> None:
    if st.button("Sign out", icon=":material/logout:", key="sign_out"):
        st.logout()

"""Who may do what on the pages, and how people sign in."""

from __future__ import annotations

import streamlit as st

from dashboard.access import Viewer, may
from dashboard.frame import organization
from dashboard.reading.base import ledger_url, read_live
from dashboard.roles import ROLES
from dashboard.wording import plain
from engine.settings import Settings

MEANINGS = {
    "viewer": "sees the pages",
    "operator": "also acknowledges and silences alerts, and raises a budget for a while",
    "engineer": "also approves, rejects and rolls back prices, and exports decisions",
    "admin": "also changes limits for good, rolls the document back, sends tests, sees settings and the audit log",
}


def access_tab(viewer: Viewer, settings: Settings) -> None:
    """The viewer's own role, everybody's, and the way in."""
    st.markdown(f"You are **{plain(viewer.name)}** with the role **{viewer.role or 'none'}**.")
    sign_in = settings.sign_in
    if sign_in is None:
        st.info(
            "Sign-in is not configured, so the pages answer on this machine only, and whoever opens them has the role "
            f"{settings.local_role}. Set BURSAR_OIDC_ISSUER and what belongs to it to serve others.",
            icon=":material/lock_open:",
        )
    else:
        st.success(
            plain(
                f"People sign in with OpenID Connect at {sign_in.metadata_url}. The claim "
                f"{settings.oidc_role_claim} gives roles, and so does the governance document."
            ),
            icon=":material/lock:",
        )
    live = read_live(ledger_url(), organization())
    roles = {} if live is None else dict(live.document.access.roles)
    admins_only = not may(viewer, "admin")
    if admins_only:
        # Whom to ask is for everybody; the rest of the list is for those who keep it.
        roles = {address: role for address, role in roles.items() if role == "admin"}
    if roles:
        st.dataframe(
            [
                {"Person": address, "Role": role, "May": MEANINGS[role]}
                for address, role in sorted(roles.items(), key=lambda pair: (-ROLES.index(pair[1]), pair[0]))
            ],
            hide_index=True,
            key="roles",
            alt="People with a role by the governance document, those who may do the most first",
        )
        if admins_only:
            st.caption("Only admins are listed: ask one of them for another role.")
    else:
        st.caption("The governance document gives nobody a role: `access.roles` in it does.")
    with st.expander("What each role may do"):
        st.table({role: MEANINGS[role] for role in ROLES}, border="horizontal", alt="What each role may do")

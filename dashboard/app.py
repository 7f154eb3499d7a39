"""The house: navigation, organization and the last stop for failures. Pages are scripts in `app_pages/`.

A folder named `pages` beside this file would be taken over by Streamlit: the first visitor of a fresh server who
comes by a link to a page would get that page without its house.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dashboard.access import current_viewer, require
from dashboard.frame import choose_organization, failures_explained, organization
from dashboard.menu import menu
from dashboard.signing_in import gate, sidebar


def _page(script: str, title: str, icon: str, question: str, url_path: str | None = None) -> StreamlitPage:
    return st.Page(
        f"app_pages/{script}.py", title=title, icon=f":material/{icon}:", url_path=url_path or script, help=question
    )


SPEND = _page("spend", "Spend", "payments", "Are we on plan, and if not, who moved it?")
BUDGETS = _page("budgets", "Budgets", "account_balance_wallet", "Which budget runs out first?")
ALERTS = _page("alerts", "Alerts", "notifications", "What needs a person now?")
RATE_LIMITS = _page(
    "rate_limits", "Rate limits", "speed", "Who is throttled, and is the limiter healthy?", "rate-limits"
)
POLICY_DENIALS = _page(
    "policy_denials", "Policy denials", "policy", "Are we blocking the right things?", "policy-denials"
)
ESTIMATES = _page(
    "estimates", "Estimate vs actual", "query_stats", "Which price is wrong, by how much, is the fix better?"
)
DECISIONS = _page("decisions", "Decisions", "rule", "Why was this call allowed, denied or charged this?")
HEALTH = _page("health", "Settings & health", "health_and_safety", "Can I trust what I see?")

# Which page a person who signed in with this role comes for.
FIRST = {"viewer": SPEND, "operator": ALERTS, "engineer": ESTIMATES, "admin": HEALTH}


def land() -> None:
    """Send the bare address on to a page, so that every page has exactly one address."""
    viewer = current_viewer(st.query_params.get("org"))
    first = FIRST.get(viewer.role or "viewer", SPEND) if viewer.signed_in else SPEND
    st.switch_page(first, query_params=st.query_params.to_dict())


GROUPS = {
    "Overview": [SPEND, BUDGETS],
    "Operate": [ALERTS, RATE_LIMITS, POLICY_DENIALS],
    "Investigate": [ESTIMATES, DECISIONS, HEALTH],
}

# A file: an icon given by name would be fetched from another host.
ICON = Path(__file__).with_name("icon.svg")
st.set_page_config(page_title="Bursar", page_icon=ICON, layout="wide")
st.logo(ICON, size="large")
gate()
landing = st.Page(land, title="Bursar", default=True, visibility="hidden")
page = st.navigation([landing, *chain.from_iterable(GROUPS.values())], position="hidden")
with failures_explained():
    if page.url_path:
        choose_organization()
        menu(GROUPS)
        sidebar(require(organization(), "viewer"))
    page.run()

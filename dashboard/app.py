"""The house: navigation, organization and the last stop for failures. Pages are scripts in `app_pages/`.

A folder named `pages` beside this file would be taken over by Streamlit: the first visitor of a fresh server who
comes by a link to a page would get that page without its house.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.frame import choose_organization, failures_explained

SPEND = st.Page(
    "app_pages/spend.py",
    title="Spend",
    icon=":material/payments:",
    url_path="spend",
    help="Are we on plan, and if not, who moved it?",
)
DECISIONS = st.Page(
    "app_pages/decisions.py",
    title="Decisions",
    icon=":material/rule:",
    url_path="decisions",
    help="Why was this call allowed, denied or charged this?",
)


def land() -> None:
    """Send the bare address on to a page, so that every page has exactly one address."""
    st.switch_page(SPEND, query_params=st.query_params.to_dict())


PAGES = {
    "": [st.Page(land, title="Bursar", default=True, visibility="hidden")],
    "Overview": [SPEND],
    "Investigate": [DECISIONS],
}

# A file: an icon given by name would be fetched from another host.
ICON = Path(__file__).with_name("icon.svg")
st.set_page_config(page_title="Bursar", page_icon=ICON, layout="wide")
st.logo(ICON, size="large")
page = st.navigation(PAGES)
with failures_explained():
    if page.url_path:
        choose_organization()
    page.run()

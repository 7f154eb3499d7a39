"""The menu in the sidebar: groups of pages, each link with the organization and the filters that all pages share.

Streamlit's own menu forgets the address, so that the next page would be about the first organization again, and its
lists have sections between their items, which screen readers stumble over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st
from streamlit.navigation.page import StreamlitPage

KEPT = ("org", "team", "provider", "agent")
"""Parameters of the address that go along to the next page."""


def menu(groups: Mapping[str, Sequence[StreamlitPage]]) -> None:
    """Show the menu. Called when the page has chosen its organization."""
    kept = {name: st.query_params[name] for name in KEPT if name in st.query_params}
    with st.sidebar:
        for group, pages in groups.items():
            st.caption(group)
            for page in pages:
                st.page_link(page, query_params=kept, width="stretch")

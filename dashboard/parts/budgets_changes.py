"""Which versions of the document changed a budget."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.frame import organization
from dashboard.parts.health_document import change_line
from dashboard.wording import plain
from engine.document.budget_history import MOST_VERSIONS, BudgetChange

MOST_SHOWN = 20
PIXELS = 300


def change_log(changes: Sequence[BudgetChange], budget_id: str) -> None:
    """Newest first: who, when, why, and what was before."""
    with st.container(border=True):
        st.markdown(f"**Change log of {plain(budget_id)}**")
        if not changes:
            st.caption(f"None of the last {MOST_VERSIONS} versions changed it.")
            return
        shown = changes[:MOST_SHOWN]
        with st.container(height=PIXELS if len(shown) > 4 else "content", border=False):
            for change in shown:
                record = change.record
                head = f"**Version {record.version}** · {record.created_at:%d %b %Y %H:%M} UTC · {plain(record.author)}"
                reason = f"  \n:gray[{plain(record.reason)}]" if record.reason else ""
                lines = "".join(f"  \n{change_line(each)}" for each in change.changes)
                st.markdown(f"{head}{reason}{lines}")
        st.page_link(
            "app_pages/health.py", label="All versions", icon=":material/history:", width="content",
            query_params={"org": organization(), "tab": "Document"},
        )  # fmt: skip

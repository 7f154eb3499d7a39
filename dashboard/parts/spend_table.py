"""The table of who spent what, and where a chosen row leads."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.cards import download
from dashboard.frame import organization
from dashboard.parts.spend_rows import LINE_DAYS, Row, cells_of, file_rows
from dashboard.reading.spend import Level
from dashboard.wording import plain

ROWS_IN_VIEW = 12
TABLE_PIXELS = 460


def budgets_of(org_id: str, level: Level, name: str) -> dict[str, str]:
    """The parameters of the Budgets page about one row; calls without a team have no page of their own."""
    return {"org": org_id, level: name} if name else {"org": org_id}


def show_table(rows: Sequence[Row], level: Level, words: str, known: int) -> None:
    """The rows, the dearest first; choosing one opens its budgets."""
    st.subheader(f"{level.capitalize()}s by spend in {words}", anchor=False)
    more = f" The {len(rows)} that spent most of {known}." if known > len(rows) else ""
    st.caption(f"Choose a row to see its budgets.{more} Month, forecast and line are in the organization's days.")
    key = f"spend_{level}"
    chosen = st.dataframe(
        cells_of(rows, level, words),
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        placeholder="–",
        height="content" if len(rows) <= ROWS_IN_VIEW else TABLE_PIXELS,
        alt=f"Spend by {level}, the most expensive first",
        column_config={
            level.capitalize(): st.column_config.TextColumn(pinned=True),
            f"Spent, {words}": st.column_config.NumberColumn("Spent", format="$%.2f", help=f"In {plain(words)}."),
            "Month to date": st.column_config.NumberColumn(format="$%.2f"),
            "Budget used": st.column_config.ProgressColumn(
                format="%.0f %%", min_value=0, max_value=100, help="Of the fullest monthly budget that is its own."
            ),
            "Month forecast": st.column_config.NumberColumn(
                format="$%.2f", help="Month to date, and the mean of the last 7 days for each day that is left."
            ),
            f"Last {LINE_DAYS} days": st.column_config.LineChartColumn(y_min=0, help="Spend per day."),
            "Alerts firing": st.column_config.NumberColumn("Alerts", help="Firing now."),
            "ROI": st.column_config.NumberColumn(
                format="%.0f %%",
                help="(Value - cost) / cost. The value of a success is value_per_success_usd in the document.",
            ),
        },
    ).selection.rows
    download(file_rows(rows, level, words), key)
    # The row was chosen among those shown then; newer data may have changed their order since.
    shown = st.session_state.get(f"{key}_shown", [])
    st.session_state[f"{key}_shown"] = [row.name for row in rows]
    if chosen and chosen[0] < len(shown):
        st.switch_page("app_pages/budgets.py", query_params=budgets_of(organization(), level, shown[chosen[0]]))

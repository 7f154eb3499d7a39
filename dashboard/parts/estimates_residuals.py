"""The calls farthest from their estimate, each a way to its decision."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.bias_words import signed_money, signed_percent
from dashboard.cards import download
from dashboard.frame import organization
from dashboard.wording import count
from engine.ledger.queries.estimates import LATEST_DECISIONS, SettledCall
from engine.money import format_usd

ROWS_IN_VIEW = 12
LIST_PIXELS = 455


def residuals(calls: Sequence[SettledCall]) -> None:
    """The table."""
    st.subheader("Largest differences", anchor=False)
    if not calls:
        st.caption("No settled call in this range.")
        return
    st.caption(
        f"Among the newest {count(LATEST_DECISIONS)} decisions of the range, by the size of the difference; of a team, "
        "provider or model, those of its newest 24 hours with calls. Choose a row to see its decision."
    )
    chosen = st.dataframe(
        residual_rows(calls), hide_index=True, key="residuals", on_select="rerun", selection_mode="single-row",
        alt="Calls farthest from their estimate", height="content" if len(calls) <= ROWS_IN_VIEW else LIST_PIXELS,
    ).selection.rows  # fmt: skip
    download(residual_rows(calls), "residuals")
    # The row was chosen among those shown then; newer calls may have changed their order since.
    shown = st.session_state.get("residuals_shown", [])
    st.session_state["residuals_shown"] = [call.decision_id for call in calls]
    target = decision_of(chosen, shown)
    if target is not None:
        st.switch_page("app_pages/decisions.py", query_params=target)


def decision_of(chosen: Sequence[int], shown: Sequence[str]) -> dict[str, str] | None:
    """The address of the decision in the chosen row."""
    if not chosen or chosen[0] >= len(shown):
        return None
    return {"org": organization(), "decision": shown[chosen[0]]}


def residual_rows(calls: Sequence[SettledCall]) -> list[dict[str, str]]:
    """One row a call."""
    return [
        {
            "Time (UTC)": f"{call.at:%d %b %H:%M:%S}",
            "Agent": call.agent_id,
            "Provider": call.provider,
            "Model": call.model or "–",
            "Estimate": format_usd(call.estimate_micros),
            "Actual": format_usd(call.actual_micros),
            "Difference": signed_money(call.residual_micros),
            "Bias": signed_percent(call.residual_micros / call.estimate_micros) if call.estimate_micros else "–",
            "Price book": call.price_book_version,
        }
        for call in calls
    ]

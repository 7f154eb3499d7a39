"""Spend: whether we are on plan, and if not, who moved it."""

from __future__ import annotations

from typing import cast

import streamlit as st

from dashboard.charts import BUDGET_BARS, Chart, budget_use, decisions_over_time, spend_over_time
from dashboard.frame import (
    LIVE_SECONDS,
    colours,
    failures_explained,
    freshness,
    nothing_yet,
    organization,
    organization_since,
    page_head,
)
from dashboard.notices import notifications
from dashboard.reading import SpendView, ledger_url, read_spend
from dashboard.windows import RANGES, first_range
from dashboard.wording import count, money, named, percent, plain, plural
from engine.clock import utc_now
from engine.ledger.queries.spend import Split

SPLITS = ["Agent", "Provider", "Team"]

page_head("Spend", "Are we on plan, and if not, who moved it?")
org_id = organization()
opens_on = first_range(organization_since(), utc_now())
with st.container(horizontal=True, vertical_alignment="bottom"):
    range_key = st.segmented_control(
        "Range", list(RANGES), default=opens_on, required=True, key="range", bind="query-params"
    )
    by = st.segmented_control("Split by", SPLITS, default="Agent", required=True, key="by", bind="query-params")
words = RANGES[range_key or opens_on][0]


def numbers(view: SpendView) -> None:
    """The five numbers that answer the question."""
    month, fullest = view.month, next((budget for budget in view.budgets if budget.used_share is not None), None)
    cards = st.grid(5, min_column_width=150)
    cards.metric(
        "Spent this month",
        money(month.spent_micros),
        help="Settled cost since the first of the month (UTC), and expired holds at their reserve.",
        delta=f"{money(view.today_micros)} today",
        delta_color="off",
        delta_arrow="off",
        border=True,
    )
    cards.metric(
        "Held now",
        money(view.holds.held_micros),
        help="Reserved for calls that were allowed and are not settled yet.",
        delta=plural(view.holds.count, "open call"),
        delta_color="off",
        delta_arrow="off",
        border=True,
    )
    cards.metric(
        "Fullest budget",
        "–" if fullest is None else percent(fullest.used_share or 0),
        help="Spent money as a share of the limit, of the budget that is used most.",
        delta="no money limit" if fullest is None else plain(fullest.scope),
        delta_color="off",
        delta_arrow="off",
        border=True,
    )
    cards.metric(
        "Allowed this month",
        count(month.allowed),
        delta=f"{plural(month.expired, 'hold')} expired",
        delta_color="off",
        delta_arrow="off",
        border=True,
    )
    cards.metric(
        "Denied this month",
        count(month.denied),
        delta=f"{percent(month.denied / month.decisions)} of all calls" if month.decisions else "no calls",
        delta_color="off",
        delta_arrow="off",
        border=True,
    )


def card(chart: Chart, key: str, note: str) -> None:
    """One chart under its finding, with the same as a table."""
    with st.container(border=True):
        st.markdown(f"**{plain(chart.title)}**")
        st.plotly_chart(
            chart.figure, width="stretch", key=key, alt=chart.alt, config={"displayModeBar": False, "responsive": True}
        )
        st.caption(note)
        with st.expander("As a table"):
            st.dataframe(chart.rows, hide_index=True, key=f"{key}_table", alt=chart.alt)


def agents(view: SpendView) -> None:
    """Who spent it."""
    total = sum(agent.sums.spent_micros for agent in view.agents)
    st.subheader(f"Agents in {words}", anchor=False)
    st.caption("Choose a row to see the decisions of its agent.")
    chosen = st.dataframe(
        [
            {
                "Agent": agent.agent_id,
                "Team": named(agent.team_id),
                "Provider": agent.provider,
                "Spent": money(agent.sums.spent_micros),
                "Share": 100 * agent.sums.spent_micros / total if total else 0.0,
                "Allowed": agent.sums.allowed,
                "Denied": agent.sums.denied,
                "Settled": agent.sums.settled,
                "Expired": agent.sums.expired,
            }
            for agent in view.agents
        ],
        hide_index=True,
        key="agents",
        on_select="rerun",
        selection_mode="single-row",
        alt="Spend and decisions by agent, the most expensive first",
        column_config={
            "Agent": st.column_config.TextColumn(pinned=True),
            "Share": st.column_config.ProgressColumn(format="%.0f %%", min_value=0, max_value=100),
        },
    ).selection.rows
    # The row was chosen among the agents shown then; live data may have changed their order since.
    shown = st.session_state.get("agents_shown", [])
    st.session_state["agents_shown"] = [agent.agent_id for agent in view.agents]
    if chosen and chosen[0] < len(shown):
        st.switch_page("app_pages/decisions.py", query_params={"org": org_id, "agent": shown[chosen[0]]})


@st.fragment(run_every=LIVE_SECONDS)
def live() -> None:
    """Everything that moves."""
    with failures_explained(retry=False):
        split = cast("Split", (by or "Agent").lower())
        view = read_spend(ledger_url(), org_id, organization_since(), range_key or opens_on, split)
        freshness(view.health, view.month.settled_share)
        if not (view.month.decisions or view.cells or view.notifications):
            nothing_yet("No decisions yet", "Run `bursar demo`, or make a first check.")
            return
        numbers(view)
        left, right = st.columns(2)
        with left:
            spend = spend_over_time(view.cells, view.window, view.names, words, colours())
            card(spend, "spend_chart", f"US dollars per {view.window.grain} (UTC). The fainter bar is not over yet.")
            decisions = decisions_over_time(view.cells, view.window, words, colours())
            card(
                decisions, "decisions_chart", f"Checks per {view.window.grain} (UTC). The fainter bar is not over yet."
            )
        with right:
            card(
                budget_use(view.budgets, colours()),
                "budget_chart",
                f"Share of the limit: spent solid, held fainter, the line is the limit. The fullest {BUDGET_BARS}.",
            )
            notifications(view.notifications, view.health.now)
        agents(view)


live()

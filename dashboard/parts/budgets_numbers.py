"""The four numbers of the Budgets page, and the agents that have no budget."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence

import streamlit as st

from dashboard.cards import MOST_ROWS, Number, download, number_row
from dashboard.charts.budgets import counter_name
from dashboard.frame import organization
from dashboard.reading.budgets import Caller
from dashboard.reading.budgets_counters import Counter, Standing
from dashboard.wording import count, money, named, plural

MOST_NAMED = 8


def show_numbers(counters: Sequence[Counter], without: Sequence[Caller], agents: int) -> None:
    """Blocked, forecast over, on track, agents without a budget of `agents` that there are."""
    standing = Tally(counter.standing for counter in counters)
    soft = sum(counter.standing == "over" and counter.full for counter in counters)
    of_counters = f"of {plural(len(counters), 'counter')}" if counters else "no counter"
    unlimited = sorted({caller.agent_id for caller in without})
    names = ", ".join(unlimited[:MOST_NAMED]) + (", …" if len(unlimited) > MOST_NAMED else "")
    number_row(
        [
            Number(
                "Blocked",
                count(standing["blocked"]),
                of_counters,
                "Hard budgets that are full, spent and held together, or that have denied a call and have less left "
                f"than a usual call costs.{_named(counters, 'blocked')}",
                "red" if standing["blocked"] else "green",
            ),
            Number(
                "Forecast over",
                count(standing["over"]),
                f"{soft} over already" if soft else "before their period ends",
                "Budgets that reach their limit before their period ends, if the pace of the last 7 days goes on. Soft "
                f"budgets that are over already are among them.{_named(counters, 'over')}",
                "orange" if standing["over"] else "green",
            ),
            Number(
                "On track",
                count(standing["on track"]),
                of_counters,
                "Budgets that last until their period ends, at the pace of the last 7 days.",
            ),
            Number(
                "Without a budget",
                count(len(unlimited)),
                f"of {plural(agents, 'agent')}" if agents else "no agent",
                "Agents of the document, and agents that called this month, whose calls no budget with a money limit "
                f"counts.{f' {names}.' if names else ''} A budget per user does not count here: it bounds no agent.",
                "orange" if unlimited else "green",
            ),
        ],
        key="numbers",
    )


def list_without(without: Sequence[Caller]) -> None:
    """Those agents, with what they spent."""
    if not without:
        return
    with st.expander(f"{plural(len({each.agent_id for each in without}), 'agent')} without a budget"):
        rows = [
            {
                "Agent": caller.agent_id,
                "Team": named(caller.team_id),
                "Provider": caller.provider,
                "Spent this month": money(caller.spent_micros) if caller.called else "no calls",
            }
            for caller in without[:MOST_ROWS]
        ]
        st.dataframe(rows, hide_index=True, key="without_budget", alt="Agents without a budget, dearest first")
        download(rows, "without_budget")
        st.caption(
            "Give them one under `budgets` in the governance document, then run `bursar plan` and `bursar apply`."
        )
        st.page_link(
            "app_pages/spend.py", label="Their spend", icon=":material/payments:", query_params={"org": organization()}
        )


def _named(counters: Sequence[Counter], standing: Standing) -> str:
    names = [counter_name(counter) for counter in counters if counter.standing == standing]
    return f" {'; '.join(names[:MOST_NAMED])}{'; …' if len(names) > MOST_NAMED else ''}." if names else ""

"""The table of budget counters, those that run out first first; a chosen row is the counter shown beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard.cards import MOST_ROWS, download
from dashboard.charts.budgets import STANDINGS
from dashboard.charts.budgets_burn_up import when
from dashboard.reading.budgets import alerts_of
from dashboard.reading.budgets_counters import Counter, CounterKey
from dashboard.wording import count, plain
from engine.ledger.queries.alerts import AlertLine
from engine.money import MICROS_PER_USD

BUDGET, SCOPE, PERIOD = "budget", "scope", "period"
"""Parameters of the address, as messages write them."""
SHOWN = "counters_shown"
ROWS_IN_VIEW = 12
TABLE_PIXELS = 460


def find_chosen(counters: Sequence[Counter], asked: Mapping[str, str]) -> Counter | None:
    """The counter that an address names; where it leaves something out, the first that fits. None when none does."""
    names = dict(zip((BUDGET, SCOPE, PERIOD), ("", "", ""), strict=True)) | {
        name: asked[name] for name in (BUDGET, SCOPE, PERIOD) if name in asked
    }
    for counter in counters:
        if all(
            not wanted or wanted == value
            for wanted, value in zip((names[BUDGET], names[SCOPE], names[PERIOD]), counter.key, strict=True)
        ):
            return counter
    return None


def choose(key: CounterKey) -> None:
    """Put a counter into the address."""
    st.query_params.update(dict(zip((BUDGET, SCOPE, PERIOD), key, strict=True)))


def table_rows(counters: Sequence[Counter], alerts: Sequence[AlertLine], zone: str) -> list[dict[str, object]]:
    """The rows as they are shown: amounts are numbers, so that a click on a head sorts them."""
    return [
        {
            "Budget": counter.budget_id,
            "Scope": counter.scope,
            "Period": counter.label,
            "Standing": STANDINGS[counter.standing],
            f"Runs out ({zone})": runs_out_words(counter, zone),
            "Settled": _usd(counter.spent_micros),
            "Held": _usd(counter.held_micros),
            "Left": _usd(counter.left_micros),
            "Limit": _usd(counter.limit_micros),
            "Per day": _usd(counter.per_day_micros),
            "Mode": "hard" if counter.hard else "soft",
            "Alerts": len(alerts_of(counter, alerts)),
            "Used": 100 * counter.share,
            "Calls": count(counter.executions)
            + ("" if counter.execution_limit is None else f" of {count(counter.execution_limit)}"),
        }
        for counter in counters
    ]


def file_rows(counters: Sequence[Counter], alerts: Sequence[AlertLine], zone: str) -> list[dict[str, object]]:
    """The same for a spreadsheet: exact amounts, and an instant with its offset."""
    column = f"Runs out ({zone})"
    return [
        {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
        | {
            column: ""
            if counter.runs_out is None
            else counter.runs_out.astimezone(ZoneInfo(zone)).isoformat("T", "seconds")
        }
        for row, counter in zip(table_rows(counters, alerts, zone), counters, strict=True)
    ]


def runs_out_words(counter: Counter, zone: str) -> str:
    """`27 Nov 14:05`, `already` or `lasts`."""
    if counter.standing == "blocked" or counter.full:
        return "already"
    return "lasts" if counter.runs_out is None else when(counter.runs_out, zone)


def show_table(
    counters: Sequence[Counter], chosen: Counter | None, alerts: Sequence[AlertLine], zone: str, more: bool
) -> None:
    """The rows, at most as many as a table shows; all of them are in the file."""
    st.subheader("Counters by when they run out", anchor=False)
    cut = (
        f" The first {MOST_ROWS} of {count(len(counters))} are shown; the file has all."
        if len(counters) > MOST_ROWS
        else ""
    )
    cut += " There are more than were read: those that are fullest." if more else ""
    st.caption(
        f"Choose a row to see its burn-up. Per day is the pace of the last 7 days, or since the first call. "
        f"Months and days are those of {plain(zone)}.{cut}"
    )
    shown = counters[:MOST_ROWS]
    st.session_state[SHOWN] = [counter.key for counter in shown]
    # Another key for another counter: a mark on the third row must not move to another one.
    key = "counters_" + "_".join(("", "", "") if chosen is None else chosen.key)
    st.dataframe(
        table_rows(shown, alerts, zone),
        hide_index=True,
        key=key,
        on_select=lambda: open_chosen(key),
        selection_mode="single-row",
        placeholder="–",
        height="content" if len(shown) <= ROWS_IN_VIEW else TABLE_PIXELS,
        alt="Budget counters, those that run out first first",
        column_config={
            "Budget": st.column_config.TextColumn(pinned=True),
            # The caption says the zone; here it would push other columns out of sight.
            f"Runs out ({zone})": st.column_config.TextColumn("Runs out", help=f"By the clock of {plain(zone)}."),
            "Standing": st.column_config.MultiselectColumn(
                color=["red", "orange", "green"], options=list(STANDINGS.values())
            ),
            "Settled": st.column_config.NumberColumn(format="dollar", help="Spent; open holds are apart."),
            "Used": st.column_config.ProgressColumn(
                format="%.0f %%", min_value=0, max_value=100, help="Of the fullest limit, held included."
            ),
            "Alerts": st.column_config.NumberColumn(help="Firing now."),
            **{name: st.column_config.NumberColumn(format="dollar") for name in ("Limit", "Held", "Left", "Per day")},
        },
    )
    download(file_rows(counters, alerts, zone), "budgets")


def open_chosen(key: str) -> None:
    """Show the counter whose row was chosen."""
    rows = st.session_state[key]["selection"]["rows"]
    shown: list[CounterKey] = st.session_state.get(SHOWN, [])
    if rows and rows[0] < len(shown):
        choose(shown[rows[0]])


def _usd(micros: int | None) -> float | None:
    return None if micros is None else micros / MICROS_PER_USD

"""Budgets: which runs out first."""

from __future__ import annotations

import streamlit as st

from dashboard.acting import as_shown
from dashboard.cards import chart_card
from dashboard.charts.budgets import budget_use, use_note
from dashboard.charts.budgets_burn_up import burn_up
from dashboard.charts.budgets_caps import caps
from dashboard.filters import part_row
from dashboard.frame import colours, look_again, nothing_yet, organization
from dashboard.head import page_head
from dashboard.parts.budgets_changes import change_log
from dashboard.parts.budgets_chosen import head_of
from dashboard.parts.budgets_empty import HOW_TO_WRITE_ONE
from dashboard.parts.budgets_numbers import list_without, show_numbers
from dashboard.parts.budgets_proposals import show_proposals
from dashboard.parts.budgets_raising import SEEN, raise_card, raises_in_force
from dashboard.parts.budgets_table import BUDGET, PERIOD, SCOPE, find_chosen, show_table
from dashboard.reading.base import ledger_url, read_live
from dashboard.reading.budgets import (
    alerts_of,
    budget_named,
    chosen_callers,
    read_budgets,
    read_changes,
    read_counter,
    read_proposals,
    unused_counter,
    used_by,
    without_budget,
)
from dashboard.reading.budgets_counters import limit_steps
from dashboard.wording import plain

page_head("Budgets", "Which budget runs out first?")
url, org_id = ledger_url(), organization()
filters = part_row()
live = read_live(url, org_id)
if live is None:
    nothing_yet("No governance document yet", "Write one with `bursar init`, then run `bursar apply bursar.yaml`.")
    look_again()
    st.stop()
document, zone = live.document, live.document.timezone
base = as_shown(SEEN, live.version)
if not document.budgets:
    st.info(
        "The governance document has no budget, so that nothing limits what agents spend. Add one, then run "
        "`bursar plan` and `bursar apply`:",
        title="No budgets yet",
        icon=":material/account_balance_wallet:",
    )
    st.code(HOW_TO_WRITE_ONE, language="yaml")
    st.stop()

view = read_budgets(url, org_id, live.version)
callers = chosen_callers(view.callers, filters)
counters = used_by(view.counters, callers) if filters.narrowed else view.counters
without = without_budget(callers)
show_numbers(counters, without, len({caller.agent_id for caller in callers}))
list_without(without)
if filters.narrowed:
    st.caption(":material/filter_alt: Counters that count these calls; those of users cannot be told.")
if not counters:
    if filters.narrowed:
        st.info("No budget counts these calls; clear a filter to see more.", icon=":material/filter_alt_off:")
    else:
        nothing_yet(
            "No budget was used yet", "A counter begins with its first call: run `bursar demo`, or make a check."
        )
        look_again()

asked = {name: st.query_params[name] for name in (BUDGET, SCOPE, PERIOD) if name in st.query_params}
chosen = find_chosen(counters, asked) or (find_chosen(view.counters, asked) if asked else None)
if chosen is None and asked:
    # A link may name one that has had no call in its period.
    chosen = unused_counter(document, asked, view.now)
    if chosen is None:
        about = " · ".join(plain(value) for value in asked.values())
        st.warning(f"No counter {about} in version {live.version} of the document.", icon=":material/help:")
        chosen = find_chosen(counters, {})
if chosen is None:
    st.stop()

budget = budget_named(document, chosen.budget_id)
assert budget is not None
own = read_counter(url, org_id, live.version, chosen.key, view.now)
left, right = st.columns(2)
with left:
    chart_card(
        budget_use(counters, colours()),
        "budget_use",
        use_note(len(counters)),
    )
with right:
    steps = limit_steps(budget, chosen.kind, chosen.scope, chosen.start, chosen.end)
    chart_card(
        burn_up(chosen, own.spells, steps, zone, colours()),
        "burn_up",
        f"US dollars since the {chosen.kind} began, by the clock of {plain(zone)}. What is not over is fainter."
        + ("" if own.spells is not None else " Of users only the total is known: the line is straight."),
    )
    chart_card(
        caps(own.history, f"{chosen.budget_id} · {chosen.scope}", view.now, colours(), daily=own.daily),
        "caps",
        f"US dollars per {'day' if own.daily else 'month'} ({plain(zone)}) "
        "against the cap of that time. What is not over is fainter.",
    )
show_table(counters, chosen, view.alerts, zone, view.more)

head_of(chosen, budget, alerts_of(chosen, view.alerts))
raises_in_force(budget, base, zone, view.now)
left, right = st.columns(2)
with left:
    raise_card(chosen, budget, base, zone)
with right:
    change_log(read_changes(url, org_id, live.version, budget.id), budget.id)
show_proposals(read_proposals(url, org_id), document, base)

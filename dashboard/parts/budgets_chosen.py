"""The chosen counter: what it is about, its alerts, and where its calls are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import streamlit as st

from dashboard.charts.budgets import counter_name
from dashboard.frame import organization
from dashboard.notices import severity_badge
from dashboard.reading.budgets_counters import Counter
from dashboard.wording import clock_time, money, plain
from engine.decision import ReasonCode
from engine.document.schema import BudgetSpec
from engine.ledger.queries.alerts import AlertLine

_REASONS = {
    ("month", "cost"): ReasonCode.BUDGET_MONTHLY_COST,
    ("month", "calls"): ReasonCode.BUDGET_MONTHLY_EXECUTIONS,
    ("day", "cost"): ReasonCode.BUDGET_DAILY_COST,
    ("day", "calls"): ReasonCode.BUDGET_DAILY_EXECUTIONS,
}
MOST_ALERTS = 3


def head_of(counter: Counter, budget: BudgetSpec, alerts: Sequence[AlertLine]) -> None:
    """Its name, what it counts, and links to its calls and alerts."""
    st.subheader(counter_name(counter), anchor=False)
    st.caption(plain(about(counter, budget)))
    for alert in alerts[:MOST_ALERTS]:
        fired = clock_time(alert.fired_at.astimezone(UTC), counter.now)
        st.markdown(f"{severity_badge(alert.severity)} {plain(alert.title)} :small[{plain(fired)}]")
    calls = calls_link(counter, budget)
    with st.container(horizontal=True, vertical_alignment="center"):
        _link("decisions", "Its calls", "rule", calls)
        _link("decisions", "Calls it denied", "block", calls | denied_link(counter))
        for alert in alerts[:1]:
            _link("alerts", "Its alert", "notifications_active", {"org": organization(), "alert": alert.alert_id})
        if len(alerts) > 1:
            _link("alerts", f"All {len(alerts)} alerts firing", "notifications", {"org": organization()})


def about(counter: Counter, budget: BudgetSpec) -> str:
    """What is used of which limit, which calls it counts, and what happens beyond it."""
    applies = [f"{name} {value}" for name, value in budget.applies_to.model_dump(exclude_none=True).items()]
    limit = "no money limit" if counter.limit_micros is None else money(counter.limit_micros)
    said = f"{money(counter.spent_micros)} settled, {money(counter.held_micros)} held, limit {limit}"
    if counter.limit_micros is not None and counter.limit_micros != counter.base_micros:
        said += f" ({money(counter.base_micros or 0)} without raises)"
    said += f". One total per {counter.per}" if counter.per != "org" else ". One total for the organization"
    said += f", calls of {', '.join(applies)}" if applies else ""
    effect = "Calls beyond it are denied." if counter.hard else "Calls beyond it are marked and pass."
    return f"{said}. {'Hard' if counter.hard else 'Soft'}: {effect[0].lower()}{effect[1:]}"


def calls_link(counter: Counter, budget: BudgetSpec) -> dict[str, str]:
    """The parameters of the Decisions page about the calls that it counted in its period."""
    parts: dict[str, Any] = budget.applies_to.model_dump(exclude_none=True)
    if counter.per != "org":
        parts[counter.per] = counter.scope
    return {
        "org": organization(),
        **{name: str(value) for name, value in parts.items()},
        "from": counter.start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def denied_link(counter: Counter) -> dict[str, str]:
    """The parameters that leave the calls that it denied: by the limit that is full, or that can be."""
    by_calls = counter.limit_micros is None or (
        counter.execution_limit is not None and counter.executions >= counter.execution_limit
    )
    reason = _REASONS[counter.kind, "calls" if by_calls else "cost"]
    return {"outcome": "denied", "reason": reason.value}


def _link(page: str, label: str, icon: str, parameters: dict[str, str]) -> None:
    st.page_link(
        f"app_pages/{page}.py", label=label, icon=f":material/{icon}:", query_params=parameters, width="content"
    )

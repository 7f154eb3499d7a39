"""Budgets that the monthly review would raise or lower, and why; an admin can apply a raise."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.access import Viewer
from dashboard.acting import action
from dashboard.frame import organization
from dashboard.parts.budgets_raising import made_words
from dashboard.reading.base import database, ledger_url
from dashboard.reading.budgets import Proposals, budget_named
from dashboard.wording import money, plain, plural
from engine.admission.limits import limits_of
from engine.clock import utc_now
from engine.document.editing import raise_budget
from engine.document.schema import GovernanceDocument
from engine.money import to_usd
from engine.reviews.content import BudgetAdvice


def show_proposals(proposals: Proposals | None, document: GovernanceDocument, base: int) -> None:
    """Current and proposed limit of each budget, with the reason."""
    st.subheader("Proposals", anchor=False)
    if proposals is None:
        st.caption("The first monthly review makes them, after the first of the month; `bursar reviews` shows it.")
        return
    current = still_meant(proposals.advice, document)
    changing = [advice for advice in current if advice.recommendation.change_micros]
    st.caption(
        f"From the review of {plain(proposals.label)}, made {proposals.made_at:%d %b %Y %H:%M} UTC. "
        + (
            f"{plural(len(changing), 'limit')} of {len(current)} would change."
            if changing
            else "No limit would change."
        )
    )
    for advice in changing:
        _proposal(advice, base)
    others = [advice for advice in current if advice not in changing]
    if others:
        with st.expander(f"{plural(len(others), 'limit')} to keep as they are"):
            st.markdown(
                "  \n".join(
                    f"{plain(advice_name(each))}: {plain(money(each.recommendation.limit_micros))}. "
                    f":gray[{plain(each.recommendation.reason)}]"
                    for each in others
                )
            )


def still_meant(advice: Sequence[BudgetAdvice], document: GovernanceDocument) -> list[BudgetAdvice]:
    """Those about a limit that is still what it was when the review was made."""
    found = []
    for each in advice:
        budget = budget_named(document, each.budget_id)
        if budget is not None and limits_of(budget, each.period)[0] == each.recommendation.limit_micros:
            found.append(each)
    return found


def advice_name(advice: BudgetAdvice) -> str:
    """`copilots, a month each, as copilot_hr needs most`."""
    kind = "a month" if advice.period == "month" else "a day"
    each = f" each, as {advice.scope} needs most" if advice.other_counters or advice.not_looked_at else ""
    return f"{advice.budget_id}, {kind}{each}"


def _proposal(advice: BudgetAdvice, base: int) -> None:
    made = advice.recommendation
    proposed = made.proposed_micros or 0
    rise = made.change_micros > 0
    with st.container(border=True):
        icon = ":orange[:material/trending_up:]" if rise else ":blue[:material/trending_down:]"
        st.markdown(
            f"{icon} **{plain(advice_name(advice))}**: {plain(money(made.limit_micros))} → {plain(money(proposed))}  \n"
            f":gray[{plain(made.reason)}]"
        )
        if not rise:
            st.caption("A limit is lowered in the document's file, with `bursar plan` and `bursar apply`.")
            return
        action(
            f"Raise to {plain(money(proposed))}",
            key=f"apply_{advice.budget_id}_{advice.period}_{base}",
            needs="admin",
            icon=":material/check:",
            fields=lambda: proposed,
            do=lambda viewer, reason, micros: _apply(viewer, reason, advice, micros, base),
        )


def _apply(viewer: Viewer, reason: str, advice: BudgetAdvice, micros: int, base: int) -> str:
    made = raise_budget(
        database(ledger_url()), organization(), advice.budget_id, base=base, kind=advice.period,
        new_limit_usd=to_usd(micros), author=viewer.name, reason=reason, now=utc_now(),
    )  # fmt: skip
    return made_words(f"Budget {advice.budget_id} is {money(micros)} a {advice.period} from now on", made)

"""Raise a budget for a while or for good, with its effect on the forecast beside it, and end a raise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import streamlit as st

from dashboard.access import Viewer
from dashboard.acting import action
from dashboard.charts.budgets_burn_up import when
from dashboard.frame import organization
from dashboard.parts.budgets_effect import Raise, effect_words, limit_suggested, more_suggested
from dashboard.reading.base import database, ledger_url
from dashboard.reading.budgets_counters import Counter
from dashboard.wording import money, plain
from engine.clock import from_ms, to_ms, utc_now
from engine.document.editing import MOST_HOURS, end_raise, raise_budget, raise_for_a_while
from engine.document.live import LiveDocument
from engine.document.raise_spec import RaiseSpec
from engine.document.schema import BudgetSpec
from engine.errors import InvalidValue
from engine.in_force import put_in_force
from engine.money import to_micros
from engine.settings import read_settings

SEEN = "budgets_version"
"""Which version of the document the viewer was shown last, or made: an action is based on that one."""
FOR_A_WHILE, FOR_GOOD = "For a while", "For good"
USUAL_HOURS = 24
_FIELDS = {"by_usd": "amount", "new_limit_usd": "new limit"}
"""What fields are called on the page."""


def raise_card(counter: Counter, budget: BudgetSpec, base: int, zone: str) -> None:
    """What to raise it by, what that does, and the button. `base` is the document version that the viewer was shown."""
    with st.container(border=True):
        st.markdown("**Raise this budget**")
        if counter.limit_micros is None:
            st.caption("It limits executions, not money. Change that in the document's file, then run `bursar apply`.")
            return
        how = st.segmented_control(
            "For how long", [FOR_A_WHILE, FOR_GOOD], default=FOR_A_WHILE, required=True, key="raise_how",
            label_visibility="collapsed",
        )  # fmt: skip
        if how == FOR_GOOD:
            _for_good(counter, budget, base, zone)
        else:
            _for_a_while(counter, budget, base, zone)


def raises_in_force(budget: BudgetSpec, base: int, zone: str, now: datetime) -> None:
    """The raises that have not ended, each with a button that ends it."""
    current = [(index, each) for index, each in enumerate(budget.raises) if each.until_ms > to_ms(now)]
    for index, each in current:
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f":material/trending_up: {plain(raise_words(each, budget, zone, now))}", width="stretch")
            action(
                "End the raise",
                key=f"end_raise_{budget.id}_{index}_{base}",
                needs="operator",
                icon=":material/undo:",
                confirm="End it now",
                fields=partial(int, index),
                do=ending(budget, base),
            )


def raise_words(each: RaiseSpec, budget: BudgetSpec, zone: str, now: datetime) -> str:
    """`+$50.00 a month for all until 27 Nov 10:00 (quarter end)`."""
    amounts = [
        f"+{money(to_micros(usd))} a {kind}"
        for kind, usd in (("month", each.monthly_usd), ("day", each.daily_usd))
        if usd
    ]
    whom = "everything it counts" if each.scope is None or budget.per == "org" else each.scope
    begins = f"from {when(from_ms(each.from_ms), zone)} " if each.from_ms > to_ms(now) else ""
    why = f": {each.reason}" if each.reason else ""
    return f"{' and '.join(amounts)} for {whom} {begins}until {when(from_ms(each.until_ms), zone)} ({zone}){why}"


def _for_a_while(counter: Counter, budget: BudgetSpec, base: int, zone: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        hours = st.number_input("Hours", 1, MOST_HOURS, USUAL_HOURS, key=_key("hours", counter), width=130)
        amount = _dollars("More, US dollars", more_suggested(counter, USUAL_HOURS), "by", counter)
        whom = budget.per != "org" and st.segmented_control(
            "For", ["This counter", f"All of {budget.id}"], default="This counter", required=True,
            key=_key("whom", counter),
        )  # fmt: skip
    asked = Raise(amount, int(hours), counter.scope if whom == "This counter" else None)
    _effect(counter, budget, asked, zone)

    def do(viewer: Viewer, reason: str, asked: Raise) -> str:
        made = _changed(
            lambda: raise_for_a_while(
                database(ledger_url()), organization(), budget.id, base=base, scope=asked.scope, kind=counter.kind,
                by_usd=asked.usd, hours=asked.hours or 0, author=viewer.name, reason=reason, now=utc_now(),
            )
        )  # fmt: skip
        until = when(utc_now() + timedelta(hours=asked.hours or 0), zone)
        whom = asked.scope or "everything it counts"
        return made_words(
            f"Budget {budget.id} is raised by {money(to_micros(asked.usd))} for {whom} until {until} ({zone})", made
        )

    action(
        "Raise for a while", key=f"raise_for_a_while_{base}", needs="operator", icon=":material/more_time:",
        confirm="Raise it", fields=lambda: _confirmed(counter, budget, asked, zone), do=do, primary=True,
    )  # fmt: skip


def _for_good(counter: Counter, budget: BudgetSpec, base: int, zone: str) -> None:
    st.caption(
        f"The {'monthly' if counter.kind == 'month' else 'daily'} limit of {plain(budget.id)} is "
        f"{plain(money(counter.base_micros or 0))}{'' if budget.per == 'org' else f' for each {budget.per}'}."
    )
    amount = _dollars("New limit, US dollars", limit_suggested(counter), "limit", counter)
    asked = Raise(amount, None, None)
    _effect(counter, budget, asked, zone)

    def do(viewer: Viewer, reason: str, asked: Raise) -> str:
        made = _changed(
            lambda: raise_budget(
                database(ledger_url()), organization(), budget.id, base=base, kind=counter.kind,
                new_limit_usd=asked.usd, author=viewer.name, reason=reason, now=utc_now(),
            )
        )  # fmt: skip
        return made_words(f"Budget {budget.id} is {money(to_micros(asked.usd))} a {counter.kind} from now on", made)

    action(
        "Raise for good", key=f"raise_for_good_{base}", needs="admin", icon=":material/trending_up:",
        confirm="Raise it", fields=lambda: _confirmed(counter, budget, asked, zone), do=do, primary=True,
    )  # fmt: skip


def _dollars(label: str, suggested: Decimal, name: str, counter: Counter) -> Decimal:
    value = st.number_input(
        label, min_value=0.0, value=float(suggested), step=max(1.0, float(suggested // 10)), format="%.2f",
        key=_key(name, counter), width=190,
    )  # fmt: skip
    return Decimal(str(value or 0))


def _effect(counter: Counter, budget: BudgetSpec, asked: Raise, zone: str) -> None:
    if asked.usd > 0:
        st.markdown(f":material/insights: {plain(effect_words(counter, budget, asked, zone))}")


def _confirmed(counter: Counter, budget: BudgetSpec, asked: Raise, zone: str) -> Raise:
    """What the form asks to confirm."""
    amount = money(to_micros(max(asked.usd, Decimal(0))))
    if asked.hours is None:
        st.markdown(plain(f"{budget.id}: {money(counter.base_micros or 0)} → {amount} a {counter.kind}, for good."))
    else:
        whom = asked.scope or "everything it counts"
        st.markdown(
            plain(f"{budget.id}: +{amount} a {counter.kind} for {whom}, for {asked.hours} h; it ends by itself.")
        )
    _effect(counter, budget, asked, zone)
    return asked


def ending(budget: BudgetSpec, base: int) -> Callable[[Viewer, str, int], str]:
    """What ends a raise of a budget."""
    return lambda viewer, reason, index: _end(viewer, reason, budget, index, base)


def _end(viewer: Viewer, reason: str, budget: BudgetSpec, index: int, base: int) -> str:
    made = _changed(
        lambda: end_raise(
            database(ledger_url()), organization(), budget.id, base=base, index=index, author=viewer.name,
            reason=reason, now=utc_now(),
        )
    )  # fmt: skip
    return made_words(f"The raise of budget {budget.id} has ended", made)


def _changed(make: Callable[[], LiveDocument]) -> LiveDocument:
    try:
        return make()
    except InvalidValue as refused:
        raise InvalidValue(_FIELDS.get(refused.field, refused.field), refused.problem) from None


def made_words(what: str, made: LiveDocument) -> str:
    """What was done, and whether it bites at the next call."""
    st.session_state[SEEN] = made.version
    return f"{what}. {put_in_force(read_settings(), database(ledger_url()), made)}"


def _key(name: str, counter: Counter) -> str:
    # Of the counter's own: what was typed for another one must not be raised here.
    return f"raise_{name}_{'_'.join(counter.key)}"

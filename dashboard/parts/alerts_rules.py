"""The rules in force: what each asks, how its alerts were, and how its evaluation goes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard.parts.alerts_opened import list_rule
from dashboard.reading.alerts import RuleView
from dashboard.wording import count, percent, plain
from engine.alerting.latched import METRIC
from engine.alerting.rule_words import condition

RIGHT = ("Fired", "Acknowledged", "Over within 5 min")
NONE = "–"


def show_rules(views: Sequence[RuleView], words: str) -> None:
    """A table of them; choosing a row shows that rule's alerts."""
    if not views:
        st.info(
            "No rule is in force: the organization has no governance document yet. Write one and run "
            "`bursar apply FILE`; the shipped rules come with it.",
            icon=":material/rule:",
        )
        return
    for view in views:
        if view.health is not None and view.health.failures:
            st.error(
                plain(f"{view.rule.rule_id} cannot be evaluated: {view.health.error or 'no reason was given'}."),
                icon=":material/error:",
            )
    st.caption(
        f"Alerts that fired in {words}. Many that are over within 5 minutes: the rule is too nervous. Few that "
        "anybody acknowledges: it tells what nobody needs. Choose a row to see the rule's alerts."
    )
    st.session_state["rules_shown"] = [view.rule.rule_id for view in views]
    st.dataframe(
        [rule_row(view) for view in views],
        hide_index=True, key="rules", on_select=choose_rule, selection_mode="single-row", height="content",
        alt="Rules in force with how their alerts were",
        column_config={
            "Rule": st.column_config.TextColumn(pinned=True),
            "Condition": st.column_config.TextColumn(width="medium"),
            **{name: st.column_config.TextColumn(alignment="right") for name in RIGHT},
        },
    )  # fmt: skip


def rule_row(view: RuleView) -> dict[str, str]:
    """One rule as the table has it; of one that did not fire there are no shares."""
    rule, quality, health = view.rule, view.quality, view.health
    evaluated = "at once" if rule.metric == METRIC else "not yet"
    if rule.metric != METRIC and view.slot is not None:
        evaluated = _moment(view.slot)
    return {
        "Rule": rule.rule_id,
        "Severity": rule.severity,
        "Condition": condition(rule),
        "Fired": count(0 if quality is None else quality.fired),
        "Acknowledged": NONE if quality is None else percent(quality.acknowledged_share),
        "Over within 5 min": NONE if quality is None else percent(quality.brief_share),
        "Last fired (UTC)": NONE if quality is None else _moment(quality.last_fired_at),
        "Evaluated (UTC)": f"fails {health.failures} times" if health is not None and health.failures else evaluated,
    }


def _moment(instant: datetime) -> str:
    return f"{instant:%d %b, %H:%M}"


def choose_rule() -> None:
    """Show the alerts of the rule whose row was chosen."""
    chosen = st.session_state["rules"]["selection"]["rows"]
    if chosen:
        list_rule(st.session_state["rules_shown"][chosen[0]])

"""Alerts: what needs a person now."""

from __future__ import annotations

import streamlit as st

from dashboard.filters import filter_row
from dashboard.frame import organization
from dashboard.head import page_head
from dashboard.notices import SEVERITIES
from dashboard.parts.alerts_backtest import show_backtest
from dashboard.parts.alerts_list import (
    OPENED_AS,
    STATES,
    live_list,
    live_note,
    live_numbers,
    open_alert,
    opened_as,
    wanted,
)
from dashboard.parts.alerts_messages import show_messages
from dashboard.parts.alerts_opened import show_opened
from dashboard.parts.alerts_rules import show_rules
from dashboard.parts.alerts_silences import show_silences
from dashboard.reading.alerts import read_messages, read_opened, read_rules, read_silences, rules_in_force
from dashboard.reading.base import ledger_url

TABS = ("Alerts", "Rules", "Silences", "Backtest", "Notifications")

health = page_head("Alerts", "What needs a person now?")
org_id, url = organization(), ledger_url()
filters = filter_row(["24h", "7d", "30d", "90d"], "30d", parts=False)
since = filters.window(health.now).start
live_numbers()

# The body of a tab that is not shown does not run.
alerts, rules, silences, backtest, notifications = st.tabs(TABS, key="tab", on_change="rerun", bind="query-params")
if alerts.open:
    with alerts:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            state = st.selectbox(
                "State", STATES, key="state", bind="query-params", width=190,
                on_change=open_alert, args=(None,),
            )  # fmt: skip
            severity = st.selectbox(
                "Severity", [name for name in SEVERITIES if name != "management"], index=None, placeholder="All",
                key="severity", bind="query-params", width=150, on_change=open_alert, args=(None,),
            )  # fmt: skip
            rule_id = st.selectbox(
                "Rule", [rule.rule_id for rule in rules_in_force(url, org_id)], index=None, placeholder="All",
                # A link may name one that is no longer in force.
                accept_new_options=True, key="rule", bind="query-params", width=260, on_change=open_alert, args=(None,),
            )  # fmt: skip
        opened_id = st.query_params.get("alert")
        if opened_id:
            opened = read_opened(url, org_id, opened_id)
            st.session_state[OPENED_AS] = opened_as(opened_id, opened)
            live_note(opened_id)
            show_opened(opened_id, opened, health.now)
        else:
            if state in ("resolved", "all"):
                st.caption(f"Fired in {filters.words}.")
            live_list(wanted(state or "open", severity, rule_id, since))
if rules.open:
    with rules:
        show_rules(read_rules(url, org_id, since), filters.words)
if silences.open:
    with silences:
        show_silences(read_silences(url, org_id), health.now)
if backtest.open:
    with backtest:
        show_backtest(rules_in_force(url, org_id), health.now)
if notifications.open:
    with notifications:
        show_messages(read_messages(url, org_id), health.now)

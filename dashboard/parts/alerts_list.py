"""The alerts that want somebody, the worst first, and the numbers above them. Both look again by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import streamlit as st

from dashboard.cards import Number, number_row
from dashboard.frame import failures_explained, organization
from dashboard.head import is_silent
from dashboard.notices import marks_of, severity_badge
from dashboard.reading.alerts import MOST_ALERTS, ListedAlert, read_alerts, read_numbers, read_opened
from dashboard.reading.base import ledger_url, read_health
from dashboard.wording import clock_time, count, duration, plain, plural
from engine.alerting.opened import OpenedAlert
from engine.ledger.queries.alerts import AlertFilter

LOOK_EVERY = timedelta(seconds=5)
AT_ONCE = 20
STATES = ("open", "firing", "recovering", "pending", "acknowledged", "silenced", "resolved", "all")
"""Values of `state=` in the address."""
SHOWN = "alerts_at_once"
OPENED_AS = "opened_as"
"""Where the page keeps which alert it shows, and in which state."""
_SIDES = {">": "above", "<": "below"}


def wanted(state: str, severity: str | None, rule_id: str | None, since: datetime) -> AlertFilter:
    """What the address asks for. One that is open is shown however long ago it fired."""
    match state:
        case "firing" | "recovering" | "pending":
            return AlertFilter(state, severity, rule_id)
        case "resolved":
            return AlertFilter(state, severity, rule_id, start=since)
        case "all":
            return AlertFilter(None, severity, rule_id, start=since)
        case _:
            return AlertFilter(
                None,
                severity,
                rule_id,
                unresolved=True,
                acknowledged=state == "acknowledged",
                hidden=state == "silenced",
            )


@st.fragment(run_every=LOOK_EVERY)
def live_numbers() -> None:
    """Five numbers: what fires, who has it, what is nearly over, what nobody hears, and whether anybody looks."""
    with failures_explained(retry=False):
        view, health = read_numbers(ledger_url(), organization()), read_health(ledger_url(), organization())
        numbers = view.numbers
        evaluated, silent = health.last_successes.get("evaluate"), is_silent(health, "evaluate")
        failing = f"{plural(len(view.failing), 'rule')} cannot be evaluated" if view.failing else ""
        ago = "" if evaluated is None else f"{duration(health.now - evaluated)} ago"
        number_row(
            [
                Number(
                    "Firing",
                    count(numbers.firing),
                    f"{count(numbers.unattended)} unattended" if numbers.unattended else "all attended to",
                    "Critical and warning alerts that fire now. Unattended: nobody has acknowledged them, and nothing "
                    "hides them.",
                    "red" if numbers.unattended else "off",
                ),
                Number(
                    "Acknowledged",
                    count(numbers.acknowledged),
                    "for 24 h at most",
                    "Open alerts that somebody has taken on: no repeats and no escalation.",
                ),
                Number(
                    "Recovering",
                    count(numbers.recovering),
                    "over when it lasts",
                    "Open alerts whose value is at the clear level again.",
                ),
                Number(
                    "Silenced",
                    count(numbers.hidden),
                    "nobody is told",
                    "Open alerts hidden by a silence, or by another alert that says it already.",
                ),
                Number(
                    "Last evaluation",
                    "Never" if evaluated is None else f"{evaluated:%H:%M:%S}",
                    failing or (f"silent: {ago or 'no worker yet'}" if silent else ago),
                    "When the rules were evaluated last, in UTC. When that stops, alerts neither fire nor end.",
                    "red" if silent or failing else "off",
                ),
            ]
        )


@st.fragment(run_every=LOOK_EVERY)
def live_list(asked: AlertFilter) -> None:
    """The list, the worst first."""
    with failures_explained(retry=False):
        alerts = read_alerts(ledger_url(), organization(), asked)
        now = read_numbers(ledger_url(), organization()).now
        if not alerts:
            st.info(*_nothing(asked))
            return
        shown = int(st.session_state.get(SHOWN, AT_ONCE))
        with st.container(gap="xsmall"):
            for each in alerts[:shown]:
                _row(each, now)
        _more(alerts, shown)


@st.fragment(run_every=LOOK_EVERY)
def live_note(alert_id: str) -> None:
    """Say when the opened alert is another by now. The page shows it when the person wants it, and not while typing."""
    with failures_explained(retry=False):
        now = opened_as(alert_id, read_opened(ledger_url(), organization(), alert_id))
        if st.session_state.get(OPENED_AS, now) != now:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(":material/update: This alert has changed since.")
                if st.button("Show it", key="show_changed"):
                    st.rerun()


def opened_as(alert_id: str, opened: OpenedAlert | None) -> tuple[str | None, ...]:
    """What tells an alert from the same one later."""
    if opened is None:
        return (alert_id,)
    line = opened.line
    return (alert_id, line.state, line.severity, line.acknowledged_by, line.hidden_by)


def open_alert(alert_id: str | None) -> None:
    """Open one alert instead of the list, or none."""
    if alert_id is None:
        st.query_params.pop("alert", None)
    else:
        st.query_params["alert"] = alert_id


def row_text(each: ListedAlert, now: datetime) -> str:
    """One alert in two lines of Markdown: how bad and what; since when, and its value against the limit."""
    line = each.line
    marks = "".join(f" · {mark}" for mark in marks_of(line.state, line.acknowledged_by, line.hidden_by))
    until = line.resolved_at or now
    facts = [f"since {clock_time(line.fired_at, now)}" if line.resolved_at is None else clock_time(line.fired_at, now)]
    facts.append(f"for {duration(until - line.fired_at)}")
    if each.value:
        facts.append(f"{each.value}{_fires_at(each.limit)}")
    return (
        f"{severity_badge(line.severity)} **{plain(line.title)}**{marks}  \n:small[:gray[{plain(' · '.join(facts))}]]"
    )


def _fires_at(limit: str) -> str:
    """`, fires at 95 %` of `>= 95 %`; empty where no limit says anything."""
    comparison, _, number = limit.partition(" ")
    return f", fires {_SIDES.get(comparison, 'at')} {number}" if number.strip("$%0. ") else ""


def _row(each: ListedAlert, now: datetime) -> None:
    with st.container(border=True, horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(row_text(each, now), width="stretch")
        if st.button("Open", key=f"open_{each.line.alert_id}", icon=":material/visibility:"):
            open_alert(each.line.alert_id)
            st.rerun()


def _more(alerts: Sequence[ListedAlert], shown: int) -> None:
    if len(alerts) > shown:
        st.caption(f"{shown} of {'at least ' if len(alerts) == MOST_ALERTS else ''}{count(len(alerts))}, the worst.")
        if st.button("Show more", key="more_alerts", icon=":material/expand_more:"):
            st.session_state[SHOWN] = shown + AT_ONCE
            st.rerun(scope="fragment")
    elif len(alerts) == MOST_ALERTS:
        st.caption(f"The worst {MOST_ALERTS}; the filters show others.")


def _nothing(asked: AlertFilter) -> tuple[str]:
    if asked == AlertFilter(unresolved=True):
        return ("Nothing needs a person now. A budget that fills up, or its first denied call, will show here.",)
    return ("No alert matches these filters; clear one to see more.",)

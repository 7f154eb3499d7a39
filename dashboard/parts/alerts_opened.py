"""One alert: what it is, what waiting costs, what happened, what to do, and the buttons for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

import streamlit as st

from dashboard.cards import chart_card
from dashboard.charts.alerts import Mark, value_over_time
from dashboard.frame import colours
from dashboard.notices import delivery_words, marks_of, place_words, severity_badge
from dashboard.parts.alerts_acting import acknowledge_button, end_silence_button, silence_button
from dashboard.parts.alerts_list import open_alert
from dashboard.parts.alerts_timeline import Moment, timeline
from dashboard.wording import clock_time, plain
from engine.alerting.messages.stated import facts
from engine.alerting.messages.words import number_of
from engine.alerting.opened import OpenedAlert
from engine.alerting.runbooks import runbook_text
from engine.alerting.value_history import has_clear_level
from engine.ledger.queries.alerts import Notification

PAGES = {
    "spend": "Spend", "budgets": "Budgets", "rate-limits": "Rate limits", "policy-denials": "Policy denials",
    "estimates": "Estimate vs actual", "health": "Settings & health", "decisions": "Decisions",
}  # fmt: skip
TIMELINE_PIXELS = 390
FEW_MOMENTS = 5


def show_opened(alert_id: str, opened: OpenedAlert | None, now: datetime) -> None:
    """The panel of one alert."""
    if opened is None:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.warning(f"There is no alert {plain(alert_id)} in this organization.", icon=":material/help:")
            _back()
        return
    with st.container(border=True, key="opened"):
        _head(opened)
        _buttons(opened)
        if opened.hidden:
            st.info(plain(f"{opened.hidden}."), icon=":material/notifications_off:")
        _stated(opened)
        left, right = st.columns([3, 2])
        with left:
            _chart(opened)
        with right, st.container(border=True):
            st.markdown("**What happened**")
            moments = timeline(opened)
            few = len(moments) <= FEW_MOMENTS
            with st.container(height="content" if few else TIMELINE_PIXELS, border=False, key="timeline"):
                for moment in moments:
                    st.markdown(_moment_text(moment, now))
        _sent(opened.told, now)
        _runbook(opened)


def page_of(address: str) -> tuple[str, str, dict[str, str]] | None:
    """Name, script and parameters of the page that a link of a message leads to; None where it leads to none."""
    parts = urlsplit(address)
    path = parts.path.rpartition("/")[2]
    if path not in PAGES:
        return None
    return PAGES[path], f"app_pages/{path.replace('-', '_')}.py", dict(parse_qsl(parts.query))


def _back() -> None:
    st.button("All alerts", key="close_alert", icon=":material/arrow_back:", on_click=open_alert, args=(None,))


def list_rule(rule_id: str) -> None:
    """Show all alerts of a rule."""
    open_alert(None)
    st.session_state["rule"], st.session_state["state"], st.session_state["tab"] = rule_id, "all", "Alerts"


def _head(opened: OpenedAlert) -> None:
    line = opened.line
    marks = " ".join(marks_of(line.state, line.acknowledged_by, line.hidden_by)) or ":red[firing]"
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"{severity_badge(line.severity)} {marks}", width="content")
        st.button(
            "All alerts",
            key="close_alert",
            icon=":material/arrow_back:",
            type="tertiary",
            on_click=open_alert,
            args=(None,),
        )
    st.subheader(plain(line.title), anchor=False)
    if opened.instead is not None:
        higher, title = opened.instead
        st.button(
            f"Told with a higher threshold: {plain(title)}", key="open_instead", icon=":material/merge:",
            on_click=open_alert, args=(higher,),
        )  # fmt: skip


def _buttons(opened: OpenedAlert) -> None:
    line = opened.line
    message = opened.message
    with st.container(horizontal=True, vertical_alignment="center"):
        if line.state in ("firing", "recovering"):
            if line.acknowledged_by is None:
                acknowledge_button(line.alert_id)
            if opened.silence_id is None:
                silence_button(line.alert_id, opened.scopes)
        if opened.silence_id is not None:
            end_silence_button(opened.silence_id, "opened")
        for address, words in ((message.page_link, "See it on {}"), (message.data_link, "The calls behind it")):
            page = page_of(address)
            if page is not None:
                name, script, parameters = page
                st.page_link(
                    script, label=words.format(name), icon=":material/arrow_forward:", query_params=parameters,
                    width="content",
                )  # fmt: skip
        st.button(
            "All of this rule", key="all_of_rule", icon=":material/filter_alt:", type="tertiary",
            on_click=list_rule, args=(line.rule_id,),
        )  # fmt: skip


def _stated(opened: OpenedAlert) -> None:
    """The facts of the message that people were sent, with times in UTC."""
    message = replace(opened.message, zone="UTC", runbook_link="")
    stated = facts(message)
    if stated:
        cards = st.grid(min(len(stated), 4), min_column_width=200)
        for fact in stated:
            cards.markdown(f":small[:gray[{plain(fact.label)}]]  \n**{plain(fact.words)}**")
    for sentence in message.details:
        st.caption(plain(sentence))
    if not opened.rule_in_force:
        st.caption(f"Its rule {plain(opened.line.rule_id)} is no longer in force.")


def _chart(opened: OpenedAlert) -> None:
    line, rule = opened.line, opened.rule
    threshold = number_of(line.facts.get("threshold"))
    marks = [Mark(line.fired_at, "fired")]
    if line.acknowledged_at is not None:
        marks.append(Mark(line.acknowledged_at, "acknowledged"))
    if line.resolved_at is not None:
        marks.append(Mark(line.resolved_at, "over"))
    chart = value_over_time(
        opened.history.values, rule, threshold=threshold, marks=marks, palette=colours(),
        over=line.resolved_at is not None,
        clear=rule.clear_level if has_clear_level(rule) else None,
    )  # fmt: skip
    note = (
        "Only the moments when somebody was told are kept; the line between them is not."
        if opened.history.said
        else "As the rule measures it. Times are UTC."
    )
    chart_card(chart, "alert_value", note)


def _moment_text(moment: Moment, now: datetime) -> str:
    when = f":small[:gray[{plain(clock_time(moment.at, now))}]]"
    detail = f"  \n:small[{plain(moment.detail)}]" if moment.detail else ""
    return f":material/{moment.icon}: **{plain(moment.what)}**  \n{when}{detail}"


def _sent(told: Sequence[Notification], now: datetime) -> None:
    with st.expander(f"Notifications ({len(told)})", icon=":material/outgoing_mail:"):
        if not told:
            st.caption("Nobody was told; this page shows it.")
            return
        st.dataframe(
            [
                {
                    "Time (UTC)": clock_time(each.created_at, now),
                    "Message": each.action,
                    "To": place_words(each.channel, each.channel_type, each.target, each.by),
                    "State": delivery_words(each.state, each.error),
                    "Attempts": each.attempts,
                    "Error": "" if each.state == "suppressed" else each.error or "",
                }
                for each in told
            ],
            hide_index=True, key="alert_notifications", alt="Notifications about this alert, the oldest first",
        )  # fmt: skip


def _runbook(opened: OpenedAlert) -> None:
    link = opened.rule.runbook or ""
    text = runbook_text(link)
    with st.expander("What to do", icon=":material/menu_book:"):
        if text is not None:
            st.markdown(text)
        elif link.startswith(("https://", "http://")):
            st.link_button("Open the runbook", link, icon=":material/open_in_new:")
        else:
            st.caption("The rule names no runbook. Add `runbook:` to it in the document.")

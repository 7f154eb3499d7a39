"""A rule, tried on the past: how often it would have fired."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard.frame import organization
from dashboard.reading.alerts import document_of
from dashboard.reading.base import database, ledger_url
from dashboard.wording import clock_time, plain, plural
from engine.alerting.backtest import Outcome
from engine.alerting.backtest_run import backtest, before_words, lasted_words, outcome_words, peak_words, step_words
from engine.alerting.latched import METRIC
from engine.alerting.rule_words import condition
from engine.alerting.rules import Rule
from engine.alerting.value_history import EVALUATED
from engine.clock import utc_now
from engine.errors import InvalidValue

MOST_DAYS = 90
MOST_SHOWN = 200
KEPT = "backtest"


def can_be_tried(rule: Rule) -> bool:
    """Whether the past values of its metric are kept."""
    return rule.metric in EVALUATED or rule.metric == METRIC


def show_backtest(rules: Sequence[Rule], now: datetime) -> None:
    """A form, and what came of it. The last outcome stays until another rule is tried."""
    possible = {rule.rule_id: rule for rule in rules if can_be_tried(rule)}
    if not possible:
        st.info("No rule is in force whose past can be looked at.", icon=":material/rule:")
        return
    st.caption(
        "Evaluates a rule over what the ledger has: counts of calls, latencies, spend and budgets. Nobody is told. "
        "Rules about minutes can look two days back minute by minute."
    )
    with st.form("backtest_form", enter_to_submit=False), st.container(horizontal=True, vertical_alignment="bottom"):
        rule_id = st.selectbox("Rule", list(possible), key="backtest_rule", width=280)
        days = st.number_input(
            "Days", min_value=1, max_value=MOST_DAYS, value=None, placeholder="as many as usual", key="backtest_days",
            width=180,
        )  # fmt: skip
        wanted = st.form_submit_button("Try it", type="primary", icon=":material/history:", key="backtest_submit")
    if wanted:
        _run(possible[rule_id], None if days is None else int(days))
    kept = st.session_state.get(KEPT)
    if kept is not None and kept[0] == organization():
        _show(kept[1], kept[2], now)


def _run(rule: Rule, days: int | None) -> None:
    document = document_of(ledger_url(), organization())
    st.session_state.pop(KEPT, None)
    if days is not None and not 0 < days <= MOST_DAYS:
        st.error(f"Days: must be 1 to {MOST_DAYS}.", icon=":material/error:")
        return
    with st.status("Reading the past", expanded=True) as status:
        bar = st.progress(0.0)

        def report(done: int, number: int) -> None:
            bar.progress(min(done / max(number, 1), 1.0))

        try:
            with database(ledger_url()).read() as connection:
                outcome = backtest(connection, document, rule, days=days, now=utc_now(), progress=report)
        except InvalidValue as refused:
            status.update(label="It cannot be tried", state="error")
            st.markdown(plain(f"{str(refused).replace('--days', 'Days', 1)}."))
            return
        status.update(label="Done", state="complete", expanded=False)
    st.session_state[KEPT] = (organization(), rule, outcome)


def _show(rule: Rule, outcome: Outcome, now: datetime) -> None:
    st.subheader(plain(f"{rule.rule_id} {outcome_words(outcome)}"), anchor=False)
    st.caption(plain(condition(rule)))
    st.caption(
        f"From {outcome.start:%d %b %Y, %H:%M} to {outcome.end:%d %b %Y, %H:%M} UTC, "
        f"{step_words(rule, outcome)}. {plural(outcome.notifications, 'message')} to channels, "
        f"{plural(outcome.near_misses, 'near miss', 'near misses')}, {plural(outcome.flaps, 'flap')}."
    )
    for sentence in (
        before_words(outcome, "" if outcome.before is None else clock_time(outcome.before.start, now)),
        *outcome.left_out,
    ):
        if sentence:
            st.caption(plain(sentence))
    if outcome.episodes:
        st.dataframe(
            [
                {
                    "Fired at (UTC)": clock_time(each.fired_at, now),
                    "For": lasted_words(each),
                    "Peak": peak_words(rule, each),
                    "Of": ", ".join(f"{name} {value or '(none)'}" for name, value in each.group.items()),
                }
                for each in outcome.episodes[::-1][:MOST_SHOWN]
            ],
            hide_index=True, key="backtest_episodes", alt="When the rule would have fired, newest first",
        )  # fmt: skip

"""The challengers to the price book: what each proposes, the gate's verdict, and who decides."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from dashboard.access import Viewer
from dashboard.acting import action, as_shown
from dashboard.cards import chart_card
from dashboard.charts.estimates_calls import ratio_histogram
from dashboard.frame import colours, organization
from dashboard.parts.estimates_prices import effect_rows, month_sentence
from dashboard.reading.base import database, ledger_url
from dashboard.reading.estimates_challenger import ChallengersView, ProofView, read_proof, state_of
from dashboard.reading.estimates_outlook import Outlook, read_outlook
from dashboard.wording import clock_time, plain, plural
from engine.ledger.calibrations import Calibration, promote, reject
from engine.ledger.price_books import label_of
from engine.settings import read_settings

CHOSEN = "calibration"
"""Parameter of the address: the number of the one that is shown in full."""
_STATES = {
    "proposed": "waits for a decision",
    "promoted": "approved",
    "rejected": "rejected",
    "outdated": "outdated: another version is live",
}


def challengers(view: ChallengersView, now: datetime) -> None:
    """The one that waits, or why none does; then all of them."""
    st.subheader("Challenger", anchor=False)
    waiting = view.waiting
    chosen = view.find(st.query_params.get(CHOSEN)) or waiting
    if waiting is None:
        st.info(plain(outlook_words(read_outlook(ledger_url(), organization()), now)), title="No challenger waits",
                icon=":material/balance:")  # fmt: skip
    if chosen is not None:
        _one(chosen, state_of(chosen, view.live), now)
    if view.calibrations:
        _all(view)


def outlook_words(outlook: Outlook, now: datetime) -> str:
    """Why there is none, and when the next calibration runs."""
    if outlook.next_at is None:
        return outlook.why
    if outlook.next_at <= now:
        return f"{outlook.why} The next calibration runs as soon as the worker does."
    return f"{outlook.why} The next calibration runs about {clock_time(outlook.next_at, now)}."


def _one(calibration: Calibration, state: str, now: datetime) -> None:
    with st.spinner("Comparing with the calls it was judged on"):
        proof = read_proof(ledger_url(), organization(), calibration.number)
    with st.container(border=True):
        window = calibration.window
        st.markdown(f"**{plain(heading(calibration, state))}**")
        st.caption(
            plain(
                f"Made {clock_time(calibration.created_at, now)} by {calibration.author}: {calibration.reason}. Fitted "
                f"on {window.start:%d %b} to before {window.holdout:%d %b}, judged on the days from then to before "
                f"{window.end:%d %b} (UTC), against price book {label_of(calibration.champion)}."
            )
        )
        left, right = st.columns(2)
        with left:
            st.markdown(checks_text(calibration))
        with right:
            chart_card(
                ratio_histogram(proof.parts, colours(), compared=True, subject="of the days it was judged on"),
                "challenger_histogram",
                "Settled calls of the corrected segments on those days, by actual over the estimate made then, on a "
                "logarithmic axis. Dashed: ±15 %.",
            )
        st.markdown(f"**What it changes.** {plain(month_sentence(proof.effects))}")
        _effects(proof, "effects")
        if state == "proposed":
            _decide(calibration, month_sentence(proof.effects))


def heading(calibration: Calibration, state: str) -> str:
    """`Calibration 3 passed the backtest: it corrects 2 segments (waits for a decision)`."""
    passed = "passed" if calibration.challenger.verdict.passed else "did not pass"
    number = len(calibration.challenger.proposals)
    return (
        f"Calibration {calibration.number} {passed} the backtest: it corrects {plural(number, 'segment')} "
        f"({_STATES.get(state, state)})"
    )


def checks_text(calibration: Calibration) -> str:
    """The gate's reasons and what was left out, in Markdown."""
    lines = [
        f"- {':green[:material/check: passed]' if check.passed else ':red[:material/close: failed]'} "
        f"{plain(check.sentence)}"
        for check in calibration.challenger.verdict.checks
    ]
    lines += [
        f"- :orange[:material/warning: not corrected] {plain(sentence)}" for sentence in calibration.challenger.left_out
    ]
    return "\n".join(lines)


def _effects(proof: ProofView, key: str) -> None:
    st.dataframe(
        effect_rows(proof.effects), hide_index=True, key=key, alt="Old and new price of each corrected segment",
        column_config={"Segment": st.column_config.TextColumn(pinned=True)},
    )  # fmt: skip


def _decide(calibration: Calibration, effect: str) -> None:
    number = as_shown("calibration_decided", calibration.number)

    def approved() -> int:
        st.caption(plain(f"{label_of(calibration.champion)} → {label_of(calibration.champion + 1)}: {effect}"))
        return number

    with st.container(horizontal=True, vertical_alignment="center"):
        if calibration.challenger.verdict.passed:
            action(
                "Approve", key="approve", needs="engineer", fields=approved, do=approve, primary=True,
                icon=":material/check:", confirm=f"Approve calibration {number}",
            )  # fmt: skip
        else:
            st.caption("What did not pass the backtest cannot be approved.")
        action(
            "Reject", key="reject", needs="engineer", fields=lambda: number, do=turn_down, icon=":material/close:",
            confirm=f"Reject calibration {number}",
        )  # fmt: skip


def approve(viewer: Viewer, reason: str, number: int) -> str:
    """Make its corrections part of the price book. Raises `NotPromoted` when that cannot be any more."""
    with st.spinner("Making a new version of the price book"), database(ledger_url()).write() as connection:
        made = promote(connection, organization(), number, author=viewer.name, reason=reason)
    return (
        f"Calibration {number} is approved: {label_of(made.version)} of the price book is made. "
        f"Running services take it up within {read_settings().cache_ttl_seconds} s."
    )


def turn_down(viewer: Viewer, reason: str, number: int) -> str:
    """Say no to it. Raises `NotPromoted` when it is decided already."""
    with database(ledger_url()).write() as connection:
        reject(connection, organization(), number, author=viewer.name, reason=reason)
    return f"Calibration {number} is rejected; no price changed."


def _all(view: ChallengersView) -> None:
    st.caption(f"The newest {plural(len(view.calibrations), 'calibration')}. Choose a row to see one in full.")
    key = f"calibrations_{st.query_params.get(CHOSEN, '')}"
    st.dataframe(
        calibration_rows(view), hide_index=True, key=key, on_select=lambda: choose(key, view),
        selection_mode="single-row", alt="Calibrations, newest first",
        column_config={"No.": st.column_config.NumberColumn(pinned=True)},
    )  # fmt: skip


def calibration_rows(view: ChallengersView) -> list[dict[str, object]]:
    """One row a calibration, with the gate's verdict and its reasons."""
    rows: list[dict[str, object]] = []
    for each in view.calibrations:
        verdict, state = each.challenger.verdict, state_of(each, view.live)
        failed = [check.sentence for check in verdict.checks if not check.passed]
        rows.append(
            {
                "No.": each.number,
                "Verdict": "passed" if verdict.passed else "failed",
                "State": _STATES.get(state, state),
                "Corrects": plural(len(each.challenger.proposals), "segment"),
                "Against": label_of(each.champion),
                "Made (UTC)": f"{each.created_at:%d %b %Y %H:%M}",
                "By": each.author,
                "Reasons": " ".join(failed or [check.sentence for check in verdict.checks if check.name == "accuracy"]),
            }
        )
    return rows


def choose(key: str, view: ChallengersView) -> None:
    """Show the calibration whose row was chosen."""
    chosen = st.session_state[key]["selection"]["rows"]
    if chosen and chosen[0] < len(view.calibrations):
        st.query_params[CHOSEN] = str(view.calibrations[chosen[0]].number)

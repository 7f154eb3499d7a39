"""The money of one decision: estimate, hold, settlement, and how far they are apart."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import streamlit as st

from dashboard.wording import BASES, STATES, duration, percent, plain
from engine.ledger.queries.decisions import DecisionRecord
from engine.money import format_usd

_Colour = Literal["off", "inverse", "normal"]


def money_strip(record: DecisionRecord) -> None:
    """Three steps in a row, and the same in one sentence."""
    cards = st.grid(3, min_column_width=180)
    cards.metric(
        "Estimate",
        format_usd(record.estimate_micros),
        delta=plain(BASES.get(record.estimate_basis, f"price book {record.price_book_version}")),
        delta_color="off",
        delta_arrow="off",
        border=True,
    )
    buffer = record.reserve_micros - record.estimate_micros
    cards.metric(
        "Hold" if record.outcome == "allowed" else "Hold (not made)",
        format_usd(record.reserve_micros),
        delta=f"{format_usd(buffer)} buffer",
        delta_color="off",
        delta_arrow="off",
        border=True,
    )
    value, note = settlement(record)
    cards.metric(
        "Settlement", value, delta=plain(note), delta_color=_colour(record), delta_arrow="off", border=True
    )  # fmt: skip
    st.caption(f":material/timeline: {plain(money_story(record))}")


def settlement(record: DecisionRecord) -> tuple[str, str]:
    """What the hold became: an amount or a dash, and a note."""
    if record.state == "settled" and record.actual_micros is not None:
        if not record.estimate_micros:
            return format_usd(record.actual_micros), "no estimate to compare"
        difference = (record.actual_micros - record.estimate_micros) / record.estimate_micros
        if difference == 0:
            return format_usd(record.actual_micros), "as estimated"
        word = "above" if difference > 0 else "below"
        return format_usd(record.actual_micros), f"{percent(abs(difference))} {word} the estimate"
    if record.state == "expired":
        return format_usd(record.spent_micros), "expired: charged at its reserve"
    return "–", STATES.get(record.state, record.state)


def money_story(record: DecisionRecord) -> str:
    """`Estimated $0.05 → held $0.06 → settled $0.055 after 12 s, $0.005 less than was held`."""
    steps = [f"Estimated {format_usd(record.estimate_micros)}"]
    held = format_usd(record.reserve_micros)
    if record.outcome != "allowed":
        return f"{steps[0]} → {held} would have been held → no hold was made and nothing was charged"
    steps.append(f"held {held}")
    after = "" if record.closed_at is None else f" {_after(record.closed_at - record.at)}"
    match record.state:
        case "settled" if record.actual_micros is not None:
            steps.append(f"settled {format_usd(record.actual_micros)}{after}, {_against_hold(record)}")
        case "expired":
            steps.append(f"not settled in time: charged {format_usd(record.spent_micros)}{after}")
        case "cancelled":
            steps.append(f"cancelled{after}: nothing was charged")
        case _:
            until = "" if record.expires_at is None else f" until {record.expires_at:%H:%M:%S} UTC"
            steps.append(f"not settled yet, held{until}")
    return " → ".join(steps)


def _after(length: timedelta) -> str:
    return "in less than a second" if length < timedelta(seconds=1) else f"after {duration(length)}"


def _against_hold(record: DecisionRecord) -> str:
    over = (record.actual_micros or 0) - record.reserve_micros
    if over == 0:
        return "as was held"
    return f"{format_usd(abs(over))} {'more' if over > 0 else 'less'} than was held"


def _colour(record: DecisionRecord) -> _Colour:
    """Only what passed its hold, which budgets did not see coming, is marked."""
    passed = record.actual_micros is not None and record.actual_micros > record.reserve_micros
    return "inverse" if passed else "off"

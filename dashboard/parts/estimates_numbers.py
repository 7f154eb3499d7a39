"""The numbers at the top of the Estimate vs actual page."""

from __future__ import annotations

import streamlit as st

from dashboard.bias_words import interval_words, signed_money, signed_percent
from dashboard.cards import NOTHING, Number, number_row
from dashboard.reading.estimates import EstimatesView
from dashboard.wording import count, percent, plural
from engine.analytics.samples import ACT_FROM, GREY_FROM, Band
from engine.ledger.price_books import label_of


def numbers(view: EstimatesView, words: str) -> None:
    """Bias, WAPE, settled share, what the bias is worth, and the version that prices calls now."""
    number_row([Number(label, value, note, explained) for label, value, note, explained in figures(view, words)])
    if view.total.band is Band.GREY:
        st.caption(
            f":material/info: {plural(view.total.calls, 'settled call')}: too few to act on, {ACT_FROM} are needed."
        )


def figures(view: EstimatesView, words: str) -> list[tuple[str, str, str, str]]:
    """Label, value, note and explanation of each number."""
    judged, ratio = view.total, view.total.ratio
    few = judged.band is Band.COUNT_ONLY
    # A card has room for some twenty characters.
    too_few = f"{judged.calls} settled; {GREY_FROM} needed"
    if few or ratio is None:
        bias, bias_note = NOTHING, too_few if few else "estimates are 0"
        wape, worth = (NOTHING, too_few), (NOTHING, too_few)
        if not few:
            wape, worth = (NOTHING, "estimates are 0"), (signed_money(judged.worth_per_month_micros), "estimates are 0")
    else:
        bias = signed_percent(ratio.bias)
        bias_note = f"95 %: {interval_words(ratio)}"
        wape = (
            NOTHING if ratio.wape is None else percent(ratio.wape),
            "nothing was paid" if ratio.wape is None else f"of {plural(judged.calls, 'settled call')}",
        )
        direction = "costs above" if judged.worth_per_month_micros > 0 else "costs below"
        unchanged = not judged.worth_per_month_micros
        worth = (
            signed_money(judged.worth_per_month_micros),
            "costs equal estimates" if unchanged else f"{direction} estimates",
        )
    live = view.versions[0] if view.versions else None
    return [
        (
            "Bias", bias, bias_note,
            f"Actual over estimate without buffer, less one, of {words}, with its 95 % interval. Above zero: too low.",
        ),
        ("WAPE", *wape, "The sum of all errors over the sum of all costs: how far a single call is off."),
        (
            "Settled", NOTHING if judged.settled_share is None else percent(judged.settled_share),
            f"{count(judged.calls)} of {plural(view.calls, 'call')}",
            "Calls whose real cost is known, of those allowed, not cancelled and estimated by the price book.",
        ),
        (
            "Worth a month", *worth,
            "What the bias comes to in 30 days like these. Budgets run over by it, or deny calls for nothing.",
        ),
        (
            "Price book", label_of(view.live_version),
            "ships with Bursar" if live is None else f"since {live.created_at:%d %b %H:%M} UTC",
            "The version that prices calls now." if live is None
            else f"Made {live.created_at:%d %b %Y} by {live.author}: {live.reason}",
        ),
    ]  # fmt: skip

"""Estimate vs actual: which price is wrong, by how much, and whether the fix is better."""

from __future__ import annotations

import streamlit as st

from dashboard.cards import chart_card
from dashboard.charts.estimates import ratio_by_segment
from dashboard.charts.estimates_calls import density, ratio_histogram
from dashboard.charts.estimates_days import rolling
from dashboard.charts.estimates_tokens import ratio_by_tokens
from dashboard.filters import filter_row
from dashboard.frame import colours, nothing_yet, organization
from dashboard.head import page_head
from dashboard.narrowing import as_name
from dashboard.parts.estimates_challenger import challengers
from dashboard.parts.estimates_numbers import numbers
from dashboard.parts.estimates_residuals import residuals
from dashboard.parts.estimates_versions import price_book
from dashboard.reading.base import ledger_url
from dashboard.reading.estimates import CallsView, Wanted, read_calls, read_estimates, read_percents, read_segment_names
from dashboard.reading.estimates_challenger import read_challengers
from dashboard.wording import plain, plural

RANGES = ("7d", "30d", "90d")


def single_calls(calls: CallsView) -> None:
    """The newest calls one by one, and the worst misses."""
    st.subheader("Call by call", anchor=False)
    st.caption("As the calls are now; the numbers above count the newest ones within five minutes.")
    left, right = st.columns(2)
    sampled = f"The newest {plural(len(calls.sample), 'settled call')} of the range."
    with left:
        chart_card(density(calls.sample, colours()), "density", f"{sampled} Both axes are logarithmic; dashed: ±15 %.")
    with right:
        chart_card(
            ratio_by_tokens(calls.sample, colours()),
            "tokens",
            f"{sampled} Those that told their tokens, in ten groups of equal number. Dotted: ±15 %.",
        )
    residuals(calls.residuals)


page_head("Estimate vs actual", "Which price is wrong, by how much, is the fix better?")
org_id, url = organization(), ledger_url()
filters = filter_row(RANGES, "30d")
models, complexities = read_segment_names(url, org_id)
with st.container(horizontal=True, vertical_alignment="bottom", key="segment_filters"):
    model = st.selectbox(
        "Model", [name for name in models if name], index=None, placeholder="All", key="model", bind="query-params",
        # A link may name one that has not called for long.
        accept_new_options=True, width=220,
    )  # fmt: skip
    complexity = st.selectbox(
        "Complexity", complexities, index=None, placeholder="All", key="complexity", bind="query-params",
        accept_new_options=True, width=170,
    )  # fmt: skip
wanted = Wanted(filters, *(as_name(chosen) if chosen else None for chosen in (model, complexity)))
view = read_estimates(url, org_id, wanted)
book = read_challengers(url, org_id)

if not view.calls and not wanted.narrowed and not book.calibrations and not book.versions:
    nothing_yet(
        "No calls to compare yet",
        "Run `bursar demo`, or settle a first call: the worker compares estimates with costs every five minutes.",
    )
    st.stop()

numbers(view, filters.words)
if view.agents is not None:
    st.caption(
        f":material/groups: Estimates are compared by agent: these are all calls of the "
        f"{plural(len(view.agents), 'agent')} that {plain(filters.team_id or '')} called."
    )
if not view.calls:
    st.info(
        f"No call that the price book estimated in {filters.words} matches; clear a filter or take a longer range.",
        icon=":material/filter_alt_off:",
    )
else:
    left, right = st.columns(2)
    with left:
        chart_card(
            ratio_by_segment(view.segments, filters.words, colours()),
            "segments",
            "Actual over estimate less one, with its 95 % interval, the most expensive first. Dotted: ±15 %."
            + (f" {plural(view.segment_count, 'segment')} in all." if view.segment_count > 1 else ""),
        )
    with right:
        chart_card(
            rolling(view.rolling, view.versions, colours()),
            "rolling",
            "Bias of the seven days up to each day (UTC). Dotted across: ±15 %; upright: another version of the price "
            "book. The hollow point is not over yet.",
        )
        percents = read_percents(url, org_id, wanted, view.agents)
        chart_card(
            ratio_histogram([(1.0, percents)], colours(), compared=False, subject=f"of {filters.words}"),
            "histogram",
            "Settled calls by actual over estimate, on a logarithmic axis. Dashed: ±15 %.",
        )
challengers(book, view.now)
if view.calls:
    single_calls(read_calls(url, org_id, wanted))
price_book(book.versions)

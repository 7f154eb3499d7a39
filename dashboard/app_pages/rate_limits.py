"""Rate limits: who is throttled, and whether the limiter is healthy."""

from __future__ import annotations

import streamlit as st

from dashboard.cards import NOTHING, Number, chart_card, download, number_row
from dashboard.charts.rate_limits import denied_by_tier, fail_open_strip, throttled_by_window, utilisation
from dashboard.filters import filter_row
from dashboard.frame import colours, failures_explained, nothing_yet, organization
from dashboard.head import page_head
from dashboard.narrowing import as_name
from dashboard.parts.rate_scopes import limiter_words, narrowed, scope_rows
from dashboard.reading.base import ledger_url, read_live
from dashboard.reading.rate_limits import RateLimitsView, read_rate_limits
from dashboard.wording import count, percent, plain, plural

LIVE_SECONDS = 10
LIMIT, SCOPE = "limit", "scope"

page_head("Rate limits", "Who is throttled, and is the limiter healthy?")
org_id = organization()
filters = filter_row(("24h", "7d"), "24h")
wanted_limit, wanted_scope = (
    as_name(st.query_params[name]) if name in st.query_params else None for name in (LIMIT, SCOPE)
)


def show_all() -> None:
    """Forget what the link narrowed the scopes to."""
    for name in (LIMIT, SCOPE):
        st.query_params.pop(name, None)


if wanted_limit or wanted_scope:
    with st.container(horizontal=True, vertical_alignment="center"):
        about = " of ".join(plain(name) for name in (wanted_limit, wanted_scope) if name)
        st.caption(f":material/filter_alt: Scopes: only {about}")
        st.button("Show all scopes", key="show_all", on_click=show_all)


def numbers(view: RateLimitsView) -> None:
    """The limiter's health and the throttling of the last hour."""
    now, calls = view.fail_open_now, view.decisions_last_hour
    words, colour = limiter_words(now, view.decisions_now)
    full = [line for line in view.pressure if line.full_hours]
    number_row(
        [
            Number(
                "Redis p95",
                NOTHING if view.redis_p95_us is None else f"{view.redis_p95_us / 1000:,.1f} ms",
                f"{plural(view.timed, 'call')} timed",
                "How long the gate's question to Redis took, as callers timed it, of the whole organization.",
            ),
            Number(
                "Fail-open now",
                count(now),
                words,
                "Calls let through in the last 5 minutes while Redis was away, each within its process's own limiter.",
                colour,
            ),
            Number(
                "429s, last hour",
                count(view.throttled_last_hour),
                f"{percent(view.throttled_last_hour / calls)} of {plural(calls, 'call')}" if calls else "no calls",
                "Calls that a rate limit denied, each with the time after which to try again.",
            ),
            Number(
                "Limits used up",
                count(len(full)),
                f"of {len(view.pressure)} at half or more" if view.pressure else "none at half or more",
                "Windows of scopes that had nothing left in at least one hour. Of the whole organization.",
            ),
        ]
    )


def scopes(view: RateLimitsView) -> None:
    """Who presses on which limit, and what would have let the worst hour pass."""
    st.subheader("Scopes under pressure", anchor=False)
    st.caption(
        f"Windows of the whole organization that came to half of their limit in {filters.words}, by the whole hour. "
        "The suggested limit would have let the worst hour pass. Choose a row to see the calls."
    )
    live = read_live(ledger_url(), org_id)
    lines = narrowed(view.pressure, wanted_limit, wanted_scope)
    if not lines:
        st.info("No scope came to half of a limit here.", icon=":material/speed:")
        return
    rows = scope_rows(lines, None if live is None else live.document)
    chosen = st.dataframe(
        [row.shown for row in rows],
        hide_index=True,
        key="scopes",
        on_select="rerun",
        selection_mode="single-row",
        alt="Rate scopes under pressure, those that denied most first",
        column_config={
            "Scope": st.column_config.TextColumn(pinned=True),
            "Limit": st.column_config.TextColumn(help="Bursts included."),
            "Peak": st.column_config.ProgressColumn(format="%.0f %%", min_value=0, max_value=100),
        },
    ).selection.rows
    download([row.shown for row in rows], "rate_scopes")
    # The row was chosen among those shown then; live data may have changed their order since.
    before = st.session_state.get("scopes_shown", [])
    st.session_state["scopes_shown"] = [row.link for row in rows]
    if chosen and chosen[0] < len(before):
        since = {"from": view.window.start.isoformat()}
        st.switch_page("app_pages/decisions.py", query_params={"org": org_id, **since, **before[chosen[0]]})


@st.fragment(run_every=LIVE_SECONDS)
def live_part() -> None:
    """Everything that moves."""
    with failures_explained(retry=False):
        view = read_rate_limits(ledger_url(), org_id, filters)
        live = read_live(ledger_url(), org_id)
        if not (view.series or view.pressure):
            if filters.narrowed:
                st.info("No call matches these filters; clear one to see more.", icon=":material/filter_alt_off:")
            else:
                nothing_yet("No calls yet", "Run `bursar demo`, or make a first check.")
            return
        numbers(view)
        tiers = {} if live is None else {limit.id: limit.per for limit in live.document.rate_limits}
        palette = colours()
        left, right = st.columns(2)
        with left:
            chart_card(
                throttled_by_window(view.series, view.window, filters.words, palette),
                "throttled",
                f"429 answers per {view.window.grain} (UTC). The fainter bar is not over yet.",
            )
        with right:
            chart_card(
                denied_by_tier(view.tiers, tiers, view.window, filters.words, palette),
                "tiers",
                "Of the whole organization. A call that two limits deny counts at both.",
            )
        if any(cell.fail_open for cell in view.series):
            chart_card(fail_open_strip(view.series, view.window, filters.words, palette), "fail_open")
        else:
            st.success(f"The limiter decided every call in {filters.words}.", icon=":material/check_circle:")
        heat = narrowed(view.heat, wanted_limit, wanted_scope)
        chart_card(
            utilisation(heat, view.window, palette),
            "heat",
            "The fullest window of each scope by the hour (UTC), of the whole organization; blank is below half. "
            "On top: those that denied most.",
        )
        scopes(view)


live_part()

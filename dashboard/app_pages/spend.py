"""Spend: whether we are on plan, and if not, who moved it."""

from __future__ import annotations

from typing import cast

import streamlit as st

from dashboard.cards import chart_card, number_row
from dashboard.charts.spend import by_day, moved, spend_over_time
from dashboard.charts.spend_month import burn_up
from dashboard.filters import filter_row
from dashboard.frame import colours, look_again, nothing_yet, organization, organization_since
from dashboard.head import page_head
from dashboard.palette import palette_for
from dashboard.parts.spend_headline import headline_of
from dashboard.parts.spend_numbers import NEXT_STEP, numbers_of, range_words
from dashboard.parts.spend_report import spend_report
from dashboard.parts.spend_rows import about, largest_of, name_of, names_of, rows_of
from dashboard.parts.spend_table import show_table
from dashboard.reading.base import ledger_url, read_live, read_names
from dashboard.reading.spend import (
    MOST_NAMES,
    Level,
    days_of,
    narrowing_of,
    range_window,
    read_history,
    read_instant,
    read_level,
    read_range,
    read_standing,
)
from dashboard.report import report_html
from dashboard.windows import RANGES
from dashboard.wording import money, plain, plural

LEVELS = ["Agent", "Team", "Provider"]
BOXES = {
    "good": (st.success, "check_circle"),
    "warning": (st.warning, "trending_up"),
    "bad": (st.error, "trending_up"),
    "unknown": (st.info, "info"),
}

health = page_head("Spend", "Are we on plan, and if not, who moved it?")
url, org_id = ledger_url(), organization()
filters = filter_row(list(RANGES), "30d")
live = read_live(url, org_id)
document = None if live is None else live.document
zone = "UTC" if document is None else document.timezone
providers = tuple(read_names(url, org_id).providers)
now = read_instant(url, org_id)
history = read_history(url, org_id, filters, now, zone, providers)
month, comparison = history.month, history.comparison

if not month.days:
    if filters.narrowed:
        st.info("No calls match these filters; clear one to see more.", icon=":material/filter_alt_off:")
    else:
        nothing_yet("No decisions yet", "Run `bursar demo`, or make a first check.")
        look_again()
    st.stop()

bar = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom", key="level_row")
by = bar.segmented_control(
    "Who moved it, by", LEVELS, default="Agent", required=True, key="by", bind="query-params", width="content"
)
level = cast("Level", (by or "Agent").lower())
window = range_window(filters, now, zone, organization_since())
chosen = read_range(url, org_id, filters, now, window, providers)
names = names_of(level, chosen.agents, MOST_NAMES)
of_level = read_level(url, org_id, filters, now, zone, level, names, comparison)
standing = read_standing(url, org_id, now)
rows = rows_of(level, names, chosen, of_level, standing, document, month)
numbers = numbers_of(month, chosen, filters.words)
headline = headline_of(
    month, of_level.moves, comparison, about(standing.ahead, narrowing_of(filters)), largest_of(rows)
)
known = len({name_of(level, agent) for agent in chosen.agents})

box, icon = BOXES[headline.standing]
box(plain(" ".join(headline.sentences)), title=headline.verdict, icon=f":material/{icon}:")
number_row(numbers, key="numbers")
holds = standing.holds
held = (
    f"Held now, and in no number here: {money(holds.held_micros)} in {plural(holds.count, 'open call')}."
    if holds.count
    else "Nothing is held now."
)
no_plan = "" if month.plan else f"No plan: {NEXT_STEP}"
notes = (f"Months and days are those of {zone}.", range_words(month), held, no_plan)
st.caption(plain(" ".join(note for note in notes if note)))

if window.grain == "day":
    cells, shown, days_zone = *by_day(history.cells, days_of(now, zone, filters.range_key)), zone
else:
    cells, shown, days_zone = chosen.cells, window, "UTC"
per = spend_over_time(cells, shown, filters.words, colours(), everyone=providers, zone=days_zone)
left, right = st.columns(2)
with left:
    chart_card(burn_up(month, colours()), "burn_up", "US dollars since the first of the month. Today is not over.")
with right:
    chart_card(
        moved(of_level.moves, comparison, level, colours()),
        "moved",
        f"Change in US dollars, by {level}." if comparison else "It needs 14 days of calls.",
    )
chart_card(per, "per_bucket", f"US dollars per {window.grain} ({plain(days_zone)}). The fainter bar is not over yet.")
if rows:
    show_table(rows, level, filters.words, known)
else:
    st.info(f"No calls in {filters.words}; choose a longer range.", icon=":material/filter_alt_off:")

bar.download_button(
    "Report",
    lambda: report_html(
        spend_report(
            org_id=org_id, narrowing=narrowing_of(filters), data_to=health.drained_through, month=month,
            headline=headline, numbers=numbers, moves=of_level.moves, comparison=comparison,
            bars=spend_over_time(cells, shown, filters.words, palette_for("light"), everyone=providers, zone=days_zone),
            rows=rows, level=level, words=filters.words,
        )
    ),
    file_name=f"spend-{org_id}-{month.today.isoformat()}.html",
    mime="text/html",
    icon=":material/print:",
    on_click="ignore",
    help="One file to print or to send: what this page shows now.",
    key="report",
)  # fmt: skip

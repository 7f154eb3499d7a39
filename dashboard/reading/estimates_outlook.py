"""Why no challenger waits for a decision, and when the next calibration runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import streamlit as st

from dashboard.bias_words import segment_name, signed_percent
from dashboard.reading.base import database
from dashboard.wording import plural
from engine.analytics.backtest import FEWEST_CALLS_OF_SEGMENT
from engine.analytics.samples import ACT_FROM
from engine.analytics.variance import PROPOSAL_SHARE
from engine.clock import utc_now
from engine.document.store import live_version
from engine.ledger.calibrating import CALIBRATE_EVERY, CALIBRATION_JOB
from engine.ledger.calibrations import FIT_DAYS, HOLDOUT_DAYS, Window, has_slot
from engine.ledger.price_books import book_history, label_of
from engine.ledger.queries.health import last_successes
from engine.ledger.queries.variance import Days, SegmentTotals, segment_totals
from engine.pricing.challenger import LARGEST_FACTOR, SMALLEST_FACTOR
from engine.pricing.segment import Segment


@dataclass(frozen=True, slots=True)
class Outlook:
    """`why` is a sentence. `next_at` is None when nothing is scheduled; one in the past waits for the worker."""

    why: str
    next_at: datetime | None


@st.cache_data(ttl=30, max_entries=32, show_spinner=False)
def read_outlook(url: str, org_id: str) -> Outlook:
    """For an organization without a challenger that waits."""
    now = utc_now()
    today = now.astimezone(UTC).date()
    window = Window.before(today)
    with database(url).read() as connection:
        governed = live_version(connection, org_id) is not None
        done = has_slot(connection, org_id, today)
        last = last_successes(connection).get(CALIBRATION_JOB)
        totals = segment_totals(connection, Days(org_id, window.start, window.end), with_percents=False)
        newest = book_history(connection, org_id, most=1)
    if not governed:
        return Outlook(
            "Calibrations are made by themselves only for an organization with a governance document; "
            "apply one, or run `bursar costs calibrate`.",
            None,
        )
    if done:
        tomorrow = datetime.combine(today + timedelta(days=1), time(), UTC)
        return Outlook("Today's calibration was made already; one a day is kept.", tomorrow)
    # One that never ran is due since always.
    due = datetime.min.replace(tzinfo=UTC) if last is None else last + CALIBRATE_EVERY
    live, since = (label_of(newest[0].version), newest[0].created_at.date()) if newest else ("", None)
    return Outlook(why_none(totals, window, live, since), due)


def why_none(
    totals: Mapping[Segment, SegmentTotals], window: Window, live: str = "", live_since: date | None = None
) -> str:
    """What keeps a calibration of this window from proposing anything.

    `live` names the version of the price book that is live since a day; None is since ever.
    """
    fit = {segment: each.between(window.start, window.holdout) for segment, each in totals.items()}
    settled = {segment: each for segment, each in fit.items() if each.sums.calls}
    last = f"the last {HOLDOUT_DAYS} days"
    if not settled:
        return (
            f"No call older than {HOLDOUT_DAYS} days is settled: a calibration learns from the {FIT_DAYS} days before "
            f"{last}, on which it is judged."
        )
    busiest = max(settled, key=lambda segment: (settled[segment].sums.calls, segment))
    calls = settled[busiest].sums.calls
    if calls < ACT_FROM:
        return (
            f"Too few calls: {segment_name(busiest)} has the most, {plural(calls, 'settled call')} in the {FIT_DAYS} "
            f"days before {last}; {ACT_FROM} are needed."
        )
    judged = {segment: each.judged(window.holdout) for segment, each in settled.items()}
    off = [segment for segment in judged if judged[segment].beyond_proposal]
    if not off:
        enough = sum(each.sums.calls >= ACT_FROM for each in settled.values())
        return (
            f"Nothing to correct: of {plural(enough, 'segment')} with {ACT_FROM} calls or more none is surely off by "
            f"more than {PROPOSAL_SHARE:.0%}.".replace("%", " %")
        )
    worst = max(off, key=lambda segment: (abs(judged[segment].worth_per_month_micros), segment))
    ratio = judged[worst].ratio
    value = 1.0 if ratio is None else ratio.value
    if not float(SMALLEST_FACTOR) <= value <= float(LARGEST_FACTOR):
        times = f"{value:.3g} times its estimate"
        return f"{segment_name(worst)} costs {times}: too far off to be tuned, so look at its price."
    later = totals[worst].between(window.holdout, window.end).sums.calls
    if later < FEWEST_CALLS_OF_SEGMENT:
        return (
            f"{segment_name(worst)} is off by {signed_percent(value - 1)}, but has only "
            f"{plural(later, 'settled call')} in {last}; {FEWEST_CALLS_OF_SEGMENT} are needed to judge a correction."
        )
    if live_since is not None and live_since > window.start:
        return (
            f"{segment_name(worst)} was off by {signed_percent(value - 1)} in the {FIT_DAYS} days before {last}, but "
            f"{live} of the price book is live only since {live_since:%d %b}; the next calibration judges that one."
        )
    return f"{segment_name(worst)} is off by {signed_percent(value - 1)}; the next calibration tries to correct it."

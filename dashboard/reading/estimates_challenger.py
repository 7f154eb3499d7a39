"""What the Estimate vs actual page reads of challengers and versions of the price book, and what each would change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import streamlit as st

from dashboard.reading.base import database, read_live
from dashboard.reading.estimates import MOST_VERSIONS
from engine.clock import to_ms, utc_now
from engine.ledger.calibrations import Calibration, Window, recent_calibrations, stored_calibration
from engine.ledger.price_books import SHIPPED, BookRecord, book_history, stored_book
from engine.ledger.queries.variance import Days, SegmentTotals, segment_totals
from engine.pricing.book import PriceBook
from engine.pricing.book_diff import diff_books
from engine.pricing.options import DEFAULT_OPTIONS
from engine.pricing.price_list import PriceList
from engine.pricing.quotes import Quote, quote_of
from engine.pricing.segment import Segment

DAYS_OF_MONTH = 30
MOST_CALIBRATIONS = 20


@dataclass(frozen=True, slots=True)
class ChallengersView:
    """The newest calibrations and versions of the price book."""

    calibrations: list[Calibration]
    versions: list[BookRecord]

    @property
    def live(self) -> int:
        """The version that prices calls now."""
        return self.versions[0].version if self.versions else SHIPPED

    @property
    def waiting(self) -> Calibration | None:
        """The newest one that nobody has decided on and that was judged against the live version."""
        return next((each for each in self.calibrations if state_of(each, self.live) == "proposed"), None)

    def find(self, number: str | None) -> Calibration | None:
        """The one of this number."""
        return next((each for each in self.calibrations if str(each.number) == number), None)


@dataclass(frozen=True, slots=True)
class PriceEffect:
    """What another book means for a segment: old and new price, and the calls of some days at both.

    `times` is by what estimates are multiplied; None when that depends on each call's tokens.
    """

    segment: Segment
    before: Quote
    after: Quote
    times: float | None
    calls: int
    estimate_micros: int
    actual_micros: int
    days: int

    @property
    def estimates_per_month(self) -> int | None:
        """By how much estimates of such calls change in 30 days, in micro-dollars; None when that cannot be told."""
        return None if self.times is None or not self.calls else self._month((self.times - 1) * self.estimate_micros)

    @property
    def off_now(self) -> int:
        """What calls cost above their estimates in 30 days, in micro-dollars."""
        return self._month(self.actual_micros - self.estimate_micros)

    @property
    def off_then(self) -> int | None:
        """The same with the new price."""
        return None if self.times is None else self._month(self.actual_micros - self.times * self.estimate_micros)

    def _month(self, micros: float) -> int:
        return round(micros * DAYS_OF_MONTH / self.days)


@dataclass(frozen=True, slots=True)
class ProofView:
    """A calibration's effect on the days that it was judged on.

    `parts` has for each corrected segment by what its estimates are multiplied, and its calls by percent of them.
    """

    effects: list[PriceEffect]
    parts: list[tuple[float, dict[int, int]]]


@dataclass(frozen=True, slots=True)
class RollbackView:
    """What going back to a version changes: the segments of the last 30 days whose price differs, and all rows."""

    effects: list[PriceEffect]
    rows: list[str]


def state_of(calibration: Calibration, live: int) -> str:
    """As it is kept, or `outdated` when another version is live than the one it was judged against."""
    outdated = calibration.state == "proposed" and calibration.champion != live
    return "outdated" if outdated else calibration.state


@st.cache_data(ttl=5, max_entries=32, show_spinner=False)
def read_challengers(url: str, org_id: str) -> ChallengersView:
    """Calibrations and versions, newest first."""
    with database(url).read() as connection:
        return ChallengersView(
            recent_calibrations(connection, org_id, most=MOST_CALIBRATIONS),
            book_history(connection, org_id, most=MOST_VERSIONS),
        )


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def read_proof(url: str, org_id: str, number: int) -> ProofView:
    """What a calibration would have changed on the days that it was judged on."""
    with database(url).read() as connection:
        calibration = stored_calibration(connection, org_id, number)
        champion = stored_book(connection, org_id, calibration.champion).book
        window: Window = calibration.window
        found = segment_totals(connection, Days(org_id, window.holdout, window.end))
    proposals = {each.segment: each for each in calibration.challenger.proposals}
    totals = {segment: found.get(segment, SegmentTotals()) for segment in proposals}
    corrected = champion.with_corrections(calibration.challenger.corrections(f"calibration {number}"))
    days = (window.end - window.holdout).days
    effects = price_effects(_lists(url, org_id, (champion, corrected)), totals, days, utc_now())
    parts = [
        (float(proposals[segment].new_factor / proposals[segment].old_factor), dict(each.percents))
        for segment, each in totals.items()
    ]
    return ProofView(effects, parts)


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def read_rollback(url: str, org_id: str, live: int, version: int) -> RollbackView:
    """What going back from the live version to another one changes."""
    now = utc_now()
    with database(url).read() as connection:
        before, after = (stored_book(connection, org_id, each).book for each in (live, version))
        start, end = now.date() - timedelta(days=DAYS_OF_MONTH), now.date()
        found = segment_totals(connection, Days(org_id, start, end), with_percents=False)
        newest = book_history(connection, org_id, most=1)
    # Estimates of days before were made by another version: only whole days of the live one can be compared.
    since = max(start, newest[0].created_at.date() + timedelta(days=1)) if newest else start
    totals = {segment: each.between(since, end) for segment, each in found.items()}
    effects = price_effects(_lists(url, org_id, (before, after)), totals, max(1, (end - since).days), now)
    return RollbackView(
        [each for each in effects if each.before != each.after],
        [change.text for change in diff_books(before, after)],
    )


def price_effects(
    lists: tuple[PriceList, PriceList], totals: Mapping[Segment, SegmentTotals], days: int, now: datetime
) -> list[PriceEffect]:
    """Each segment's price by both lists, and what its calls of these days come to."""
    found = []
    for segment, each in totals.items():
        before, after = (quote_of(prices.of(*segment.key), to_ms(now)) for prices in lists)
        found.append(
            PriceEffect(
                segment, before, after, before.times(after), each.sums.calls, each.sums.estimate_micros,
                each.sums.actual_micros, days,
            )
        )  # fmt: skip
    return found


def _lists(url: str, org_id: str, books: Iterable[PriceBook]) -> tuple[PriceList, PriceList]:
    # The document's own prices count beside the book's, and they stay.
    live = read_live(url, org_id)
    options = DEFAULT_OPTIONS if live is None else live.document.prices.options()
    before, after = (PriceList(book, options) for book in books)
    return before, after

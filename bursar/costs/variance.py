"""`bursar costs variance`: estimate against actual, segment by segment or day by day."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Any

from bursar.costs.counting import count_with_progress
from bursar.costs.wording import bias_text, interval_text, p95_text, rough_usd, share_text, signed_share
from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.governing.screen import say
from bursar.prices.tables import say_table
from engine.analytics.samples import Band
from engine.analytics.variance import SegmentVariance
from engine.clock import utc_now
from engine.ledger.price_books import live_book
from engine.ledger.queries.variance import Days, SegmentTotals, daily_totals, segment_totals
from engine.pricing.segment import Segment
from engine.settings import read_settings

MOST_SHOWN = 30
MONTH = "a month"
_COLUMNS = ("settled", "estimate", "actual", "bias", "95 % interval", "WAPE", "P95 under", MONTH, "verdict")
_NUMBERS = _COLUMNS[:-1]


@dataclass(frozen=True, slots=True)
class VarianceOptions:
    """What the command line was given."""

    days: int
    agent: str | None
    provider: str | None
    model: str | None
    daily: bool
    every: bool
    org: str | None
    as_json: bool


def run_variance(options: VarianceOptions) -> None:
    """Count, then say."""
    now = utc_now()
    end = now.astimezone(UTC).date() + timedelta(days=1)
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, options.org)
        count_with_progress(database, org_id, now)
        days = Days(org_id, end - timedelta(days=options.days), end, options.agent, options.provider, options.model)
        with database.read() as connection:
            book = live_book(connection, org_id).book.label
            found: Mapping[Any, SegmentTotals] = (
                daily_totals(connection, days) if options.daily else segment_totals(connection, days)
            )
    judged = {
        key: (totals, totals.judged(key + timedelta(days=1) if isinstance(key, date) else end))
        for key, totals in found.items()
    }
    if options.as_json:
        result = {
            "organization": org_id,
            "from": str(days.start),
            "to": str(end - timedelta(days=1)),
            "price_book": book,
            "total": _json(None, *_total(found, end)),
            "days" if options.daily else "segments": [_json(key, *each) for key, each in judged.items()],
        }
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return
    if not found:
        asked = [f"{name} {value}" for name in ("agent", "provider", "model") if (value := getattr(options, name))]
        of = f" of {', '.join(asked)}" if asked else ""
        say(f"{org_id}: no call{of} that the price book estimated in the last {options.days} UTC days")
        return
    _say_total(org_id, options.days, end, book, found)
    shown = list(judged.items())
    if not options.daily and not options.every:
        shown = shown[:MOST_SHOWN]
    # What a single day is worth a month says nothing.
    columns = [place for place, name in enumerate(_COLUMNS) if not (options.daily and name == MONTH)]
    say_table(
        ("day" if options.daily else "segment", *(_COLUMNS[place] for place in columns)),
        [(str(key), *(_cells(*each)[place] for place in columns)) for key, each in shown],
        right=_NUMBERS,
    )
    if len(shown) < len(judged):
        say(f"  ... and {len(judged) - len(shown):,} more; --all shows every one")


def _total(found: Mapping[Any, SegmentTotals], end: date) -> tuple[SegmentTotals, SegmentVariance]:
    total = SegmentTotals()
    for each in found.values():
        total.add(each)
    return total, total.judged(end)


def _say_total(org_id: str, days: int, end: date, book: str, found: Mapping[Any, SegmentTotals]) -> None:
    total, whole = _total(found, end)
    settled = "none" if whole.settled_share is None else share_text(whole.settled_share)
    say(
        f"{org_id}, last {days} UTC days, price book {book}: estimated {rough_usd(total.sums.estimate_micros)}, "
        f"cost {rough_usd(total.sums.actual_micros)} ({bias_text(whole)}); {settled} of {total.calls:,} calls settled",
        "bold",
    )


def _cells(totals: SegmentTotals, judged: SegmentVariance) -> tuple[str, ...]:
    count = f"{judged.calls:,} of {totals.calls:,}"
    if judged.band is Band.COUNT_ONLY or judged.ratio is None:
        return (
            count,
            *[""] * 7,
            "too few calls" if judged.ratio is not None or not judged.calls else "estimates are 0",
        )
    wape = "" if judged.ratio.wape is None else share_text(judged.ratio.wape)
    p95 = "" if judged.p95_under_estimate is None else p95_text(judged.p95_under_estimate)
    return (
        count,
        rough_usd(totals.sums.estimate_micros),
        rough_usd(totals.sums.actual_micros),
        signed_share(judged.ratio.bias),
        interval_text(judged.ratio),
        wape,
        p95,
        rough_usd(judged.worth_per_month_micros),
        verdict_text(judged),
    )


def verdict_text(judged: SegmentVariance) -> str:
    """What a segment's numbers allow to be said."""
    if judged.band is Band.GREY:
        return "too few to act on"
    if judged.beyond_alert:
        return "beyond 15 %"
    return "worth a calibration" if judged.beyond_proposal else "fine"


def _json(key: Any, totals: SegmentTotals, judged: SegmentVariance) -> dict[str, Any]:
    ratio = judged.ratio
    name = {} if key is None else key._asdict() if isinstance(key, Segment) else {"day": str(key)}
    return {
        **name,
        "calls": totals.calls,
        "settled": judged.calls,
        "settled_share": judged.settled_share,
        "band": judged.band.value,
        "estimate_micros": totals.sums.estimate_micros,
        "actual_micros": totals.sums.actual_micros,
        "bias": None if ratio is None else ratio.bias,
        "bias_low": None if ratio is None else ratio.low - 1,
        "bias_high": None if ratio is None or ratio.high == float("inf") else ratio.high - 1,
        "wape": None if ratio is None else ratio.wape,
        "p95_under_estimate": judged.p95_under_estimate,
        "worth_per_month_micros": judged.worth_per_month_micros,
        "beyond_alert": judged.beyond_alert,
        "beyond_proposal": judged.beyond_proposal,
    }

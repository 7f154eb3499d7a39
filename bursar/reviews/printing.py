"""`bursar reviews`: print a stored review, or one made for the purpose."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.governing.screen import say
from engine.clock import utc_now
from engine.document.store import live_document, live_version
from engine.errors import BursarError, InvalidValue
from engine.ledger.database import Database
from engine.ledger.queries.health import drained_through
from engine.ledger.queries.reviews import review_labels, stored_review
from engine.reviews.content import Review, review_from_json, review_to_json
from engine.reviews.gathering import gather
from engine.reviews.periods import ReviewKind, ReviewPeriod, named_period, newest_complete
from engine.reviews.reading import Asked
from engine.reviews.telling import all_lines
from engine.settings import read_settings
from jobs.reviews.letter import review_html
from jobs.reviews.notice import review_link

MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """What the command line was given."""

    kind: ReviewKind
    period: str | None
    org: str | None
    as_json: bool
    as_html: bool


def run_show(options: ReviewOptions) -> None:
    """Print a stored review."""
    _checked(options)
    settings = read_settings()
    with needed_ledger(settings) as database:
        org_id = chosen_organization(database, options.org)
        if options.period is not None:
            # Only to refuse a label that cannot be one: the zone makes no difference to that.
            _named(options.kind, options.period, "UTC")
        with database.read() as connection:
            stored = stored_review(connection, org_id, options.kind, options.period)
            labels = [] if stored else review_labels(connection, org_id, options.kind, limit=MOST_NAMED)
    if stored is None:
        raise BursarError(_missing(org_id, options, labels))
    review = review_from_json(options.kind, stored.content)
    _print(review, options, settings.dashboard_url, made=f"Made {stored.made_at:%Y-%m-%d %H:%M} UTC.")


def run_review(options: ReviewOptions) -> None:
    """Make a review now and print it."""
    _checked(options)
    settings, now = read_settings(), utc_now()
    with needed_ledger(settings) as database:
        org_id = chosen_organization(database, options.org)
        with database.read() as connection:
            if live_version(connection, org_id) is None:
                raise BursarError(f"{org_id} has no governance document yet; `bursar apply FILE` makes it live")
            document = live_document(connection, org_id).document
        zone = document.timezone
        if options.period is None:
            period = newest_complete(options.kind, now, zone)
        else:
            period = _named(options.kind, options.period, zone)
        if period.end > now:
            raise InvalidValue("--period", f"{period.label} is not over yet: it ends {period.end:%Y-%m-%d %H:%M} UTC")
        _warn_unless_drained(database, org_id, period)
        review = gather(database, Asked(document, period, now))
    _print(review, options, settings.dashboard_url, made="Made now; neither kept nor sent.")


def _checked(options: ReviewOptions) -> None:
    if options.as_json and options.as_html:
        raise BursarError("--json and --html exclude each other; give one of them")


def _named(kind: ReviewKind, label: str, zone: str) -> ReviewPeriod:
    try:
        return named_period(kind, label, zone)
    except InvalidValue as refused:
        raise InvalidValue("--period", refused.problem) from None


def _warn_unless_drained(database: Database, org_id: str, period: ReviewPeriod) -> None:
    with database.read() as connection:
        drained = drained_through(connection, org_id)
    if drained is None or drained < period.end:
        until = "has never been written" if drained is None else f"is only complete until {drained:%Y-%m-%d %H:%M} UTC"
        say(f"The ledger {until}; calls may be missing. Is a worker running?", "yellow", to_stderr=True)


def _missing(org_id: str, options: ReviewOptions, labels: list[str]) -> str:
    of_period = "" if options.period is None else f" of {options.period}"
    known = f"; there are those of {', '.join(labels)}" if labels else ""
    again = f" --period {options.period}" if options.period else ""
    return (
        f"{org_id} has no {options.kind} review{of_period}{known}; "
        f"`bursar reviews run {options.kind}{again}` makes one to look at"
    )


def _print(review: Review, options: ReviewOptions, dashboard_url: str, *, made: str) -> None:
    if options.as_json:
        content = {"kind": options.kind, **review_to_json(review)}
        print(json.dumps(content, indent=2, ensure_ascii=False))
    elif options.as_html:
        print(review_html(review, link=review_link(review, dashboard_url)), end="")
    else:
        first, *rest = all_lines(review)
        say(first, "bold")
        for line in rest:
            say(line)
        say("")
        say(made)

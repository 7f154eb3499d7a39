"""When reviews are made, that each is made once, and who is sent what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from engine.alerting.alert_message import AlertMessage
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from engine.ledger.organizations import ensure_organization
from engine.ledger.queries.reviews import review_labels, stored_review
from engine.ledger.tables import document_versions, organizations, outbox, reviews, usage
from engine.reviews.content import DailyReview, review_from_json
from jobs.reviews.due import ReviewsFailed, make_due_reviews
from tests.support.ledger_copies import LedgerCopies

HOUR = timedelta(hours=1)
# A Tuesday, and the first of a month; eight o'clock in New York.
EIGHT = datetime(2026, 12, 1, 13, tzinfo=UTC)
CHANNELS = {
    "leads": {"email": ["leads@example.com"]},
    "ops": {"slack": "#ops", "mention": "@oncall"},
    "board": {"email": ["cfo@example.com"]},
}
ROUTES = {"warning": ["ops", "leads"], "management": ["board"]}


class Ledger:
    """Organizations in a ledger of their own; `spend` writes rollups as the ledger writer would."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = Database(url)

    def publish(self, org_id: str = "acme", **alerts: Any) -> None:
        content = {
            "organization": org_id,
            "timezone": "America/New_York",
            "alerts": {"channels": CHANNELS, "routes": ROUTES, **alerts},
        }
        publish_document(self.database, parse_document(content, "test"), author="test", reason="test")

    def spend(self, at: datetime, micros: int, org_id: str = "acme") -> None:
        """One settled call."""
        hour = at.replace(minute=0, second=0, microsecond=0)
        cell = {"agent_id": "bot", "team_id": "", "provider": "webhook", "model": "", "complexity": "standard",
                "environment": "", "outcome": "allowed", "reason": "allowed"}  # fmt: skip
        zeros = dict.fromkeys(("reserve_micros", "failed", "cancelled", "expired"), 0)
        sums = dict.fromkeys(("estimate_micros", "spent_micros", "settled_estimate_micros", "actual_micros"), micros)
        rows = [
            {"org_id": org_id, "grain": grain, "bucket": bucket, **cell, **zeros, **sums, "decisions": 1, "settled": 1}
            for grain, bucket in (("hour", hour), ("day", hour.replace(hour=0)))
        ]
        with self.database.write() as connection:
            connection.execute(insert(usage), rows)

    def drain(self, through: datetime, org_id: str = "acme") -> None:
        with self.database.write() as connection:
            ensure_organization(connection, org_id)
            connection.execute(
                update(organizations).where(organizations.c.org_id == org_id).values(drained_through=through)
            )

    def make(self, now: datetime) -> int:
        return make_due_reviews(self.database, dashboard_url="http://bursar.test/", now=now)

    def made(self) -> set[tuple[str, str, str]]:
        with self.database.read() as connection:
            rows = connection.execute(select(reviews.c.org_id, reviews.c.kind, reviews.c.period_label)).all()
        return {(row.org_id, row.kind, row.period_label) for row in rows}

    def queued(self) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(select(outbox).order_by(outbox.c.dedupe_key)))


@pytest.fixture
def ledger(database_url: str, ledger_copies: LedgerCopies) -> Iterator[Ledger]:
    ledger_copies.put(database_url, migrate)
    made = Ledger(database_url)
    yield made
    made.database.close()


@pytest.fixture
def in_use(ledger: Ledger) -> Ledger:
    """A call on 20 November and one on 30 November, all of it in SQL."""
    ledger.publish()
    ledger.spend(datetime(2026, 11, 20, 15, tzinfo=UTC), 3_000_000)
    ledger.spend(datetime(2026, 11, 30, 15, tzinfo=UTC), 5_000_000)
    ledger.drain(EIGHT)
    return ledger


def test_each_kind_is_made_at_its_time_and_only_once(in_use: Ledger) -> None:
    monday = EIGHT - timedelta(days=1)
    # On Monday at eight the week of the 23rd is due: it has no calls, and the one before had one.
    assert in_use.make(monday - timedelta(seconds=1)) == 1
    assert in_use.made() == {("acme", "weekly", "2026-W47")}
    assert in_use.make(monday) == 1
    assert in_use.make(EIGHT - timedelta(seconds=1)) == 0
    assert in_use.make(EIGHT) == 2
    assert in_use.make(EIGHT) == in_use.make(EIGHT + 20 * HOUR) == 0
    assert in_use.made() == {
        ("acme", "weekly", "2026-W47"),
        ("acme", "weekly", "2026-W48"),
        ("acme", "daily", "2026-11-30"),
        ("acme", "monthly", "2026-11"),
    }


def test_a_review_is_kept_as_it_was_made(in_use: Ledger) -> None:
    in_use.make(EIGHT)
    with in_use.database.read() as connection:
        stored = stored_review(connection, "acme", "daily")
        assert stored is not None
        assert (stored.period_label, stored.made_at) == ("2026-11-30", EIGHT)
        assert stored_review(connection, "acme", "daily", "2026-11-29") is None
        assert review_labels(connection, "acme", "daily") == ["2026-11-30"]
    review = review_from_json("daily", stored.content)
    assert isinstance(review, DailyReview)
    assert (review.spent.now, review.executions.now, review.zone) == (5_000_000, 1, "America/New_York")


def test_the_routes_get_them_and_nobody_is_called(in_use: Ledger) -> None:
    in_use.make(EIGHT)
    queued = {row.dedupe_key: row for row in in_use.queued()}
    assert {key: (row.channel_type, row.target) for key, row in queued.items()} == {
        "review|acme|daily|2026-11-30|leads": ("email", "leads@example.com"),
        "review|acme|daily|2026-11-30|ops": ("slack", "#ops"),
        "review|acme|monthly|2026-11|board": ("email", "cfo@example.com"),
        "review|acme|weekly|2026-W48|leads": ("email", "leads@example.com"),
        "review|acme|weekly|2026-W48|ops": ("slack", "#ops"),
    }
    assert {(row.state, row.action, row.alert_id) for row in queued.values()} == {("queued", "post", None)}
    message = AlertMessage.from_json(queued["review|acme|daily|2026-11-30|ops"].message)
    assert message.title == "Daily review of acme, 2026-11-30: $5.00, 1 execution"
    assert (message.mention, message.alert_id) == (None, "")
    assert message.page_link == "http://bursar.test/reviews?org=acme&kind=daily&period=2026-11-30"
    assert message.details[0] == "Spent $5.00 (against $0.00 the day before)."


def test_a_document_says_who_gets_them_and_when(ledger: Ledger) -> None:
    ledger.publish(reviews={"daily": ["board"], "weekly": [], "at": "17:30"})
    ledger.spend(datetime(2026, 11, 30, 15, tzinfo=UTC), 5_000_000)
    ledger.drain(EIGHT)
    half_past_five = EIGHT + timedelta(hours=9, minutes=30)
    assert ledger.make(half_past_five - timedelta(seconds=1)) == 0
    assert ledger.make(half_past_five) == 2
    # The week of the 30th is not over, that of the 23rd had no calls.
    assert {row.dedupe_key for row in ledger.queued()} == {
        "review|acme|daily|2026-11-30|board",
        "review|acme|monthly|2026-11|board",
    }


def test_reviews_for_nobody_are_made_for_the_pages(ledger: Ledger) -> None:
    ledger.publish(routes={})
    ledger.spend(datetime(2026, 11, 30, 15, tzinfo=UTC), 5_000_000)
    ledger.drain(EIGHT)
    assert ledger.make(EIGHT) == 2
    assert (len(ledger.made()), ledger.queued()) == (2, [])


def test_it_waits_for_the_ledger(in_use: Ledger) -> None:
    midnight = EIGHT - 8 * HOUR
    in_use.drain(midnight - timedelta(microseconds=1))
    # The week ended before.
    assert in_use.make(EIGHT) == 1
    in_use.drain(midnight)
    assert in_use.make(EIGHT + HOUR) == 2
    assert {kind for _, kind, _ in in_use.made()} == {"daily", "weekly", "monthly"}


def test_who_was_away_makes_the_newest_of_each_kind(in_use: Ledger) -> None:
    """Five weeks later: the days and weeks between have no calls, the month before last does."""
    for day in range(1, 32):
        in_use.spend(datetime(2026, 12, day, 15, tzinfo=UTC), 1_000_000)
    now = datetime(2027, 1, 1, 20, tzinfo=UTC)
    in_use.drain(now)
    assert in_use.make(now) == 3
    assert in_use.made() == {
        ("acme", "daily", "2026-12-31"),
        ("acme", "weekly", "2026-W52"),
        ("acme", "monthly", "2026-12"),
    }


def test_silence_is_told_once(in_use: Ledger) -> None:
    in_use.make(EIGHT)
    for day in range(1, 6):
        in_use.drain(EIGHT + timedelta(days=day))
        in_use.make(EIGHT + timedelta(days=day))
    assert {label for _, kind, label in in_use.made() if kind == "daily"} == {"2026-11-30", "2026-12-01"}


def test_an_organization_without_calls_or_without_a_document_gets_none(ledger: Ledger) -> None:
    ledger.publish()
    ledger.drain(EIGHT)
    ledger.drain(EIGHT, "undocumented")
    ledger.spend(datetime(2026, 11, 30, 15, tzinfo=UTC), 5_000_000, "undocumented")
    assert ledger.make(EIGHT) == 0


def test_of_many_workers_one_makes_each(in_use: Ledger) -> None:
    workers = 6
    start, counts = Barrier(workers), list[int]()

    def work() -> None:
        with closing(Database(in_use.url)) as database:
            start.wait()
            counts.append(make_due_reviews(database, dashboard_url="http://bursar.test", now=EIGHT))

    threads = [Thread(target=work) for _ in range(workers)]
    with ExitStack() as ended:
        for thread in threads:
            thread.start()
            ended.callback(thread.join)
    assert (len(counts), sum(counts)) == (workers, 3)
    assert len(in_use.made()) == 3
    assert len(in_use.queued()) == 5


def test_a_review_whose_messages_cannot_be_queued_is_not_kept(in_use: Ledger) -> None:
    with in_use.database.write() as connection:
        connection.execute(text("ALTER TABLE outbox RENAME TO away"))
    with pytest.raises(ReviewsFailed, match="3 reviews failed; acme: "):
        in_use.make(EIGHT)
    assert in_use.made() == set()
    with in_use.database.write() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO outbox"))
    assert in_use.make(EIGHT) == 3


def test_one_organization_keeps_no_other_back(in_use: Ledger) -> None:
    in_use.drain(EIGHT, "abroad")
    with in_use.database.write() as connection:
        connection.execute(
            insert(document_versions).values(
                org_id="abroad", version=1, content_hash="0", content={"organization": 5}, author="test",
                reason="test", created_at=EIGHT,
            )
        )  # fmt: skip
    with pytest.raises(ReviewsFailed, match="3 reviews failed; abroad: "):
        in_use.make(EIGHT)
    assert len(in_use.made()) == 3

"""Stored reviews: what was true when they were made, kept for pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, tuple_

from engine.ledger.tables import reviews
from engine.ledger.upsert import insert_or


@dataclass(frozen=True, slots=True)
class StoredReview:
    """One review; `content` is as `engine.reviews.content` reads it."""

    kind: str
    period_label: str
    made_at: datetime
    content: dict[str, Any]


def add_review(
    connection: Connection, org_id: str, kind: str, label: str, content: dict[str, Any], *, made_at: datetime
) -> bool:
    """Keep a review; False when there is one of that period already, which stays as it is."""
    added = connection.execute(
        insert_or(connection, reviews)
        .values(org_id=org_id, kind=kind, period_label=label, made_at=made_at, content=content)
        .on_conflict_do_nothing()
        # PostgreSQL's driver does not count the rows of such an insert.
        .returning(reviews.c.kind)
    )
    return added.first() is not None


def made_reviews(connection: Connection, org_id: str, wanted: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these kinds and labels there are reviews of."""
    key = (reviews.c.kind, reviews.c.period_label)
    rows = connection.execute(select(*key).where(reviews.c.org_id == org_id, tuple_(*key).in_(list(wanted))))
    return {(row.kind, row.period_label) for row in rows}


def stored_review(connection: Connection, org_id: str, kind: str, label: str | None = None) -> StoredReview | None:
    """The review of a period, or the newest of its kind; None when there is none."""
    chosen = select(reviews).where(reviews.c.org_id == org_id, reviews.c.kind == kind)
    if label is not None:
        chosen = chosen.where(reviews.c.period_label == label)
    row = connection.execute(chosen.order_by(reviews.c.period_label.desc()).limit(1)).one_or_none()
    return None if row is None else StoredReview(row.kind, row.period_label, row.made_at, row.content)


def review_labels(connection: Connection, org_id: str, kind: str, *, limit: int = 100) -> list[str]:
    """The periods of which there are reviews, newest first."""
    rows = connection.execute(
        select(reviews.c.period_label)
        .where(reviews.c.org_id == org_id, reviews.c.kind == kind)
        .order_by(reviews.c.period_label.desc())
        .limit(limit)
    )
    return [row.period_label for row in rows]

"""Make the reviews that are due, each once however many workers run."""

from __future__ import annotations

from datetime import datetime, time
from functools import partial

from engine.alerting.action import Action
from engine.alerting.outbox import Receiver, enqueue
from engine.document.schema import AlertsSpec, GovernanceDocument
from engine.document.store import live_document, live_version
from engine.errors import BursarError
from engine.ledger.database import Database
from engine.ledger.queries.health import drained_through
from engine.ledger.queries.reviews import add_review, made_reviews
from engine.reviews.content import Review, kind_of, review_to_json
from engine.reviews.gathering import gather, says_something
from engine.reviews.periods import REVIEW_KINDS, ReviewKind, newest_due
from engine.reviews.reading import Asked
from jobs.organizations import for_each_organization
from jobs.reviews.notice import review_message


class ReviewsFailed(BursarError):
    """Reviews of some organizations could not be made; those of the others were."""


def make_due_reviews(database: Database, *, dashboard_url: str, now: datetime) -> int:
    """Make, keep and queue the reviews of all organizations that are due at `now`; how many this call made.

    For each organization and kind:

    1. The newest period whose time has come, by the organization's zone. Older ones that were missed stay unmade.
    2. Nothing when it is made already, when the ledger is not drained past the period's end (the next call tries
       again), or when there were no calls in it nor in the one before.
    3. Count it, then insert it and its messages in one transaction. Who inserts nothing was second and queues nothing.

    Raises `ReviewsFailed` after all others were tried.
    """
    made = 0
    problems: list[str] = []
    documents: dict[str, GovernanceDocument | None] = {}

    def make(org_id: str, kind: ReviewKind) -> None:
        nonlocal made
        if org_id not in documents:
            documents[org_id] = _document(database, org_id)
        document = documents[org_id]
        asked = None if document is None else _wanted(database, document, kind, now)
        if asked is not None and says_something(database, asked):
            review = gather(database, asked)
            made += keep_and_queue(database, review, asked.document.alerts, dashboard_url=dashboard_url, now=now)

    for kind in REVIEW_KINDS:
        failures = for_each_organization(database, f"make the {kind} review of", partial(make, kind=kind))
        problems += failures.sentences
    if problems:
        raise ReviewsFailed(f"{len(problems)} {'review' if len(problems) == 1 else 'reviews'} failed; {problems[0]}")
    return made


def keep_and_queue(
    database: Database, review: Review, alerts: AlertsSpec, *, dashboard_url: str, now: datetime
) -> bool:
    """Store a review and queue its messages, together; False when there is one of its period already."""
    kind = kind_of(review)
    message = review_message(review, dashboard_url=dashboard_url)
    content = review_to_json(review)
    with database.write() as connection:
        if not add_review(connection, review.org_id, kind, review.label, content, made_at=now):
            return False
        for receiver in receivers(alerts, kind):
            enqueue(
                connection,
                org_id=review.org_id,
                alert_id=None,
                channel=receiver,
                action=Action.POST,
                dedupe_key=f"review|{review.org_id}|{kind}|{review.label}|{receiver.name}",
                message=message,
                now=now,
            )
    return True


def receivers(alerts: AlertsSpec, kind: ReviewKind) -> list[Receiver]:
    """Who gets a kind of review. Nobody is mentioned: a review is no emergency."""
    return [
        Receiver(name=name, kind=alerts.channels[name].kind, target=alerts.channels[name].target, mention=None)
        for name in alerts.review_channels(kind)
    ]


def _document(database: Database, org_id: str) -> GovernanceDocument | None:
    with database.read() as connection:
        return None if live_version(connection, org_id) is None else live_document(connection, org_id).document


def _wanted(database: Database, document: GovernanceDocument, kind: ReviewKind, now: datetime) -> Asked | None:
    """The review to make now; None when it is there or the ledger is not."""
    at = time.fromisoformat(document.alerts.reviews.at)
    period = newest_due(kind, now, at=at, zone=document.timezone)
    with database.read() as connection:
        made = made_reviews(connection, document.organization, [(kind, period.label)])
        drained = drained_through(connection, document.organization)
    return Asked(document, period, now) if not made and drained is not None and drained >= period.end else None

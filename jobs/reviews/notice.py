"""A review as a notification: a few lines for chats, and the letter for channels that send letters. Pure."""

from __future__ import annotations

from urllib.parse import urlencode

from engine.alerting.alert_message import AlertMessage
from engine.reviews.content import Review, kind_of
from engine.reviews.telling import digest, headline
from jobs.reviews.letter import review_html, review_text


def review_message(review: Review, *, dashboard_url: str) -> AlertMessage:
    """What is queued for each channel. It is about no alert, so there is nothing to acknowledge, and calls nobody."""
    link = review_link(review, dashboard_url)
    return AlertMessage(
        severity="info",
        title=headline(review),
        kind="review",
        zone=review.zone,
        details=digest(review),
        page_link=link,
        html=review_html(review, link=link),
        text=review_text(review, link=link),
    )


def review_link(review: Review, dashboard_url: str) -> str:
    """The page that shows it."""
    asked = urlencode({"org": review.org_id, "kind": kind_of(review), "period": review.label})
    return f"{dashboard_url.rstrip('/')}/reviews?{asked}"

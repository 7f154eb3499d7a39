"""Who gets reviews, as a governance document says."""

from __future__ import annotations

from typing import Any

import pytest

from engine.document.load import parse_document
from engine.document.schema import AlertsSpec
from engine.errors import DocumentError
from jobs.reviews.due import receivers

CHANNELS = {"ops": {"slack": "#ops", "mention": "@oncall"}, "board": {"email": ["cfo@example.com"]}}


def alerts(**parts: Any) -> AlertsSpec:
    content = {"organization": "acme", "alerts": {"channels": CHANNELS, **parts}}
    return parse_document(content, "test").alerts


def test_left_out_the_routes_get_them() -> None:
    spec = alerts(routes={"warning": ["ops"], "management": ["board"]})
    assert [spec.review_channels(kind) for kind in ("daily", "weekly", "monthly")] == [["ops"], ["ops"], ["board"]]
    assert [spec.reviews.at, alerts().review_channels("monthly")] == ["08:00", []]


def test_named_channels_come_first_and_each_once() -> None:
    spec = alerts(routes={"warning": ["ops"]}, reviews={"daily": ["board", "board"], "weekly": []})
    assert [spec.review_channels(kind) for kind in ("daily", "weekly", "monthly")] == [["board"], [], []]


def test_a_receiver_is_the_channel_without_its_mention() -> None:
    (receiver,) = receivers(alerts(routes={"warning": ["ops"]}), "daily")
    assert (receiver.name, receiver.kind, receiver.target, receiver.mention) == ("ops", "slack", "#ops", None)


@pytest.mark.parametrize(
    ("reviews", "words"),
    [
        ({"daily": ["nobody"]}, "reviews.daily: names channel 'nobody', which channels does not have"),
        ({"monthly": ["nobody"]}, "reviews.monthly: names channel 'nobody'"),
        ({"at": "8:00"}, "alerts.reviews.at"),
        ({"at": "24:00"}, "alerts.reviews.at"),
        ({"yearly": ["ops"]}, "alerts.reviews.yearly"),
    ],
)
def test_what_cannot_be_is_refused(reviews: dict[str, Any], words: str) -> None:
    with pytest.raises(DocumentError) as refused:
        alerts(reviews=reviews)
    assert words in str(refused.value)

"""What each kind of Slack's answers means for the message: never again, later, or the channel wants a pause."""

from __future__ import annotations

import pytest

from jobs.delivery.slack_answers import refusal


@pytest.mark.parametrize(
    "code",
    ["channel_not_found", "is_archived", "invalid_auth", "not_authed", "account_inactive", "not_in_channel",
     "token_revoked", "missing_scope"],
)  # fmt: skip
def test_refusals_that_stay_are_permanent(code: str) -> None:
    failure = refusal(200, {}, code)
    assert failure.permanent
    assert code in failure.reason


@pytest.mark.parametrize("status", [404, 410])
def test_an_address_that_is_gone_is_permanent(status: int) -> None:
    assert refusal(status, {}, None).permanent


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_tried_again_and_may_have_been_delivered(status: int) -> None:
    failure = refusal(status, {}, "Received a response in a non-JSON format: <html>")
    assert (failure.permanent, failure.maybe_delivered, failure.pause_seconds) == (False, True, None)
    assert "<html>" not in failure.reason


def test_a_refusal_nobody_knows_is_tried_again() -> None:
    failure = refusal(200, {}, "some_new_error")
    assert (failure.permanent, failure.maybe_delivered) == (False, False)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "7"}, 7), ({"retry-after": "7"}, 7), ({"Retry-After": "0"}, 1), ({}, 30),
     ({"Retry-After": "soon"}, 30), ({"Retry-After": "-1"}, 30), ({"Retry-After": "999999999"}, 86_400)],
)  # fmt: skip
def test_the_pause_is_what_slack_asked_for(headers: dict[str, str], seconds: int) -> None:
    assert refusal(429, headers, "ratelimited").pause_seconds == seconds
    assert refusal(200, headers, "ratelimited").pause_seconds == seconds

"""A receiver tells genuine requests from forged and recorded ones."""

from __future__ import annotations

import doctest

import pytest

from jobs.delivery import webhook_signature
from jobs.delivery.webhook_signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, Verdict, signed_headers, verify

OLD, NEW, BODY, AT = b"old secret", b"new secret", b'{"a": 1}', 1_700_000_000
HEADERS = signed_headers(NEW, BODY, delivery="d-1", timestamp=AT)


def test_the_signature_is_an_hmac_of_timestamp_dot_body() -> None:
    # Made with: printf '1700000000.{"a": 1}' | openssl dgst -sha256 -hmac 'new secret'
    signature = "v1=ee000e746d127a9d46da0de23cf462c0cfbd1cc560dc071bf226eeb9a8b69c01"
    expected = {"X-Bursar-Delivery": "d-1", "X-Bursar-Timestamp": "1700000000", "X-Bursar-Signature": signature}
    assert expected == HEADERS


def test_both_secrets_are_taken_while_one_replaces_the_other() -> None:
    for secrets in ([NEW], [OLD, NEW], [NEW, OLD]):
        assert verify(secrets, HEADERS, BODY, now=AT) is Verdict.GENUINE
    assert verify([OLD], HEADERS, BODY, now=AT) is Verdict.FORGED
    assert verify([], HEADERS, BODY, now=AT) is Verdict.FORGED


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(300, Verdict.GENUINE), (-300, Verdict.GENUINE), (301, Verdict.STALE), (-301, Verdict.STALE)],
)
def test_a_recorded_request_is_worth_nothing_after_the_window(seconds: int, verdict: Verdict) -> None:
    assert verify([NEW], HEADERS, BODY, now=AT + seconds) is verdict


def test_the_timestamp_cannot_be_renewed() -> None:
    renewed = {**HEADERS, TIMESTAMP_HEADER: str(AT + 1_000)}
    assert verify([NEW], renewed, BODY, now=AT + 1_000) is Verdict.FORGED


def test_a_digit_cannot_move_from_the_timestamp_into_the_body() -> None:
    moved = {**HEADERS, TIMESTAMP_HEADER: str(AT)[:-1]}
    assert verify([NEW], moved, b"0." + BODY, now=AT // 10) is Verdict.FORGED


@pytest.mark.parametrize(
    "broken",
    [{TIMESTAMP_HEADER: ""}, {TIMESTAMP_HEADER: "soon"}, {TIMESTAMP_HEADER: "-1"}, {TIMESTAMP_HEADER: "1" * 13},
     {SIGNATURE_HEADER: ""}, {SIGNATURE_HEADER: "v2=00"}, {TIMESTAMP_HEADER: "١"}],
)  # fmt: skip
def test_missing_or_malformed_headers_are_said_to_be_that(broken: dict[str, str]) -> None:
    assert verify([NEW], {**HEADERS, **broken}, BODY, now=AT) is Verdict.UNSIGNED


def test_a_signature_that_is_no_text_of_ours_is_forged_not_an_error() -> None:
    for signature in ("v1=", "v1=é", f"{HEADERS[SIGNATURE_HEADER]}0"):
        assert verify([NEW], {**HEADERS, SIGNATURE_HEADER: signature}, BODY, now=AT) is Verdict.FORGED


def test_names_of_headers_may_come_in_any_case() -> None:
    lower = {name.lower(): value for name, value in HEADERS.items()}
    assert verify([NEW], lower, BODY, now=AT) is Verdict.GENUINE


def test_the_example_for_receivers_works() -> None:
    assert doctest.testmod(webhook_signature).failed == 0

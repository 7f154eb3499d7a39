"""Webhooks over real HTTP: signed, never redirected, failures told apart; receivers can check them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from engine.alerting.action import Action
from engine.alerting.alert_message import AlertMessage
from jobs.delivery.channel import Delivery, DeliveryFailed, FailureKind, FirstMessage
from jobs.delivery.http_post import Transport
from jobs.delivery.webhook import WebhookChannel
from jobs.delivery.webhook_signature import Verdict
from tests.support.alert_messages import FIRING, RESOLVED
from tests.support.certificates import make_certificate
from tests.support.fake_webhook import SECRET, Drips, Drops, FakeWebhook, Says, Slow, Twist


@pytest.fixture
def receiver() -> Iterator[FakeWebhook]:
    with FakeWebhook() as webhook:
        yield webhook


@pytest.fixture
def channel() -> WebhookChannel:
    return WebhookChannel(SECRET, timeout_seconds=2)


def failure(channel: WebhookChannel, target: str) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as raised:
        channel.send(Delivery("n-1", target, FIRING))
    return raised.value


def test_a_receiver_gets_the_facts_and_can_check_them(receiver: FakeWebhook, channel: WebhookChannel) -> None:
    channel.send(Delivery("n-1", receiver.url, FIRING))
    channel.send(Delivery("n-2", receiver.url, RESOLVED, Action.EDIT, FirstMessage("n-1")))
    first, second = receiver.received
    assert [one.verdict for one in receiver.received] == [Verdict.GENUINE, Verdict.GENUINE]
    assert (first.path, first.headers["Content-Type"]) == ("/hooks/bursar?team=ops", "application/json")
    assert [one.headers["X-Bursar-Delivery"] for one in receiver.received] == ["n-1", "n-2"]
    assert {name: first.content[name] for name in ("version", "id", "action", "first")} == {
        "version": 1, "id": "n-1", "action": "post", "first": "n-1",
    }  # fmt: skip
    assert AlertMessage.from_json(first.content["alert"]) == FIRING
    assert (second.content["action"], second.content["first"]) == ("edit", "n-1")
    assert second.content["alert"]["resolved"]["lasted_seconds"] == 4_350


def test_another_secret_is_found_out(receiver: FakeWebhook) -> None:
    WebhookChannel("another secret").send(Delivery("n-1", receiver.url, FIRING))
    assert receiver.received[0].verdict is Verdict.FORGED


def test_an_old_signature_is_found_out(receiver: FakeWebhook) -> None:
    late = WebhookChannel(SECRET, clock=lambda: time.time() - 301)
    late.send(Delivery("n-1", receiver.url, FIRING))
    assert receiver.received[0].verdict is Verdict.STALE


def test_a_repeat_has_the_same_delivery_id_and_says_so(receiver: FakeWebhook, channel: WebhookChannel) -> None:
    receiver.script.append(Drops())
    assert failure(channel, receiver.url).kind is FailureKind.UNKNOWN
    channel.send(Delivery("n-1", receiver.url, replace(FIRING, possible_repeat=True)))
    first, second = receiver.received
    assert first.headers["X-Bursar-Delivery"] == second.headers["X-Bursar-Delivery"]
    assert first.content["id"] == second.content["id"] == "n-1", "what is signed says which it is"
    assert [one.content["alert"]["possible_repeat"] for one in (first, second)] == [False, True]


def test_failures_are_told_apart(receiver: FakeWebhook, channel: WebhookChannel) -> None:
    elsewhere = Says(307, {"Location": receiver.url})
    script: list[Twist] = [
        Says(429, {"Retry-After": "5"}), Says(500), Says(408), Says(400), Says(401), Says(404), Says(410), elsewhere,
        Drops(), Slow(5), Drips(),
    ]  # fmt: skip
    receiver.script.extend(script)
    seen = [failure(channel, receiver.url) for _ in script]
    assert [(one.kind, one.channel_broken, one.maybe_delivered) for one in seen] == [
        (FailureKind.RATE_LIMITED, False, False),
        (FailureKind.TRANSIENT, False, True),
        (FailureKind.TRANSIENT, False, False),
        (FailureKind.PERMANENT, False, False),
        *[(FailureKind.PERMANENT, True, False)] * 4,
        *[(FailureKind.UNKNOWN, False, True)] * 3,
    ]
    assert seen[0].pause_seconds == 5
    assert len(receiver.received) == len(script), "no redirect is followed, nothing is tried twice"


def test_an_answer_that_drips_is_cut_off(receiver: FakeWebhook, channel: WebhookChannel) -> None:
    receiver.script.append(Drips())
    started = time.monotonic()
    failure(channel, receiver.url)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "target", ["", "ftp://x.test/", "http://", "https://x.test:no/", "https://u:p@x.test/", "https://x.test/\r\nA: b"]
)
def test_what_is_no_web_address_is_refused(channel: WebhookChannel, target: str) -> None:
    failed = failure(channel, target)
    assert (failed.permanent, failed.channel_broken) == (True, True)


def test_plain_http_never_leaves_this_machine(channel: WebhookChannel) -> None:
    for target in ("http://192.0.2.1/", "http://127.0.0.1.example.test/", "http://localhost.test/"):
        assert failure(channel, target).reason == "webhook: the address is not https"


def test_a_certificate_nobody_vouches_for_is_refused_before_anything_is_said(
    receiver: FakeWebhook, tmp_path_factory: pytest.TempPathFactory
) -> None:
    certificate = make_certificate(tmp_path_factory.mktemp("tls"))
    receiver.encrypt(certificate.server_context())
    url = receiver.url.replace("http:", "https:")
    failed = failure(WebhookChannel(SECRET), url)
    assert failed.reason.startswith("the webhook cannot be reached: SSLCertVerificationError (self-signed certificate")
    assert failed.kind is FailureKind.TRANSIENT
    assert receiver.received == []
    trusting = Transport(5, tls=certificate.client_context())
    assert trusting.post(url, b"{}", {}, whose="it").status == 204

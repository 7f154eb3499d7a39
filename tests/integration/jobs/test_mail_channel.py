"""Mail to a real SMTP server: encrypted or refused, threaded, several recipients, nobody smuggled in."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from engine.alerting.action import Action
from engine.errors import InvalidValue
from engine.settings import Settings
from jobs.delivery.channel import Delivery, DeliveryFailed, FailureKind, FirstMessage
from jobs.delivery.log import LogChannel
from jobs.delivery.mail import NO_EDITS, MailChannel
from jobs.delivery.sender import build_channels
from jobs.delivery.smtp_server import SmtpServer
from tests.support.alert_messages import FIRING, RESOLVED
from tests.support.certificates import Certificate, make_certificate
from tests.support.fake_smtp import PASSWORD, USER, Encryption, FakeSmtp

FROM = "Bursar Alerts <alerts@bursar.example.com>"
LEADS = "ann@example.com, bob@example.com"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def plain() -> Iterator[FakeSmtp]:
    with FakeSmtp() as server:
        yield server


def mail(
    server: FakeSmtp, *, tls: ssl.SSLContext | None = None, unencrypted: bool = True, login: bool = False
) -> MailChannel:
    reached = SmtpServer(
        "127.0.0.1",
        server.port,
        implicit_tls=server.encryption == "implicit",
        user=USER if login else "",
        password=PASSWORD if login else "",
        allow_unencrypted=unencrypted,
        timeout_seconds=2,
        tls=tls,
    )
    return MailChannel(reached, FROM, clock=lambda: datetime(2026, 11, 23, 12, tzinfo=UTC))


def post(target: str = LEADS) -> Delivery:
    return Delivery("n-1", target, FIRING)


def failure(channel: MailChannel, delivery: Delivery | None = None) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as raised:
        channel.send(delivery or post())
    return raised.value


def test_a_letter_has_text_and_html_and_goes_to_everybody(plain: FakeSmtp) -> None:
    receipt = mail(plain).send(post())
    (letter,) = plain.letters
    message = letter.message
    assert (letter.sender, letter.recipients) == ("alerts@bursar.example.com", ["ann@example.com", "bob@example.com"])
    assert message["From"] == FROM
    assert message["To"] == LEADS
    assert message["Subject"] == f"Critical: {FIRING.title}"
    assert (message["Auto-Submitted"], message["Importance"]) == ("auto-generated", "high")
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert [part.get_content_type() for part in (text, html)] == ["text/plain", "text/html"]
    assert "Cost of inaction: $41/h" in text.get_content()
    assert '<meta name="viewport"' in html.get_content()
    assert receipt.details == {"message_id": message["Message-ID"], "subject": message["Subject"]}
    assert all(len(line) <= 998 for line in letter.raw.split(b"\r\n"))
    assert letter.raw.isascii()


def test_the_same_delivery_has_the_same_message_id_and_replies_refer_to_the_first(plain: FakeSmtp) -> None:
    channel = mail(plain)
    first = channel.send(post())
    channel.send(replace(post(), message=replace(FIRING, possible_repeat=True)))
    channel.send(Delivery("n-2", LEADS, RESOLVED, Action.REPLY, FirstMessage("n-1", first.details)))
    channel.send(Delivery("n-3", LEADS, RESOLVED, Action.REPLY, FirstMessage("n-1")))
    one, again, reply, orphan = [letter.message for letter in plain.letters]
    assert one["Message-ID"] == again["Message-ID"] == first.details["message_id"]
    assert len({message["Message-ID"] for message in (one, reply, orphan)}) == 3
    assert one["Message-ID"].endswith("@bursar.example.com>")
    assert one["References"] is None
    assert reply["References"] == reply["In-Reply-To"] == orphan["References"] == one["Message-ID"]
    assert reply["Subject"] == f"Re: Critical: {FIRING.title}", "one subject keeps the thread together"
    assert orphan["Subject"] == f"Re: Resolved: {RESOLVED.title}"
    assert again["Subject"].startswith("(possible repeat) ")


def test_an_edit_is_left_out(plain: FakeSmtp) -> None:
    assert mail(plain).send(replace(post(), action=Action.EDIT)).details == {"note": NO_EDITS}
    assert plain.letters == []


@pytest.mark.parametrize(
    "title",
    [
        "x\r\nBcc: eve@evil.test",
        "x\nTo: eve@evil.test\n\n<b>body</b>",
        "x\x00\x0b\x85\u2028Bcc: e@evil.test",
        "x\r\n.\r\nMAIL FROM:<e@evil.test>",
    ],
)
def test_a_title_cannot_add_headers_or_recipients_or_end_the_letter(plain: FakeSmtp, title: str) -> None:
    hostile = replace(FIRING, title=title, details=("a\r\n.\r\nQUIT\r\n",))
    mail(plain).send(replace(post(), message=hostile))
    (letter,) = plain.letters
    assert letter.recipients == ["ann@example.com", "bob@example.com"]
    names = [name.lower() for name in letter.message]
    assert len(names) == len(set(names))
    assert "bcc" not in names
    assert letter.message.defects == []
    assert "QUIT" in letter.message.get_body(("plain",)).get_content()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "target",
    ["", "ann", "ann@example.com\r\nRCPT TO:<eve@evil.test>", "Ann <ann@example.com>", "ann@example.com,,",
     "a b@example.com", "ann@example.com>,<eve@evil.test", ",".join(f"u{n}@example.com" for n in range(101)),
     "ann@exämple.com"],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused_before_a_server_is_asked(plain: FakeSmtp, target: str) -> None:
    failed = failure(mail(plain), post(target))
    assert (failed.permanent, failed.channel_broken) == (True, True)
    assert plain.letters == []


def test_starttls_is_used_and_the_password_goes_over_it(certificate: Certificate) -> None:
    with FakeSmtp("starttls", certificate.server_context(), logins=True) as server:
        mail(server, tls=certificate.client_context(), unencrypted=False, login=True).send(post())
        assert [(letter.encrypted, letter.user) for letter in server.letters] == [(True, USER)]


def test_implicit_tls_is_used(certificate: Certificate) -> None:
    with FakeSmtp("implicit", certificate.server_context()) as server:
        mail(server, tls=certificate.client_context(), unencrypted=False).send(post())
        assert [letter.encrypted for letter in server.letters] == [True]


@pytest.mark.parametrize("encryption", ["starttls", "implicit"])
def test_a_certificate_nobody_vouches_for_is_not_trusted(certificate: Certificate, encryption: Encryption) -> None:
    with FakeSmtp(encryption, certificate.server_context()) as server:
        # Allowing unencrypted mail is no licence to ignore a certificate.
        failed = failure(mail(server, unencrypted=True))
        assert "SSLCertVerificationError (self-signed certificate)" in failed.reason
        assert failed.kind is FailureKind.TRANSIENT
        assert server.letters == []


def test_without_encryption_nothing_is_sent_unless_a_setting_says_so(plain: FakeSmtp) -> None:
    failed = failure(mail(plain, unencrypted=False))
    assert "BURSAR_SMTP_ALLOW_UNENCRYPTED" in failed.reason
    assert (failed.permanent, failed.channel_broken) == (True, True)
    assert plain.letters == []
    mail(plain, unencrypted=True).send(post())
    assert [letter.encrypted for letter in plain.letters] == [False]


def test_a_password_never_goes_unencrypted() -> None:
    with FakeSmtp(logins=True) as server:
        failed = failure(mail(server, unencrypted=True, login=True))
        assert failed.reason == "the mail server offers no encryption: the password is not sent"
        assert failed.channel_broken


def test_a_wrong_password_breaks_the_channel_and_is_not_quoted(certificate: Certificate) -> None:
    with FakeSmtp("starttls", certificate.server_context(), logins=True) as server:
        wrong = SmtpServer(
            "127.0.0.1",
            server.port,
            implicit_tls=False,
            user=USER,
            password="hunter2",
            tls=certificate.client_context(),
        )
        failed = failure(MailChannel(wrong, FROM))
        assert failed.reason == "the mail server refused user and password: 535"
        assert failed.channel_broken
        assert "hunter2" not in repr(wrong)


def test_who_is_refused_while_others_are_taken_is_named_in_the_receipt(plain: FakeSmtp) -> None:
    plain.refuse = {"bob@example.com": "550 no such user"}
    receipt = mail(plain).send(post())
    assert receipt.details["refused"] == {"bob@example.com": "550"}
    assert [letter.recipients for letter in plain.letters] == [["ann@example.com"]]


def test_failures_are_told_apart(plain: FakeSmtp) -> None:
    channel = mail(plain)
    seen = []

    def note() -> None:
        failed = failure(channel)
        seen.append((failed.kind, failed.channel_broken, failed.maybe_delivered))

    for reply in ("550 nobody", "450 later"):
        plain.refuse = {"ann@example.com": reply, "bob@example.com": "550 nobody"}
        note()
    plain.refuse = {}
    for plain.refuse_sender in ("550 not you", "451 later"):
        note()
    plain.refuse_sender = ""
    for plain.answer_text_with in ("554 looks like spam", "452 disk full", "drop", 5.0):
        note()
    transient, unknown, permanent = FailureKind.TRANSIENT, FailureKind.UNKNOWN, FailureKind.PERMANENT
    assert seen == [
        (permanent, True, False), (transient, False, False),
        (permanent, True, False), (transient, False, False),
        (permanent, False, False), (transient, False, False),
        (unknown, False, True), (unknown, False, True),
    ]  # fmt: skip


@contextmanager
def silent_server() -> Iterator[int]:
    """Takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        taken = pool.submit(listener.accept)
        yield listener.getsockname()[1]
        taken.result()[0].close()


def test_nobody_there_or_nobody_speaking_is_transient() -> None:
    with socket.socket() as unused, silent_server() as silent:
        unused.bind(("127.0.0.1", 0))
        for port, words in ((unused.getsockname()[1], "Connection refused"), (silent, "SMTPServerDisconnected")):
            started = time.monotonic()
            failed = failure(MailChannel(SmtpServer("127.0.0.1", port, implicit_tls=False, timeout_seconds=1), FROM))
            assert (failed.kind, failed.maybe_delivered) == (FailureKind.TRANSIENT, False)
            assert words in failed.reason
            assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("url", "host", "port", "implicit"),
    [("smtp://mail.test", "mail.test", 587, False), ("smtps://mail.test", "mail.test", 465, True),
     ("smtp://u:p%40%3A%2F@mail.test:2525/", "mail.test", 2525, False)],
)  # fmt: skip
def test_a_server_is_named_by_a_url(url: str, host: str, port: int, implicit: bool) -> None:
    server = SmtpServer.parse(url)
    assert (server.host, server.port, server.implicit_tls) == (host, port, implicit)
    assert not server.allow_unencrypted
    if "@" in url:
        assert (server.user, server.password) == ("u", "p@:/")


@pytest.mark.parametrize(
    "url",
    [
        "mail.secret.test",
        "http://secret.test",
        "smtp://",
        "smtp://secret:x@[",
        "smtp://secret.test:no",
        "smtp://a/secret",
    ],
)
def test_a_wrong_url_names_the_setting_and_quotes_nothing(url: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        build_channels(Settings(smtp_url=SecretStr(url), smtp_from=FROM))
    assert raised.value.field == "BURSAR_SMTP_URL"
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("sender", [None, "nobody", "a@b\r\nBcc: e@evil.test", "<>"])
def test_a_sender_is_needed_and_must_be_an_address(sender: str | None) -> None:
    with pytest.raises(InvalidValue, match="BURSAR_SMTP_FROM"):
        build_channels(Settings(smtp_url=SecretStr("smtp://mail.test"), smtp_from=sender))


def test_secrets_are_masked_and_what_is_not_configured_goes_to_the_log() -> None:
    settings = Settings(
        smtp_url=SecretStr("smtp://u:hunter2@mail.test"), smtp_from=FROM, webhook_secret=SecretStr("hunter2" * 3),
        slack_app_token=SecretStr("xapp-hunter2"), slack_webhook_url=SecretStr("https://hunter2.test"),
        proxy_url=SecretStr("http://u:hunter2@proxy.test:3128"),
    )  # fmt: skip
    assert "hunter2" not in repr(settings) + settings.model_dump_json()
    assert isinstance(build_channels(settings)["email"], MailChannel)
    nothing = build_channels(Settings())
    assert all(isinstance(nothing[kind], LogChannel) for kind in ("email", "webhook", "slack"))

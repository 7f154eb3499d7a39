"""A mail server: where it is, and one message handed to it over a checked, encrypted connection."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from engine.errors import InvalidValue
from jobs.delivery.channel import DeliveryFailed, FailureKind
from jobs.delivery.http_post import connect_within, cut_after, in_words

TIMEOUT_SECONDS = 15
"""Of connecting, whatever the number of addresses, and of each wait. Mail servers look senders up before they answer.

Looking up the server's own name is not in it.
"""
LONGEST_SECONDS = 40
"""Of the whole conversation, from connecting on: shorter than the sender's lease."""
_PORTS = {"smtp": 587, "smtps": 465}
_URL = "BURSAR_SMTP_URL"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """`smtps` speaks TLS from the first byte, otherwise STARTTLS is asked for and insisted on."""

    host: str
    port: int
    implicit_tls: bool
    user: str = ""
    password: str = field(default="", repr=False)
    allow_unencrypted: bool = False
    timeout_seconds: float = TIMEOUT_SECONDS
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """None for the system's trusted authorities (SSL_CERT_FILE names others)."""

    @classmethod
    def parse(cls, url: str, *, allow_unencrypted: bool = False) -> SmtpServer:
        """Read `smtp://user:password@host:port` or `smtps://...`; special characters in it are percent-encoded.

        Raises `InvalidValue` that quotes nothing of it.
        """
        try:
            address = urlsplit(url.strip())
            host, port = address.hostname or "", address.port
        except ValueError:
            raise InvalidValue(_URL, "is not a URL such as smtp://user:password@mail.example.com:587") from None
        if address.scheme not in _PORTS or not host or address.path.strip("/") or address.query:
            raise InvalidValue(_URL, "must be smtp:// or smtps://, [user:password@] and a host, with a port or none")
        return cls(
            host=host,
            port=port or _PORTS[address.scheme],
            implicit_tls=address.scheme == "smtps",
            user=unquote(address.username or ""),
            password=unquote(address.password or ""),
            allow_unencrypted=allow_unencrypted,
        )

    def send(self, sender: str, recipients: Sequence[str], raw: bytes) -> Mapping[str, str]:
        """Hand `raw` over for `recipients`; who was refused while others were taken, with the reply's code.

        1. Connect, and encrypt or refuse to go on.
        2. Log in, name sender and recipients. Failing up to here, nothing was sent.
        3. Send the text. No answer to it: it may have arrived.
        """
        smtp = _Conversation(self.host, self.timeout_seconds, self._context() if self.implicit_tls else None)
        try:
            with cut_after(LONGEST_SECONDS, lambda: smtp.sock):
                refused = self._hand_over(smtp, sender, recipients, raw)
            _say_goodbye(smtp)
            return refused
        finally:
            smtp.close()

    def _hand_over(self, smtp: _Conversation, sender: str, recipients: Sequence[str], raw: bytes) -> Mapping[str, str]:
        try:
            smtp.begin(self.port)
            self._encrypt(smtp)
            self._log_in(smtp)
            refused = _envelope(smtp, sender, recipients)
        except (OSError, smtplib.SMTPException) as error:
            raise _failure(error) from None
        try:
            code, _ = smtp.data(raw)
        except smtplib.SMTPDataError as error:
            raise _answered("the text", error.smtp_code, channel_broken=False) from None
        except (OSError, smtplib.SMTPException) as error:
            reason = f"the mail server did not answer: {in_words(error)}"
            raise DeliveryFailed(reason, FailureKind.UNKNOWN) from None
        if code != 250:
            raise _answered("the text", code, channel_broken=False)
        return refused

    def _encrypt(self, smtp: smtplib.SMTP) -> None:
        smtp.ehlo_or_helo_if_needed()
        if self.implicit_tls:
            return
        if smtp.has_extn("starttls"):
            smtp.starttls(context=self._context())
            smtp.ehlo()
        elif not self.allow_unencrypted:
            raise DeliveryFailed(
                "the mail server offers no encryption, and BURSAR_SMTP_ALLOW_UNENCRYPTED is not set",
                FailureKind.PERMANENT,
                channel_broken=True,
            )

    def _log_in(self, smtp: smtplib.SMTP) -> None:
        if not self.user:
            return
        if not isinstance(smtp.sock, ssl.SSLSocket):
            raise DeliveryFailed(
                "the mail server offers no encryption: the password is not sent",
                FailureKind.PERMANENT,
                channel_broken=True,
            )
        smtp.login(self.user, self.password)

    def _context(self) -> ssl.SSLContext:
        return self.tls or ssl.create_default_context()


class _Conversation(smtplib.SMTP):
    """Begins when it is told to, so that its socket is there to be cut from the first moment."""

    def __init__(self, host: str, timeout: float, tls: ssl.SSLContext | None) -> None:
        # Our own name for EHLO: the library's would ask DNS, which can hang.
        super().__init__(local_hostname=socket.gethostname() or "localhost", timeout=timeout)
        self._host = host
        self._tls = tls

    def begin(self, port: int) -> None:
        """Connect and read the greeting."""
        self.sock = connect_within((self._host, port), self.timeout)
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._host, do_handshake_on_connect=False)
            self.sock.do_handshake()
        code, words = self.getreply()
        if code != 220:
            raise smtplib.SMTPConnectError(code, words)


def _say_goodbye(smtp: smtplib.SMTP) -> None:
    """Politeness, within a second; what was sent stays sent without it."""
    with cut_after(0, lambda: smtp.sock), contextlib.suppress(OSError, smtplib.SMTPException):
        smtp.quit()


def _envelope(smtp: smtplib.SMTP, sender: str, recipients: Sequence[str]) -> dict[str, str]:
    code, _ = smtp.mail(sender)
    if code != 250:
        raise _answered("the sender's address", code)
    refused = {}
    for recipient in recipients:
        code, _ = smtp.rcpt(recipient)
        if code not in (250, 251):
            refused[recipient] = code
    if len(refused) == len(recipients):
        # One that may be taken later is reason enough to come again.
        raise _answered("the recipients", min(refused.values()))
    return {recipient: str(code) for recipient, code in refused.items()}


def _failure(error: Exception) -> DeliveryFailed:
    """What an error before the text means: nothing was delivered."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return _answered("user and password", error.smtp_code)
    if isinstance(error, smtplib.SMTPResponseException):
        return _answered("the connection", error.smtp_code)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return DeliveryFailed("the mail server offers no way to log in", FailureKind.PERMANENT, channel_broken=True)
    return DeliveryFailed(f"the mail server cannot be reached: {in_words(error)}")


def _answered(what: str, code: int, *, channel_broken: bool = True) -> DeliveryFailed:
    reason = f"the mail server refused {what}: {code}"
    # RFC 5321, 4.2.1: 5xx is final, 4xx may pass. Its words are left out, they can quote what was sent.
    if 500 <= code < 600:
        return DeliveryFailed(reason, FailureKind.PERMANENT, channel_broken=channel_broken)
    return DeliveryFailed(reason)

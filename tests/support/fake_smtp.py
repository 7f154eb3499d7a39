"""A mail server on 127.0.0.1, with or without encryption, that keeps letters and misbehaves on request."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Literal, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Encryption = Literal["none", "starttls", "implicit"]
USER, PASSWORD = "bursar", "pass:word@/%"


@dataclass(frozen=True)
class Letter:
    """One message as it was taken."""

    sender: str
    recipients: list[str]
    raw: bytes
    encrypted: bool
    user: str

    @property
    def message(self) -> EmailMessage:
        """Parsed."""
        parsed = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed


@dataclass
class FakeSmtp:
    """The server; use it as a context manager.

    `refuse` maps recipients to replies. `answer_text_with` replaces the reply to a letter's text: a reply,
    "drop" (taken, the connection ends), or seconds to be slow (taken).
    """

    encryption: Encryption = "none"
    context: ssl.SSLContext | None = None
    logins: bool = False
    refuse: dict[str, str] = field(default_factory=dict)
    refuse_sender: str = ""
    answer_text_with: str | float = ""
    letters: list[Letter] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._controller = _Controller(self)
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._controller.real_port

    async def handle_MAIL(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refuse_sender:
            return self.refuse_sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        answer = self.answer_text_with
        if isinstance(answer, str) and answer not in {"", "drop"}:
            return answer
        raw = envelope.content
        assert isinstance(raw, bytes)
        user = session.auth_data.login.decode() if session.auth_data else ""
        encrypted = session.ssl is not None or self.encryption == "implicit"
        self.letters.append(Letter(envelope.mail_from or "", list(envelope.rcpt_tos), raw, encrypted, user))
        if answer == "drop":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        elif isinstance(answer, float):
            await asyncio.sleep(answer)
        return "250 OK"

    def login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Whether user and password are the right ones."""
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=right, auth_data=data)


class _Controller(Controller):
    def __init__(self, owner: FakeSmtp) -> None:
        self._owner = owner
        implicit = owner.context if owner.encryption == "implicit" else None
        super().__init__(owner, hostname="127.0.0.1", port=0, ssl_context=implicit, ready_timeout=20)

    def factory(self) -> SMTP:
        """One conversation."""
        owner = self._owner
        return SMTP(
            owner,
            tls_context=owner.context if owner.encryption == "starttls" else None,
            authenticator=owner.login if owner.logins else None,
            auth_require_tls=False,
        )

    @property
    def real_port(self) -> int:
        """What the system chose for port 0."""
        assert isinstance(self.server, asyncio.Server)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    def _trigger_server(self) -> None:
        # The library would knock at port 0 to see that it works.
        socket.create_connection((self.hostname, self.real_port), timeout=5).close()

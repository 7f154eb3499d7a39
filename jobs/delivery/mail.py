"""The e-mail channel: one message as text and HTML, threaded by its headers."""

from __future__ import annotations

import email.policy
import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from engine.alerting.action import Action
from engine.clock import utc_now
from engine.errors import InvalidValue
from jobs.delivery.channel import Delivery, DeliveryFailed, FailureKind, Receipt
from jobs.delivery.email_body import html_body, subject, text_body
from jobs.delivery.smtp_server import SmtpServer

NO_EDITS = "mail cannot be edited"
MOST_RECIPIENTS = 100
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*")
# 7bit: no server has to be asked whether it takes eight. Long lines: identifiers must not be folded.
_POLICY = email.policy.SMTP.clone(cte_type="7bit", max_line_length=200)


class MailChannel:
    """Sends by one mail server. A delivery's target is addresses joined by commas. Safe to use from several threads."""

    paced = False

    def __init__(self, server: SmtpServer, sender: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        """`sender` as in `Bursar <alerts@example.com>`; raises `InvalidValue` when it is no address."""
        self._server, self._clock = server, clock
        name, address = parseaddr(sender)
        if not is_address(address) or any(ord(character) < 32 for character in sender):
            raise InvalidValue("BURSAR_SMTP_FROM", "must be an address such as Bursar <alerts@example.com>")
        self._sender = Address(name or "Bursar", addr_spec=address)

    def send(self, delivery: Delivery) -> Receipt:
        """Send to all recipients at once. Who is refused while others are taken is named in the receipt.

        Whoever is refused for now (4xx) is left out, to be tried again without the others hearing of it twice. An edit
        is not sent: the reply that comes with it says what changed.
        """
        if delivery.action is Action.EDIT:
            return Receipt("email", {"note": NO_EDITS}, sent=False)
        recipients = _recipients(delivery.target)
        letter = compose(delivery, self._sender, recipients, self._clock())
        refused = self._server.send(self._sender.addr_spec, recipients, letter.as_bytes())
        details: dict[str, object] = {"message_id": letter["Message-ID"], "subject": letter["Subject"]}
        if refused:
            details |= {"refused": dict(refused), "note": f"refused for {', '.join(refused)}"}
        left_out = [recipient for recipient, code in refused.items() if code.startswith("4")]
        return Receipt("email", details, ", ".join(left_out))


def compose(delivery: Delivery, sender: Address, recipients: Sequence[str], now: datetime) -> EmailMessage:
    """The letter. Every attempt has the same Message-ID, so that mail programs can tell a repeat."""
    first = delivery.first
    follows = first is not None and delivery.action is not Action.POST
    letter = EmailMessage(policy=_POLICY)
    letter["From"] = sender
    letter["To"] = [Address(addr_spec=recipient) for recipient in recipients]
    letter["Date"] = format_datetime(now)
    letter["Message-ID"] = message_id(delivery.key, sender.domain)
    own = subject(delivery.message)
    if first is not None and follows:
        # Some mail programs join a thread only while the subject stays.
        earlier = first.receipt.get("subject")
        own = f"Re: {_one_line(earlier)}" if isinstance(earlier, str) and earlier else f"Re: {own}"
        letter["In-Reply-To"] = letter["References"] = message_id(first.key, sender.domain)
    letter["Subject"] = own
    # RFC 3834: out-of-office answers stay away.
    letter["Auto-Submitted"] = "auto-generated"
    if delivery.message.severity == "critical" and delivery.message.resolved is None:
        letter["Importance"] = "high"
    letter.set_content(text_body(delivery.message))
    letter.add_alternative(html_body(delivery.message), subtype="html")
    return letter


def message_id(key: str, domain: str) -> str:
    """The Message-ID of a delivery's key."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@{domain}>"


def is_address(text: str) -> bool:
    """Whether `text` is one plain address; nothing that could end a header or name a second recipient is."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None


def _recipients(target: str) -> list[str]:
    recipients = list(dict.fromkeys(part.strip() for part in target.split(",")))
    if not all(is_address(recipient) for recipient in recipients) or len(recipients) > MOST_RECIPIENTS:
        raise DeliveryFailed(
            f"e-mail needs 1 to {MOST_RECIPIENTS} addresses, and each must be a plain one",
            FailureKind.PERMANENT,
            channel_broken=True,
        )
    return recipients


def _one_line(text: str) -> str:
    return " ".join(text.split()).removeprefix("Re: ")

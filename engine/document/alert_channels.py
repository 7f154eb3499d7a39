"""Where notifications can go, who answers them and when, as a governance document writes it."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from engine.document.parts import Part, Text

ChannelKind = Literal["slack", "email", "webhook", "log"]

_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,188}[A-Za-z0-9])?", re.ASCII
)
_SLACK_PLACE = re.compile(r"#[^\s#@<>,|]{1,80}|[CGDUW][A-Z0-9]{6,31}")
_MENTION = re.compile(
    r"@[^\s@<>]{1,80}|<@[UW][A-Z0-9]{2,31}(?:\|[^<>\s]{1,80})?>|<!subteam\^[A-Z0-9]{2,31}(?:\|[^<>\s]{1,80})?>"
    r"|<!(?:here|channel|everyone)>"
)
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_MEMBER = "[UW][A-Z0-9]{2,31}"
_WORKSPACE = "[TE][A-Z0-9]{2,31}"
_OWN_MACHINE = ("localhost", "127.0.0.1", "::1")


def _is_address(text: str) -> str:
    if _ADDRESS.fullmatch(text) is None:
        raise ValueError("must be an e-mail address such as leads@example.com")
    return text


def _is_safe_url(text: str) -> str:
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        host, url = None, urlsplit("")
    if not host or any(character.isspace() for character in text):
        raise ValueError("must be an address such as https://example.com/alerts")
    if url.username is not None or url.password is not None:
        raise ValueError("must not hold a password: everybody who may read the document could read it")
    if url.scheme != "https" and not (url.scheme == "http" and host in _OWN_MACHINE):
        raise ValueError("must start with https://; only this machine itself may be called without")
    return text


def _is_slack_place(text: str) -> str:
    if _SLACK_PLACE.fullmatch(text) is None:
        written = text.strip().lstrip("#")
        guess = f"; write {f'#{written}'!r}" if _SLACK_PLACE.fullmatch(f"#{written}") else ""
        raise ValueError(
            f"must be a channel such as '#agent-ops', without spaces, or its id such as C0123ABCDEF, "
            f"got {text[:60]!r}{guess}"
        )
    return text


def _mentions_somebody(text: str) -> str:
    words = text.split()
    if not words or not all(_MENTION.fullmatch(word) for word in words):
        raise ValueError(
            f"must be '@name', '<@U0123ABCD>' or '<!subteam^S0123ABCD>': Slack calls nobody for other words, "
            f"got {text[:60]!r}"
        )
    return text


def _an_id(pattern: str, words: str) -> AfterValidator:
    def check(text: str) -> str:
        if re.fullmatch(pattern, text, re.ASCII) is None:
            raise ValueError(f"must be {words}, got {text[:60]!r}")
        return text

    return AfterValidator(check)


def _time_of_day(text: str) -> str:
    if _TIME_OF_DAY.fullmatch(text) is None:
        raise ValueError(f"must be a time of day from 00:00 to 23:59, such as 08:00, got {text[:60]!r}")
    return text


TimeOfDay = Annotated[
    str,
    AfterValidator(_time_of_day),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}),
]
"""When reviews are sent."""
SlackPlace = Annotated[Text, AfterValidator(_is_slack_place)]
Mention = Annotated[Text, AfterValidator(_mentions_somebody)]
MemberId = Annotated[
    str,
    _an_id(_MEMBER, "a member id such as U0123ABCD, which a Slack profile copies, and not a name"),
    WithJsonSchema({"type": "string", "pattern": f"^{_MEMBER}$"}),
]
WorkspaceId = Annotated[
    str,
    _an_id(_WORKSPACE, "the id of a Slack workspace such as T0123ABCD"),
    WithJsonSchema({"type": "string", "pattern": f"^{_WORKSPACE}$"}),
]
EmailAddress = Annotated[Text, AfterValidator(_is_address)]
WebhookUrl = Annotated[Text, AfterValidator(_is_safe_url)]


class ChannelSpec(Part):
    """Where notifications go: a Slack channel, e-mail addresses, a webhook, or the `log` that pages show."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    slack: SlackPlace | None = None
    mention: Mention | None = None
    email: Annotated[list[EmailAddress], Field(max_length=50)] = []
    """E-mail addresses, such as [leads@example.com]. All of them get each message."""
    webhook: WebhookUrl | None = None
    """An address that messages are posted to, such as https://example.com/alerts."""
    log: Annotated[bool, Field(strict=True)] = False

    @property
    def kind(self) -> ChannelKind:
        """What delivers to it."""
        if self.slack is not None:
            return "slack"
        if self.email:
            return "email"
        return "webhook" if self.webhook is not None else "log"

    @property
    def target(self) -> str:
        """Where exactly: Slack's channel, the addresses, the URL; nothing for the log."""
        return self.slack or self.webhook or ", ".join(self.email)

    @model_validator(mode="after")
    def _goes_somewhere(self) -> ChannelSpec:
        ways = [self.slack is not None, bool(self.email), self.webhook is not None, self.log]
        if sum(ways) != 1:
            raise ValueError(
                "a channel needs either slack: '#channel', email: [address], webhook: https://... or log: true"
            )
        if self.mention is not None and self.slack is None:
            raise ValueError("mention: only a Slack channel can mention somebody")
        return self


class ResponderSpec(Part):
    """Somebody who may acknowledge and silence alerts, and who they are in Slack."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    slack: MemberId | None = None
    """The member id in Slack, such as U0123ABCD: what their clicks on buttons are known by."""
    slack_workspace: WorkspaceId | None = None
    """The id of the workspace, such as T0123ABCD, where a channel is shared with others. Left out, any."""

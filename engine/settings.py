"""Settings from the environment: every name below, upper case, behind `BURSAR_`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.errors import InvalidValue


class ConnectionLimits(Protocol):
    """How many connections to Redis a process may have, and how long it waits for an answer, in seconds."""

    @property
    def redis_max_connections(self) -> int | None:
        """`None` for what is usual."""
        ...

    @property
    def redis_timeout_seconds(self) -> float | None:
        """`None` for what is usual."""
        ...


_PREFIX = "BURSAR_"
METADATA_PATH = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class SignIn:
    """How people sign in to the pages: an OpenID Connect provider, and this client of it."""

    metadata_url: str
    client_id: str
    client_secret: SecretStr
    cookie_secret: SecretStr
    origin: str
    """Scheme, host and port at which browsers find the pages."""

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to; it has to be known there."""
        return f"{self.origin}/oauth2callback"


class Settings(BaseSettings):
    """Where things are and how long they may take. Times are seconds."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    state_dir: Path = Path(".bursar")
    """Where the embedded ledger and server live when no URL is given."""
    database_url: str | None = None
    """SQLite or PostgreSQL URL of the ledger; without it, `ledger.db` in the state directory."""
    redis_url: str | None = None
    """URL of Redis or Valkey; without it, a private server in the state directory."""
    redis_timeout_seconds: float = Field(default=0.05, gt=0, le=60)
    """Deadline of one question to Redis (docs/guarantees.md, promise 6)."""
    redis_max_connections: int = Field(default=50, ge=1, le=10_000)
    """Connections to Redis per process; further callers wait for a free one, within the deadline."""
    hold_seconds: int = Field(default=300, ge=1, le=86_400)
    """How long a hold waits for its settle before it is charged at its reserve."""
    stream_cap: int = Field(default=100_000, ge=1, le=100_000_000)
    """So many events of an organization may wait for the ledger writer; from then on denials alike are only counted."""
    cache_ttl_seconds: int = Field(default=60, ge=1, le=3600)
    """How long a process uses a document version without looking for a newer one (guide, Caching Strategy)."""
    lease_seconds: int = Field(default=10, ge=2, le=600)
    """How long a ledger writer may be silent before another takes its organization over."""
    rebuild_patience_seconds: float = Field(default=1.0, ge=0, le=60)
    """How long a call waits while its organization's state is put back into Redis; then it goes the outage way."""
    ledger_patience_seconds: float = Field(default=0.25, gt=0, le=60)
    """How long a call waits for the ledger database when it needs it, which is only in an outage of Redis."""
    outage_rate_share: float = Field(default=0.25, gt=0, le=1)
    """The part of a rate limit that one process admits by itself while Redis is away: 1 / number of processes."""
    retention_months: int | None = Field(default=None, ge=1, le=1200)
    """Whole months of events and decisions that are kept besides the current one; without it, all are."""
    audit_key: Path | None = None
    """The key that signs chain heads; without it, `audit-key.pem` in the state directory."""
    vault_keyring: Path | None = None
    """The file of keys that encrypt credentials; without it, `vault-keyring.json` in the state directory."""
    vault_rotation: Literal["worker", "manual"] = "worker"
    """Who makes a new key when one is 90 days old. `manual` is for keyrings that several machines have copies of."""
    vault_keys: SecretStr | None = None
    """Those keys themselves, instead of a file: 32 bytes each in base64, the current one first, parted by commas."""
    slack_token: SecretStr | None = None
    """Slack bot token; without it Slack channels are written to the log channel instead."""
    slack_base_url: str = "https://slack.com/api/"
    """Slack's Web API, or a stand-in that speaks it."""
    slack_app_token: SecretStr | None = None
    """Slack app-level token (xapp-) of Socket Mode; without it messages have no Acknowledge and Silence buttons."""
    slack_webhook_url: SecretStr | None = None
    """Incoming webhook used while there is no bot token: all Slack messages go to its one place, without threads."""
    smtp_url: SecretStr | None = None
    """Mail server: smtp://user:password@host:587 (STARTTLS) or smtps://... (TLS); without it mail goes to the log."""
    smtp_from: str | None = None
    """Who mail comes from, such as `Bursar <alerts@example.com>`."""
    smtp_allow_unencrypted: bool = False
    """Whether mail may go to a server that offers no encryption; a password never does."""
    webhook_secret: SecretStr | None = Field(default=None, min_length=16)
    """What webhooks are signed with; without it they are written to the log instead."""
    proxy_url: SecretStr | None = None
    """Proxy for Slack and webhooks, http://host:port; HTTPS_PROXY and the like are not read."""
    heartbeat_url: SecretStr | None = None
    """Address outside that is posted to once a minute while alerts are evaluated, and calls somebody when it is not."""
    dashboard_url: str = "http://127.0.0.1:8501"
    """Where notifications say the pages are."""
    oidc_issuer: str | None = None
    """OpenID Connect provider that people sign in with: its issuer, or the full address of its metadata."""
    oidc_client_id: str | None = None
    """This client's id at the provider."""
    oidc_client_secret: SecretStr | None = None
    """This client's secret at the provider."""
    oidc_cookie_secret: SecretStr | None = Field(default=None, min_length=32)
    """What sign-in cookies are signed with: random, the same for every server of the pages; a new one ends all."""
    oidc_role_claim: str = Field(default="roles", min_length=1, max_length=200)
    """The claim of the ID token that has roles; dots lead into nested claims."""
    local_role: Literal["viewer", "operator", "engineer", "admin"] = "admin"
    """The role of whoever opens the pages on this machine while no sign-in is configured."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Addresses are shown without passwords, wherever settings are printed or logged."""
        from engine.shown_settings import shown_value

        for name, value in super().__repr_args__():
            yield name, shown_value(value) if isinstance(value, str) else value

    @property
    def ledger_url(self) -> str:
        """The URL of the ledger database."""
        return self.database_url or f"sqlite:///{(self.state_dir / 'ledger.db').resolve()}"

    @property
    def sign_in(self) -> SignIn | None:
        """How people sign in to the pages, `None` when that is not configured.

        Raises `InvalidValue` when only a part of it is, or when it would not be safe.
        """
        parts = {
            "BURSAR_OIDC_ISSUER": self.oidc_issuer,
            "BURSAR_OIDC_CLIENT_ID": self.oidc_client_id,
            "BURSAR_OIDC_CLIENT_SECRET": self.oidc_client_secret,
            "BURSAR_OIDC_COOKIE_SECRET": self.oidc_cookie_secret,
        }
        if all(value is None for value in parts.values()):
            return None
        missing = [name for name, value in parts.items() if value is None]
        if missing:
            raise InvalidValue(missing[0], "is missing: sign-in needs " + ", ".join(parts) + ", or none of them")
        assert self.oidc_issuer is not None
        assert self.oidc_client_id is not None
        assert self.oidc_client_secret is not None
        assert self.oidc_cookie_secret is not None
        _needs_https("BURSAR_OIDC_ISSUER", self.oidc_issuer)
        _needs_https("BURSAR_DASHBOARD_URL", self.dashboard_url)
        if urlsplit(self.dashboard_url).path.strip("/"):
            raise InvalidValue("BURSAR_DASHBOARD_URL", "must have no path: sign-in needs the pages at a host's root")
        issuer = self.oidc_issuer.rstrip("/")
        return SignIn(
            issuer if issuer.endswith(METADATA_PATH) else issuer + METADATA_PATH,
            self.oidc_client_id,
            self.oidc_client_secret,
            self.oidc_cookie_secret,
            self.pages_origin,
        )

    @property
    def pages_origin(self) -> str:
        """Scheme, host and port of `dashboard_url`, written as browsers write them.

        Raises `InvalidValue` when it has none.
        """
        scheme, host, port = _origin_of("BURSAR_DASHBOARD_URL", self.dashboard_url)
        name = f"[{host}]" if ":" in host else host
        usual = {"http": 80, "https": 443}[scheme]
        return f"{scheme}://{name}" if port in {None, usual} else f"{scheme}://{name}:{port}"

    def connecting_by(self, limits: ConnectionLimits) -> Settings:
        """These settings, reaching Redis as a `RateLimitConfig` says; `None` changes nothing."""
        named = {
            "redis_max_connections": limits.redis_max_connections,
            "redis_timeout_seconds": limits.redis_timeout_seconds,
        }
        return self.model_copy(update={name: value for name, value in named.items() if value is not None})


def is_this_machine(host: str) -> bool:
    """Whether a host's name or address is one by which a machine reaches itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _origin_of(name: str, url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a setting that is a web address."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidValue(name, "must be an address such as https://example.com") from None
    if not host or parts.scheme not in {"http", "https"} or parts.username is not None:
        raise InvalidValue(name, "must be an address such as https://example.com")
    return parts.scheme, host, port


def _needs_https(name: str, url: str) -> None:
    scheme, host, _ = _origin_of(name, url)
    if scheme == "http" and not is_this_machine(host):
        raise InvalidValue(name, "must begin with https:// for sign-in, unless it is on this machine")


def read_settings() -> Settings:
    """Settings from the environment as it is now. Raises `InvalidValue` that names the variable."""
    return _settings_of(tuple((name, value) for name, value in os.environ.items() if name.upper().startswith(_PREFIX)))


# A page asks ten times while it is made, and checking fifty settings takes milliseconds.
@lru_cache(maxsize=8)
def _settings_of(_variables: tuple[tuple[str, str], ...]) -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = "BURSAR_" + "_".join(str(step) for step in first["loc"]).upper()
        if first["type"] == "too_short":
            # Of a secret, the library counts items.
            raise InvalidValue(name, f"must have at least {first['ctx']['min_length']} characters") from None
        raise InvalidValue(name, f"{first['msg'][0].lower()}{first['msg'][1:]}") from None

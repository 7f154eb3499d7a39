"""Settings from the environment: every name below, upper case, behind `BURSAR_`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

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


class Settings(BaseSettings):
    """Where things are and how long they may take. Times are seconds."""

    model_config = SettingsConfigDict(env_prefix="BURSAR_", env_ignore_empty=True, extra="ignore", frozen=True)

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

    @property
    def ledger_url(self) -> str:
        """The URL of the ledger database."""
        return self.database_url or f"sqlite:///{(self.state_dir / 'ledger.db').resolve()}"

    def connecting_by(self, limits: ConnectionLimits) -> Settings:
        """These settings, reaching Redis as a `RateLimitConfig` says; `None` changes nothing."""
        named = {
            "redis_max_connections": limits.redis_max_connections,
            "redis_timeout_seconds": limits.redis_timeout_seconds,
        }
        return self.model_copy(update={name: value for name, value in named.items() if value is not None})


def read_settings() -> Settings:
    """Settings from the environment. Raises `InvalidValue` that names the variable."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = "BURSAR_" + "_".join(str(step) for step in first["loc"]).upper()
        raise InvalidValue(name, f"{first['msg'][0].lower()}{first['msg'][1:]}") from None

"""Settings of a process, and what a `RateLimitConfig` adds to them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from engine import RateLimitConfig
from engine.document.load import parse_document
from engine.errors import DocumentError
from engine.settings import Settings


def test_a_rate_limit_config_says_how_a_process_reaches_redis() -> None:
    settings = Settings(redis_timeout_seconds=0.2, redis_max_connections=7)
    config = RateLimitConfig(redis_max_connections=50, redis_timeout_seconds=5.0)
    connecting = settings.connecting_by(config)
    assert (connecting.redis_max_connections, connecting.redis_timeout_seconds) == (50, 5.0)
    assert settings.connecting_by(RateLimitConfig(requests_per_minute=1)) == settings


@pytest.mark.parametrize("wrong", [{"redis_max_connections": 0}, {"redis_timeout_seconds": 0}])
def test_a_senseless_connection_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        RateLimitConfig(**wrong)


def test_the_document_says_nothing_of_connections() -> None:
    limit = {"id": "r", "per": "org", "redis_timeout_seconds": 5.0}
    with pytest.raises(DocumentError, match=r"rate_limits\.0\.redis_timeout_seconds: is not a known key"):
        parse_document({"organization": "acme", "rate_limits": [limit]}, "here")

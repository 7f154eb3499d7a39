"""Names of an organization's keys in Redis, all in one cluster slot by the tag `{org}`."""

from __future__ import annotations


def state_keys(org_id: str) -> list[str]:
    """Counters, holds, expiry, events: KEYS[1] to KEYS[4] of every script."""
    return [f"bursar:{{{org_id}}}:{name}" for name in ("counters", "holds", "expiry", "events")]


def events_key(org_id: str) -> str:
    """The organization's event stream."""
    return state_keys(org_id)[3]


def ring_key(org_id: str, rate_limit_id: str, scope: str) -> str:
    """The rolling windows of one rate scope."""
    return f"bursar:{{{org_id}}}:ring:{rate_limit_id}|{scope}"


def idempotency_key(org_id: str, key: str) -> str:
    """What was decided for a caller's idempotency key."""
    return f"bursar:{{{org_id}}}:idempotency:{key}"

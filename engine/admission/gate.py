"""Ask Redis: one script, one round trip, for each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.admission.keys import ring_key, state_keys
from engine.admission.plan import PlannedCounter, PlannedRate
from engine.admission.record import HoldRecord
from engine.clock import to_ms, utc_now
from engine.errors import GateUnavailable, InvalidValue

LATE_MARGIN_MS = 10
"""Added to the deadline before a command that comes late does nothing (promise 6)."""

_PERIOD_WORDS = {"month": "monthly", "day": "daily"}


@dataclass(frozen=True, slots=True)
class Reply:
    """A script's reply: its `status` word, Redis' own time, and the rest as the script's header documents it."""

    status: str
    now_ms: int
    raw: Sequence[Any]


class RedisGate:
    """The gate on one Redis or Valkey server. Safe to share between threads.

    Every question raises `GateUnavailable` when there is no answer within `timeout_seconds`.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 0.05, max_connections: int = 50) -> None:
        self._timeout_ms = int(timeout_seconds * 1000)
        try:
            pool = redis.BlockingConnectionPool.from_url(
                url,
                max_connections=max_connections,
                # How long a caller waits for a free connection; an exhausted pool never lets a call through.
                timeout=timeout_seconds,
                socket_timeout=timeout_seconds,
                socket_connect_timeout=timeout_seconds,
                retry=Retry(NoBackoff(), 0),
                decode_responses=True,
                # Bytes that are no text, put there by somebody else, must not stop the reading of the rest.
                encoding_errors="backslashreplace",
            )
            # Made once for nothing but its complaints.
            pool.connection_class(**pool.connection_kwargs)
        except (ValueError, TypeError):
            raise InvalidValue(
                "BURSAR_REDIS_URL", "is not the URL of a server; use redis://host:6379/0 or unix:///path/to/socket"
            ) from None
        self.client: redis.Redis = redis.Redis(connection_pool=pool)
        self._offset_ms = 0
        self._scripts = {name: self._register(name) for name in ("check", "settle", "cancel", "sweep", "install")}

    def _register(self, name: str) -> Any:
        parts = ("common", "ring", "check") if name == "check" else ("common", name)
        folder = resources.files("engine.admission") / "lua"
        source = "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in parts)
        return self.client.register_script(source)

    @property
    def now_ms(self) -> int:
        """Redis' time as far as known: this host's clock moved by the last offset seen."""
        return to_ms(utc_now()) + self._offset_ms

    def check(
        self,
        org_id: str,
        *,
        document_version: int,
        decision_id: str,
        reserve_micros: int,
        hold_ms: int,
        denied: str,
        body: str,
        pricing: str,
        counters: Sequence[PlannedCounter],
        rates: Sequence[PlannedRate],
    ) -> Reply:
        """Run `check.lua`. `denied` is the reason code of a denial decided before, or empty."""
        arguments: list[str | int] = [
            document_version,
            self._not_after_ms(),
            decision_id,
            reserve_micros,
            hold_ms,
            denied,
            body,
            pricing,
            len(counters),
        ]
        for counter in counters:
            arguments += [
                counter.name,
                _PERIOD_WORDS[counter.period.kind],
                counter.period.start_ms,
                counter.period.end_ms,
                _limit(counter.limit_micros),
                _limit(counter.execution_limit),
            ]
        for rate in rates:
            arguments += [_limit(limit) for limit in rate.limits]
        rings = [ring_key(org_id, rate.rate_limit_id, rate.scope) for rate in rates]
        return self._run("check", state_keys(org_id) + rings, arguments)

    def settle(
        self, org_id: str, *, decision_id: str, actual_micros: int, success: bool, body: str, record: str = ""
    ) -> Reply:
        """Run `settle.lua`. `record` is the hold as the ledger knows it, for when Redis has forgotten it."""
        return self._run(
            "settle",
            state_keys(org_id),
            [self._not_after_ms(), decision_id, actual_micros, int(success), body, record],
        )

    def cancel(self, org_id: str, *, decision_id: str) -> Reply:
        """Run `cancel.lua`."""
        return self._run("cancel", state_keys(org_id), [self._not_after_ms(), decision_id])

    def hold(self, org_id: str, decision_id: str) -> HoldRecord | None:
        """The hold of a decision, open or closed within the last hour."""
        try:
            text: Any = self.client.hget(state_keys(org_id)[1], decision_id)
        except redis.RedisError as error:
            raise GateUnavailable(f"Redis did not answer: {error}") from error
        return None if text is None else HoldRecord.from_text(text)

    def sweep(self, org_id: str, *, most: int = 1000) -> Reply:
        """Run `sweep.lua`: expire holds that are due, at most `most`."""
        return self._run("sweep", state_keys(org_id), [most])

    def installed(self, org_id: str) -> tuple[int, int] | None:
        """Document version and epoch of the organization's state, `None` when that is COLD."""
        reply = self.sweep(org_id, most=0)
        return None if reply.status == "COLD" else (int(reply.raw[3]), int(reply.raw[4]))

    def install(self, org_id: str, arguments: Sequence[str | int]) -> Reply:
        """Run `install.lua` with its arguments."""
        return self._run("install", state_keys(org_id), arguments)

    def invalidate(self, org_id: str) -> None:
        """Make the organization's state COLD: nothing is written for it until it is installed anew."""
        try:
            self.client.hdel(state_keys(org_id)[0], "epoch")
        except redis.RedisError as error:
            raise GateUnavailable(f"Redis did not answer: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
        self.client.connection_pool.disconnect()

    def _not_after_ms(self) -> int:
        return self.now_ms + self._timeout_ms + LATE_MARGIN_MS

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> Reply:
        try:
            raw = self._scripts[script](keys=keys, args=arguments)
        except redis.RedisError as error:
            raise GateUnavailable(f"Redis did not answer: {error}") from error
        reply = Reply(str(raw[0]), int(raw[1]), raw)
        self._offset_ms = reply.now_ms - to_ms(utc_now())
        return reply


def _limit(value: int | None) -> int:
    return -1 if value is None else value

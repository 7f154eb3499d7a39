"""The event stream between the gate and the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

from engine.admission.keys import events_key
from engine.errors import GateUnavailable


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One event as the gate wrote it: stream id and fields."""

    stream_id: str
    fields: dict[str, str]


class EventStream:
    """Read and trim the streams of a Redis or Valkey server. Raises `GateUnavailable` like the gate."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def read(self, org_id: str, after: str, count: int) -> list[StreamEntry]:
        """At most `count` entries after the id `after`, oldest first."""
        try:
            entries: Any = self._client.xrange(events_key(org_id), min=f"({after}", count=count)
        except redis.RedisError as error:
            raise GateUnavailable(f"Redis did not answer: {error}") from error
        return [StreamEntry(stream_id, fields) for stream_id, fields in entries]

    def waiting(self, org_id: str) -> tuple[int, str | None]:
        """How many entries there are, and the id of the oldest; `None` when there are none."""
        key = events_key(org_id)
        try:
            with self._client.pipeline(transaction=True) as together:
                together.xlen(key)
                together.xrange(key, count=1)
                length, first = together.execute()
        except redis.RedisError as error:
            raise GateUnavailable(f"Redis did not answer: {error}") from error
        return int(length), first[0][0] if first else None

    def last_id(self, org_id: str) -> str:
        """The id given out last, `0-0` when there is no stream."""
        try:
            return str(self._client.xinfo_stream(events_key(org_id))["last-generated-id"])
        except redis.ResponseError as error:
            if "no such key" in str(error):
                return "0-0"
            raise GateUnavailable(f"Redis did not answer: {error}") from error
        except redis.RedisError as error:
            raise GateUnavailable(f"Redis did not answer: {error}") from error

    def now_ms(self) -> int:
        """The server's time, whatever its scripts or our own clock take for it."""
        try:
            seconds, micros = self._client.time()
        except redis.RedisError as error:
            raise GateUnavailable(f"Redis did not answer: {error}") from error
        return seconds * 1000 + micros // 1000

    def trim(self, org_id: str, through: str) -> None:
        """Forget entries up to and including the id `through`."""
        milliseconds, sequence = parse_stream_id(through)
        try:
            self._client.xtrim(events_key(org_id), minid=f"{milliseconds}-{sequence + 1}", approximate=False)
        except redis.RedisError as error:
            raise GateUnavailable(f"Redis did not answer: {error}") from error


def parse_stream_id(stream_id: str) -> tuple[int, int]:
    """Milliseconds and sequence number; ordered as the ids are."""
    milliseconds, _, sequence = stream_id.partition("-")
    return int(milliseconds), int(sequence)

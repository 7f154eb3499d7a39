"""The job that asks Redis, once a minute, what it says of its memory: rules on eviction read it."""

from __future__ import annotations

from datetime import datetime

from engine.admission.gate import RedisGate
from engine.admission.wire import unanswered
from engine.alerting.measuring.redis_readings import keep_reading
from engine.errors import GateUnavailable
from engine.ledger.database import Database


def read_redis(database: Database, gate: RedisGate, now: datetime) -> None:
    """Keep the number of keys that the gate's Redis has evicted, and its policy for when memory is full.

    Raises `GateUnavailable` when Redis does not answer: then nothing is kept for this minute.
    """
    try:
        said = {**gate.client.info("stats"), **gate.client.info("memory")}
    except Exception as error:
        # The client's own errors are known to admission alone.
        raise unanswered(error) from error
    missing = [name for name in ("evicted_keys", "maxmemory_policy") if name not in said]
    if missing:
        raise GateUnavailable(f"Redis does not say its {' and '.join(missing)}")
    keep_reading(database, now, evicted_keys=int(said["evicted_keys"]), maxmemory_policy=str(said["maxmemory_policy"]))

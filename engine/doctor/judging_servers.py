"""Judge the database, Redis and the clocks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from engine.admission.diagnosis import RedisState
from engine.doctor.facts import Facts, LedgerFacts, RedisFacts, Unanswered
from engine.doctor.finding import Finding, ok, problem, unknown, warning

KEPT = "noeviction"
"""The one policy under which no counter and no hold is ever thrown away."""
CLOCKS_DIFFER = timedelta(seconds=1)
"""Windows, periods and holds go by Redis' clock; a page's `now` is this host's."""
CLOCKS_WRONG = timedelta(seconds=30)
SLOW_SHARE = 0.5
"""Of the time that a call waits for Redis."""


def database_findings(facts: Facts) -> Iterator[Finding]:
    """Whether the ledger database can be used, and by this Bursar."""
    ledger, place = facts.ledger, facts.database_place
    if isinstance(ledger, Unanswered):
        cure = "Start the database, or correct BURSAR_DATABASE_URL; what waits for the ledger stays in Redis meanwhile."
        yield problem("database.reachable", f"The ledger {place} cannot be read: {ledger.why}.", cure, place=place)
        yield unknown("database.tables", "Tables, jobs and documents could not be looked at.")
        return
    if ledger is None or not ledger.has_ledger:
        cure = "Make one with `bursar apply FILE`, or set BURSAR_DATABASE_URL and BURSAR_STATE_DIR as your services do."
        yield problem("database.reachable", f"There is no ledger at {place} yet.", cure, place=place)
        return
    yield ok("database.reachable", f"The ledger {place} answers.", place=place)
    yield _tables(ledger)


def _tables(ledger: LedgerFacts) -> Finding:
    found, newest = ledger.tables, ledger.newest_tables
    details = {"tables": found or newest, "newest": newest}
    if found is None:
        return ok("database.tables", f"Its tables have the newest version, {newest}.", **details)
    if found > newest:
        sentence = f"Its tables have version {found}, which this Bursar does not know: it works with {newest}."
        return problem("database.tables", sentence, "Install the newer Bursar that made them.", **details)
    sentence = f"Its tables have version {found}, this Bursar works with {newest}; nothing else could be looked at."
    return problem("database.tables", sentence, "Stop the old workers and services, then run `bursar migrate`.",
                   **details)  # fmt: skip


def redis_findings(facts: Facts) -> Iterator[Finding]:
    """Whether Redis answers, soon enough, and keeps what it is told."""
    redis = facts.redis
    if not isinstance(redis.said, RedisState):
        yield _away(redis)
        return
    said = redis.said
    whose = "The private server at" if redis.is_private else "Redis at"
    if said.loading:
        yield warning("redis.reachable", f"{whose} {redis.place} is still loading its data; calls go the outage way.",
                      "Wait until it has loaded; recovery needs no restart.", place=redis.place)  # fmt: skip
    else:
        yield ok("redis.reachable", f"{whose} {redis.place} answers.", place=redis.place)
    yield _speed(said, facts.settings.redis_timeout_seconds)
    yield _version(said)
    yield _persistence(said)
    yield _eviction(said)


def _away(redis: RedisFacts) -> Finding:
    check, details = "redis.reachable", {"place": redis.place}
    if redis.is_private:
        why = "" if redis.said is None else f" ({_why(redis.said)})"
        sentence = (
            f"No worker or demo is running, so neither is the private server of {redis.place}{why}: nothing limits "
            "rates or counts budgets together."
        )
        cure = "Start `bursar worker`, or set BURSAR_REDIS_URL to the Redis that your services use."
        return warning(check, sentence, cure, **details)
    sentence = (
        f"Redis at {redis.place} does not answer ({_why(redis.said)}): rate limits and budgets hold only within the "
        "limits of an outage, and calls may pass or be denied by them."
    )
    cure = (
        "Start it, or correct BURSAR_REDIS_URL; `redis-cli -u URL ping` must say PONG, and recovery needs no restart."
    )
    return problem(check, sentence, cure, **details)


def _why(said: RedisState | Unanswered | None) -> str:
    return said.why if isinstance(said, Unanswered) else "nothing listens there"


def _speed(said: RedisState, patience: float) -> Finding:
    took = said.round_trip.total_seconds()
    words = f"One question to it took {took * 1000:.1f} ms of the {patience * 1000:.0f} ms that a call waits"
    details = {"round_trip_ms": round(took * 1000, 3), "patience_ms": patience * 1000}
    if took <= patience * SLOW_SHARE:
        return ok("redis.speed", f"{words}.", **details)
    cure = "Bring it nearer to your services, look what else it does, or raise BURSAR_REDIS_TIMEOUT_SECONDS."
    return warning("redis.speed", f"{words}; slower ones go the outage way.", cure, **details)


def _version(said: RedisState) -> Finding:
    if said.is_old:
        return problem("redis.version", f"It has version {said.version}; Bursar's scripts need 6.2 or newer.",
                       "Upgrade Redis, or use Valkey.", version=said.version)  # fmt: skip
    return ok("redis.version", f"It has version {said.version}.", version=said.version)


def _persistence(said: RedisState) -> Finding:
    details = {"appendonly": said.append_only, "last_write_failed": said.last_write_failed}
    if said.last_write_failed:
        return problem("redis.persistence", "It could not write its append-only file the last time.",
                       "Look at its disk and its log; until then a restart loses calls.", **details)  # fmt: skip
    if said.append_only:
        return ok("redis.persistence", "It keeps an append-only file.", **details)
    sentence = "It keeps no append-only file: a restart loses what was not yet in the ledger."
    cure = "Set `appendonly yes` and `appendfsync everysec` in its configuration."
    return warning("redis.persistence", sentence, cure, **details)


def _eviction(said: RedisState) -> Finding:
    details = {
        "maxmemory_policy": said.maxmemory_policy,
        "maxmemory_bytes": said.maxmemory_bytes,
        "used_memory_bytes": said.used_memory_bytes,
        "evicted_keys": said.evicted_keys,
    }
    if said.maxmemory_policy == KEPT:
        return ok("redis.eviction", "It throws nothing away when its memory is full (noeviction).", **details)
    cure = "Set `maxmemory-policy noeviction` in its configuration, and give it more memory or a server of its own."
    lost = f", and it has thrown away {said.evicted_keys:,} keys since it started" if said.evicted_keys else ""
    if said.maxmemory_policy.startswith("allkeys-"):
        sentence = (
            f"It may throw away counters, holds and rate windows when its memory is full "
            f"({said.maxmemory_policy}){lost}: rate limits then begin anew."
        )
        return problem("redis.eviction", sentence, cure, **details)
    sentence = f"It may throw away keys that expire, rate windows among them ({said.maxmemory_policy}){lost}."
    return warning("redis.eviction", sentence, cure, **details)


def clock_findings(facts: Facts) -> Iterator[Finding]:
    """Whether this host, Redis and the database have the same time."""
    said, ledger = facts.redis.said, facts.ledger
    if isinstance(said, RedisState):
        yield _clock("redis", "Redis'", said.ahead, said.round_trip)
    if isinstance(ledger, LedgerFacts) and ledger.ahead is not None:
        yield _clock("database", "The database's", ledger.ahead, ledger.round_trip)


def _clock(name: str, whose: str, ahead: timedelta, round_trip: timedelta) -> Finding:
    check, seconds = f"clock.{name}", abs(ahead.total_seconds())
    details = {"ahead_seconds": round(ahead.total_seconds(), 3)}
    # What a slow answer explains is no difference.
    if abs(ahead) - round_trip <= CLOCKS_DIFFER:
        return ok(check, f"{whose} clock goes with this host's.", **details)
    words = f"{whose} clock is {seconds:,.1f} s {'ahead of' if ahead > timedelta(0) else 'behind'} this host's"
    sentence = f"{words}: windows, periods and holds end by one clock and are shown by the other."
    judged = problem if abs(ahead) > CLOCKS_WRONG else warning
    return judged(check, sentence, "Let NTP set the clocks of both hosts.", **details)

"""How many events a second the ledger writer takes from the stream into SQL, with everything that belongs to them.

python -m benchmarks.ledger_writer [--events N] [--profile] [sqlite|postgresql]
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import pstats
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from benchmarks.ledger_traffic import Entry, entries, governed
from engine.admission.embedded import EmbeddedServer
from engine.admission.gate import RedisGate
from engine.admission.keys import events_key
from engine.clock import to_ms, utc_now
from engine.document.store import publish_document
from engine.drain import LedgerDrain
from engine.ids import new_decision_id
from engine.ledger.database import Database
from engine.ledger.migrate import migrate
from tests.support.servers import PostgresServer

PATIENCE_SECONDS = 60.0


def measure(database_url: str, events: int, *, profile: cProfile.Profile | None = None) -> float:
    """Events per second from a real stream into the ledger at `database_url`, which is migrated first.

    The stream is filled beforehand, by an organization that is new to the ledger; only reading it, storing it and
    trimming it is timed. The clock stops when the ledger writer has found the stream's end.
    """
    organization = f"measured-{new_decision_id()[-12:]}"
    with contextlib.ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bursar-bench-")))
        server = opened.enter_context(EmbeddedServer.start(folder))
        database = opened.enter_context(contextlib.closing(Database(database_url)))
        migrate(database)
        live = publish_document(database, governed(organization), author="benchmark", reason="measured")
        started_ms = to_ms(utc_now()) - 3_600_000
        _fill(server.url, organization, entries(live, events, start_ms=started_ms))
        gate = opened.enter_context(contextlib.closing(RedisGate(server.url, timeout_seconds=PATIENCE_SECONDS)))
        drain = LedgerDrain(database, gate, organization, collects_garbage=False)
        if profile is not None:
            profile.enable()
        started = time.perf_counter()
        stored = 0
        while not (step := drain.step()).at_end:
            stored += step.stored
        seconds = time.perf_counter() - started
        if profile is not None:
            profile.disable()
        assert stored + step.stored == events, (stored, step, events)
        drain.release()
    return events / seconds


def sqlite_settings(database_url: str) -> dict[str, str]:
    """How a ledger in a file waits for its disk, as its connections say themselves."""
    with contextlib.closing(Database(database_url)) as database, database.read() as connection:
        return {
            name: str(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("journal_mode", "synchronous")
        }


def _fill(url: str, organization: str, wanted: list[Entry]) -> None:
    with redis.Redis.from_url(url) as client:
        for first in range(0, len(wanted), 1000):
            with client.pipeline(transaction=False) as pipeline:
                for stream_id, fields in wanted[first : first + 1000]:
                    pipeline.xadd(events_key(organization), dict(fields), id=stream_id)
                pipeline.execute()


@contextlib.contextmanager
def ledger(kind: str) -> Iterator[str]:
    """An empty ledger of a kind, for as long as the block: `sqlite` in a temporary folder, or a private `postgresql`.

    The PostgreSQL is the one of the tests: it does not wait for its disk.
    """
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="bursar-bench-") as folder:
            yield f"sqlite:///{folder}/ledger.db"
    else:
        server = PostgresServer.start()
        try:
            with server.new_database() as url:
                yield url
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=["sqlite", "postgresql"], help="sqlite, postgresql")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=1, help="into the same ledger, one after the other")
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    options = parser.parse_args()
    for kind in options.kinds:
        with ledger(kind) as url:
            for _ in range(options.rounds):
                profile = cProfile.Profile() if options.profile else None
                rate = measure(url, options.events, profile=profile)
                print(f"{kind}: {rate:,.0f} events/s over {options.events:,} events")
                if profile is not None:
                    pstats.Stats(profile).sort_stats("tottime").print_stats(35)


if __name__ == "__main__":
    main()

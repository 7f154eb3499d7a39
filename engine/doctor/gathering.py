"""Gather what a diagnosis looks at: Redis and the ledger at the same time, within a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from engine.addresses import masked_address
from engine.admission.diagnosis import known_url, look_at_redis
from engine.background import Background
from engine.clock import utc_now
from engine.doctor.facts import Facts, RedisFacts, Unanswered
from engine.doctor.reading import ASKED_WRONGLY, read_ledger
from engine.errors import BursarError, InvalidValue
from engine.ledger.database import Database
from engine.settings import Settings

T = TypeVar("T")

REDIS_STEP_SECONDS = 1.0
PATIENCE_SECONDS = 4.0
"""For everything: whoever looks every 30 s has an answer long before the next look."""

# Threads of the process, for a connection that hangs cannot be ended. When all of one hang, its next jobs wait in vain,
# and that is the finding.
_to_redis, _to_ledger = Background(), Background()


def gather(
    database: Database | None,
    settings: Settings,
    *,
    org_id: str | None = None,
    agent_id: str | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Facts:
    """Ask Redis and the ledger; what has not answered after `patience_seconds` is noted as such.

    Raises `InvalidValue` for an organization that the ledger does not have, and for an agent of no organization where
    there are several.
    """
    now, deadline = utc_now(), time.monotonic() + patience_seconds
    url = known_url(settings)
    redis = (
        None
        if url is None
        else _begin(_to_redis, lambda: look_at_redis(url, timeout_seconds=REDIS_STEP_SECONDS), deadline)
    )
    ledger = None
    if database is not None:
        ledger = _begin(
            _to_ledger, lambda: read_ledger(database, settings, now, org_id=org_id, agent_id=agent_id), deadline
        )
    is_private = settings.redis_url is None
    return Facts(
        now=now,
        settings=settings,
        redis=RedisFacts(
            place=str(settings.state_dir) if is_private or url is None else masked_address(url, with_options=False),
            is_private=is_private,
            said=_answer(redis, deadline, patience_seconds),
        ),
        database_place=_ledger_place(settings) if database is None else database.masked_url,
        ledger=_answer(ledger, deadline, patience_seconds),
        agent_id=agent_id,
    )


def _ledger_place(settings: Settings) -> str:
    if settings.database_url is None:
        return str(settings.state_dir / "ledger.db")
    return masked_address(settings.database_url)


def _begin(threads: Background, do: Callable[[], T], deadline: float) -> Future[T | Unanswered]:
    def in_time() -> T | Unanswered:
        # Nobody waits any more for what stood behind something that hung.
        if time.monotonic() > deadline:
            raise TimeoutError
        return do()

    return threads.run(in_time)


def _answer(asked: Future[T | Unanswered] | None, deadline: float, patience_seconds: float) -> T | Unanswered | None:
    if asked is None:
        return None
    try:
        return asked.result(max(deadline - time.monotonic(), 0))
    except InvalidValue as error:
        if error.field not in ASKED_WRONGLY:
            return Unanswered(_clause(error))
        raise
    except TimeoutError:
        return Unanswered(f"there was no answer within {patience_seconds:g} s")
    except BursarError as error:
        return Unanswered(_clause(error))
    except Exception as error:  # noqa: BLE001 - a diagnosis says what is wrong, whatever it is
        return Unanswered(f"{type(error).__name__}: {_clause(error)}")


def _clause(error: Exception) -> str:
    """The reason alone: what could not be asked is said beside it."""
    first = next(iter(str(error).strip().splitlines()), "")
    for beginning in ("cannot be used: ", "did not answer: "):
        first = first.partition(beginning)[2] or first
    return first.rstrip(".") or type(error).__name__

"""What other processes do in these tests, and how a test starts them, talks with them and kills them.

Each is forked from one process that has imported the engine already, so hundreds of them cost little.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from engine import drain as drains
from engine.admission.gate import RedisGate
from engine.admission.questions import Question
from engine.drain import LedgerDrain
from engine.ledger.database import Database
from engine.service import GovernanceService
from engine.settings import Settings

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    # The database drivers load late.
    [
        __name__,
        "psycopg",
        "sqlalchemy.dialects.postgresql.psycopg",
        "sqlalchemy.dialects.sqlite.pysqlite",
        "tests.support.frozen",
    ]
)
PATIENCE_SECONDS = 60.0

GO = "go"


@contextmanager
def _no_program() -> Iterator[None]:
    """A child reads again the program that its parent is: pytest, or the page that a test of pages ran last."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


class Child:
    """Another process, at work on one of the functions below."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self.line, theirs = PROCESSES.Pipe()
        self._process = PROCESSES.Process(target=work, args=(theirs, *arguments), daemon=True)
        with _no_program():
            self._process.start()
        theirs.close()

    def hear(self) -> Any:
        """What it says next."""
        assert self.line.poll(PATIENCE_SECONDS), "the other process says nothing"
        return self.line.recv()

    def tell(self, word: Any = GO) -> None:
        self.line.send(word)

    def kill(self) -> list[Any]:
        """Kill it, and return what it had said until then."""
        self._process.kill()
        said = []
        try:
            while True:
                said.append(self.line.recv())
        except (EOFError, OSError):  # the end, perhaps in the middle of a word
            self.ending()
            return said

    def ending(self) -> int | None:
        """Wait for its end: 0, or what killed it as a negative number."""
        self._process.join(PATIENCE_SECONDS)
        return self._process.exitcode


def call_at_once(
    line: Connection, document: Path, settings: Settings, threads: int, request: Mapping[str, Any]
) -> None:
    """Call once from each of many threads, released together; say the counts by reason."""
    _rush(line, document, settings, threads, lambda service, _: {service.check(**request).reason.value: 1})


def call_and_end_at_once(
    line: Connection, document: Path, settings: Settings, threads: int, request: Mapping[str, Any], each: int
) -> None:
    """Call and end the call as often as told, from many threads; say the counts, and what was spent in all."""

    def call(service: GovernanceService, number: int) -> dict[str, int]:
        told: Counter[str] = Counter()
        for turn in range(each):
            decision = service.check(**request)
            told[decision.reason.value] += 1
            if decision.allowed:
                # In full, at half, at nothing, or never made.
                ending = (number + turn) % 4
                reserve = Decimal(request["estimated_cost"])
                if ending == 3:
                    service.cancel(decision)
                else:
                    told["spent"] += service.settle(decision, actual_cost=reserve * (2 - ending) / 2)
        return told

    _rush(line, document, settings, threads, call)


def _rush(
    line: Connection,
    document: Path,
    settings: Settings,
    threads: int,
    call: Callable[[GovernanceService, int], Mapping[str, int]],
) -> None:
    with GovernanceService.from_document(document, settings=settings) as service, ThreadPoolExecutor(threads) as pool:
        start = threading.Barrier(threads + 1)

        def wait_and_call(number: int) -> Mapping[str, int]:
            start.wait(PATIENCE_SECONDS)
            return call(service, number)

        calls = [pool.submit(wait_and_call, number) for number in range(threads)]
        line.send("ready")
        line.recv()
        os.nice(10)  # whoever watches shall not have to stand in line with them
        start.wait(PATIENCE_SECONDS)
        told: Counter[str] = Counter()
        for done in calls:
            told.update(done.result())
    line.send(told)


def hold_some_until_told(
    line: Connection, document: Path, settings: Settings, request: Mapping[str, Any], number: int
) -> None:
    """Keep at most so many calls open, the oldest cancelled for each new one, until Redis' clock says what is told."""
    with GovernanceService.from_document(document, settings=settings) as service:
        line.send("ready")
        until_ms = line.recv()
        told: Counter[str] = Counter()
        held: list[str] = []
        while service.gate.clock.now_ms < until_ms:
            decision = service.check(**request)
            told[decision.reason.value] += 1
            if decision.allowed:
                held.append(decision.id)
            if held and (len(held) >= number or not decision.allowed):
                service.cancel(held.pop(0))
    line.send(told)


def call_when_told(line: Connection, document: Path, settings: Settings) -> None:
    """Make each call it is told to make; say its reason and the document version that decided."""
    with GovernanceService.from_document(document, settings=settings) as service:
        line.send("ready")
        while request := line.recv():
            decision = service.check(**request)
            line.send((decision.reason.value, decision.document_version))


def hold_and_wait(
    line: Connection, document: Path, settings: Settings, request: Mapping[str, Any], number: int
) -> None:
    """Make so many calls that nobody will settle; say their ids, then wait for the end."""
    with GovernanceService.from_document(document, settings=settings) as service:
        line.send([service.check(**request).id for _ in range(number)])
        line.recv()


def call_on_and_on(line: Connection, document: Path, settings: Settings) -> None:
    """Call without end; say each answer as soon as it is there."""
    with GovernanceService.from_document(document, settings=settings) as service:
        for turn in itertools.count():
            decision = service.check("hook", user_id=f"u{turn % 3}", estimated_cost=f"0.{turn % 90 + 10}")
            line.send(("checked", decision.id, decision.reason.value))
            if turn % 3:
                line.send(("settled", decision.id, service.settle(decision, actual_cost=f"0.{turn % 80 + 10}")))
            elif turn % 2:
                service.cancel(decision)
                line.send(("cancelled", decision.id, 0))


def live_a_little(service: GovernanceService, rounds: int = 4) -> set[str]:
    """Settled, failed, cancelled, open and denied calls; returns their ids."""
    made = []
    for round_ in range(rounds):
        settled = service.check("hook", user_id=f"u{round_ % 2}", estimated_cost="0.25")
        failed = service.check("copilot_hr", input_tokens=5)
        cancelled = service.check("coder", input_tokens=1000, output_tokens=10)
        left_open = service.check("hook", environment="lab", estimated_cost="0.01")
        denied = service.check("hook", estimated_cost=90_000)
        service.settle(settled, actual_cost="0.3")
        service.settle(failed, output_tokens=7, success=False)
        service.cancel(cancelled.id)
        assert not denied.allowed
        made += [settled, failed, cancelled, left_open, denied]
    return {decision.id for decision in made}


WRITER_POINTS = ("after read", "before commit", "after commit", "before trim")
"""Where a ledger writer can be killed on its round."""
FOLDING_POINTS = ("before folding", "after folding", "before forgetting")
"""Where else while it folds in what Redis could not take at its time."""
REBUILD_POINTS = ("after invalidating", "after counting", "before installing")
"""Where a rebuild can be killed."""


def write_until_killed(
    line: Connection, database_url: str, redis_url: str, org_id: str, point: str, nth: int, rebuild: bool = False
) -> None:
    """Be the ledger writer in small batches and die at the nth passing of `point`, or end when nothing is left to do.

    Its lease ends as soon as it is taken: the next writer need not wait for it.
    """
    with_patience = RedisGate(redis_url, timeout_seconds=5.0)
    drain = LedgerDrain(Database(database_url), with_patience, org_id, lease_seconds=0)
    drain._batch = 5
    _set_trap(drain, point, nth)
    if rebuild:
        drain.step()
        drain.rebuild()
    idle = 0
    while idle < 20:
        step = drain.step()
        idle = 0 if step.stored or not step.leading else idle + 1
    line.send("nothing left to do")


def _set_trap(drain: LedgerDrain, point: str, nth: int) -> None:
    passed = 0

    def pass_by() -> None:
        nonlocal passed
        passed += 1
        if passed == nth:
            _die()

    stream: Any = drain._stream
    gate: Any = drain._gate
    database: Any = drain._database
    module: Any = drains
    writes: list[int] = []
    if point == "after read":
        stream.read = _before_and_after(stream.read, after=lambda entries: pass_by() if entries else None)
    elif point == "before commit":
        module.write_events = _before_and_after(
            module.write_events, after=lambda _: pass_by(), only=lambda _connection, _org, batch, **_: bool(batch)
        )
    elif point == "after commit":
        module.write_events = _before_and_after(
            module.write_events,
            after=lambda _: writes.append(1),
            only=lambda _connection, _org, batch, **_: bool(batch),
        )
        begin = database.write

        @contextmanager
        def write() -> Iterator[Any]:
            with begin() as connection:
                yield connection
            if writes:
                writes.clear()
                pass_by()

        database.write = write
    elif point == "before trim":
        stream.trim = _before_and_after(stream.trim, before=pass_by)
    elif point == "before folding":
        gate.ask = _before_and_after(gate.ask, before=pass_by, only=_folds)
    elif point == "after folding":
        gate.ask = _before_and_after(gate.ask, after=lambda _: pass_by(), only=_folds)
    elif point == "before forgetting":
        module.forget_pending = _before_and_after(module.forget_pending, after=lambda _: pass_by())
    elif point == "after invalidating":
        gate.invalidate = _before_and_after(gate.invalidate, after=lambda _: pass_by())
    elif point == "after counting":
        module.replace_budget_usage = _before_and_after(module.replace_budget_usage, after=lambda _: pass_by())
    elif point == "before installing":
        gate.ask = _before_and_after(gate.ask, before=pass_by, only=_installs)
    else:
        raise AssertionError(point)


def _installs(question: Question) -> bool:
    return question.script == "install"


def _folds(question: Question) -> bool:
    return question.script == "fold" or getattr(question, "waited", False)


def _before_and_after(
    do: Callable[..., Any],
    *,
    before: Callable[[], Any] = lambda: None,
    after: Callable[[Any], Any] = lambda _: None,
    only: Callable[..., bool] = lambda *_, **__: True,
) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        counts = only(*arguments, **named)
        if counts:
            before()
        result = do(*arguments, **named)
        if counts:
            after(result)
        return result

    return wrapped


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(PATIENCE_SECONDS)
    raise AssertionError("still here")

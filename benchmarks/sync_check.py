"""One thread: the full check, the bare round trip, and the `limits` library, in turns on one server."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.blocks import CannotRun, Ratio, interleave, percentile, time_each
from benchmarks.ground import NOOP, PATIENCE_SECONDS, Ground, bare_client, must_be_whole
from benchmarks.peer_process import Peer, open_peer
from benchmarks.workload import CALLERS, Call, calls
from engine.admission.wire import Links, Wire
from engine.decision import Decision
from engine.service import GovernanceService

CHECK = "check"
BARE = "EVALSHA no-op, redis-py"
OWN_WIRE = "EVALSHA no-op, Bursar's wire"
COUNTER = "limits, 9 sliding-window-counter"
MOVING = "limits, 9 moving-window"

BLOCK = 200
WARM_UP = 20
"""Calls in front of each block that are not counted: while others had their turn, caches went cold."""
ORGANIZATION = "made-up-organization"


@dataclass
class Contender:
    """What one contender's blocks took: on our side in nanoseconds, on the server's in microseconds a call."""

    blocks: list[list[int]] = field(default_factory=list)
    server_us: list[float] = field(default_factory=list)

    @property
    def p50s(self) -> list[float]:
        """The median of each block, in nanoseconds."""
        return [statistics.median(block) for block in self.blocks]

    def us(self, percent: float) -> float:
        """A percentile over all calls, in microseconds."""
        return percentile(list(itertools.chain.from_iterable(self.blocks)), percent) / 1000


@dataclass
class SyncResult:
    """Everything that was seen of one thread's calls."""

    contenders: dict[str, Contender]
    stages: dict[str, list[float]]
    peer_versions: dict[str, str]

    @property
    def calls(self) -> int:
        """Counted calls, of all contenders."""
        return sum(len(block) for contender in self.contenders.values() for block in contender.blocks)

    def ratio(self, above: str, below: str) -> Ratio:
        """How many times longer `above` takes than `below`, by medians of neighbouring blocks."""
        return Ratio.of(self.contenders[above].p50s, self.contenders[below].p50s)


def measure(ground: Ground, peer_python: Path | None, rounds: int, advance: Callable[[], None]) -> SyncResult:
    """Run `rounds` rounds; `advance` is called after each. Without `peer_python` the peer stays out."""
    stages: dict[str, list[float]] = {"prepare": [], "gate": [], "rest": []}
    contenders: dict[str, Contender] = {}
    with contextlib.ExitStack() as opened:
        runners = _ours(opened, ground, stages)
        versions = {}
        if peer_python is not None:
            peer = opened.enter_context(open_peer(peer_python, "limits_child.py", "the limits library"))
            versions = peer.ask({"socket": str(ground.server.socket_path), "calls": _whose_calls()})
            runners |= _theirs(peer)
        counted = {name: _with_server_time(run, ground) for name, run in runners.items()}
        turns = itertools.count(1)

        def after_block() -> None:
            if next(turns) % len(counted) == 0:
                advance()

        for name, blocks in interleave(counted, rounds, after_block).items():
            contenders[name] = Contender([times for times, _ in blocks], [server_us for _, server_us in blocks])
    return SyncResult(contenders, stages, versions)


def _ours(
    opened: contextlib.ExitStack, ground: Ground, stages: dict[str, list[float]]
) -> dict[str, Callable[[], list[int]]]:
    service = opened.enter_context(
        GovernanceService.from_document(ground.document(ORGANIZATION), settings=ground.settings)
    )
    client = opened.enter_context(bare_client(ground))
    wire = Wire(ground.server.url, timeout_seconds=PATIENCE_SECONDS, max_connections=1, links=Links())
    opened.callback(wire.close)
    sha = client.script_load(NOOP)
    traffic = calls()

    def check(call: Call) -> Decision:
        return service.check(
            call.agent_id,
            team_id=call.team_id,
            user_id=call.user_id,
            ip=call.ip,
            input_tokens=call.input_tokens,
            output_tokens=call.output_tokens,
        )

    def bare(_: int) -> object:
        return client.evalsha(sha, 0)

    def own_wire(_: int) -> object:
        return wire.evaluate(sha, NOOP, (0,), time.monotonic() + PATIENCE_SECONDS)

    def check_block() -> list[int]:
        time_each(check, list(itertools.islice(traffic, WARM_UP)))
        times, decisions = time_each(check, list(itertools.islice(traffic, BLOCK)))
        must_be_whole(decisions)
        for taken, decision in zip(times, decisions, strict=True):
            stages["prepare"].append(decision.prepare_us)
            stages["gate"].append(decision.gate_us)
            stages["rest"].append(taken / 1000 - decision.prepare_us - decision.gate_us)
        return times

    def noop_block(run: Callable[[int], object]) -> list[int]:
        time_each(run, range(WARM_UP))
        return time_each(run, range(BLOCK))[0]

    # Every caller once: after that a real service too would know them.
    must_be_whole(time_each(check, list(itertools.islice(traffic, CALLERS)))[1])
    time_each(bare, range(CALLERS))
    time_each(own_wire, range(CALLERS))
    return {CHECK: check_block, BARE: partial(noop_block, bare), OWN_WIRE: partial(noop_block, own_wire)}


def _theirs(peer: Peer) -> dict[str, Callable[[], list[int]]]:
    numbers = itertools.count()

    def block(strategy: str, count: int) -> list[int]:
        """How long each of `count` calls took, in nanoseconds: the child's clock runs around nine hits only."""
        first = next(numbers) * BLOCK
        times = peer.ask([strategy, first, count])
        if isinstance(times, str):
            raise CannotRun(f"The limits library did not let a call pass: {times}.")
        return list(times)

    strategies = {COUNTER: "sliding-window-counter", MOVING: "moving-window"}
    for strategy in strategies.values():
        block(strategy, CALLERS)
    return {name: partial(block, strategy, BLOCK) for name, strategy in strategies.items()}


def _whose_calls() -> list[tuple[str, str, str]]:
    first = itertools.islice(calls(), 10 * CALLERS)
    return [(ORGANIZATION, call.team_id, call.user_id) for call in first]


def _with_server_time(run: Callable[[], list[int]], ground: Ground) -> Callable[[], tuple[list[int], float]]:
    def run_and_look() -> tuple[list[int], float]:
        _, before = ground.script_time()
        times = run()
        _, after = ground.script_time()
        return times, (after - before) / (WARM_UP + BLOCK)

    return run_and_look

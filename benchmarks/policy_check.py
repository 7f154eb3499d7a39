"""One thread: the 1,000 policies of the measured organization, by Bursar's engine and by Cedar's, in turns."""

from __future__ import annotations

import contextlib
import itertools
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.blocks import CannotRun, Ratio, interleave, percentile, time_each
from benchmarks.peer_process import Peer, open_peer
from benchmarks.workload import ZONES, calls, document
from engine.document.live import LiveDocument
from engine.document.load import parse_document
from engine.policy.conditions import EnvironmentCondition, ProviderCondition
from engine.policy.context import PolicyContext
from engine.policy.location import LocationCondition
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect
from engine.policy.time_window import TimeWindowCondition, week_second
from engine.request import gather_facts

OURS = "policies, Bursar"
CEDAR = "policies, cedarpy"
REQUESTS = 2_000
BLOCK = 1_000
CEDAR_BLOCK = 20
WARM_UP = 20
START = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
BETWEEN = timedelta(seconds=1.7)
"""From one request to the next: two thousand of them take an hour."""


@dataclass
class PolicyResult:
    """Nanoseconds of each evaluation, block by block."""

    ours: list[list[int]]
    cedar: list[list[int]]
    cedar_version: str

    @property
    def evaluations(self) -> int:
        """Counted evaluations, of both."""
        return sum(map(len, (*self.ours, *self.cedar)))

    def us(self, percent: float) -> float:
        """A percentile of ours, in microseconds."""
        return percentile(list(itertools.chain.from_iterable(self.ours)), percent) / 1000

    @property
    def ratio(self) -> Ratio | None:
        """How many times longer Cedar takes, by medians of neighbouring blocks."""
        if not self.cedar:
            return None
        return Ratio.of(
            [statistics.median(block) for block in self.cedar], [statistics.median(block) for block in self.ours]
        )


def measure(peer_python: Path | None, rounds: int, advance: Callable[[], None]) -> PolicyResult:
    """Run `rounds` rounds; `advance` is called after each. Without `peer_python` Cedar stays out.

    Raises `CannotRun` when the two do not answer every request alike.
    """
    live = LiveDocument(1, parse_document(document("made-up-organization"), "the measured organization"))
    requests = list(itertools.islice(_requests(live), REQUESTS))
    turns = itertools.count()

    def ask(request: tuple[PolicyContext, datetime]) -> bool:
        return live.policies.evaluate(*request).effect is PolicyEffect.ALLOW

    def our_block() -> list[int]:
        first = next(turns) * BLOCK
        chosen = [requests[number % REQUESTS] for number in range(first, first + BLOCK)]
        time_each(ask, chosen[:WARM_UP])
        return time_each(ask, chosen)[0]

    with contextlib.ExitStack() as opened:
        contenders = {OURS: our_block}
        version = ""
        if peer_python is not None:
            peer = opened.enter_context(open_peer(peer_python, "cedar_child.py", "cedarpy"))
            version = _greet(peer, live, requests, ask)
            numbers = itertools.count()
            contenders[CEDAR] = lambda: peer.ask([next(numbers) * CEDAR_BLOCK, CEDAR_BLOCK])
        ended = itertools.count(1)

        def after_block() -> None:
            if next(ended) % len(contenders) == 0:
                advance()

        blocks = interleave(contenders, rounds, after_block)
    return PolicyResult(blocks[OURS], blocks.get(CEDAR, []), version)


def _requests(live: LiveDocument) -> Iterator[tuple[PolicyContext, datetime]]:
    for number, call in enumerate(calls()):
        facts = gather_facts(
            live.document, agent_id=call.agent_id, team_id=call.team_id, user_id=call.user_id, ip=call.ip
        )
        yield facts.policy_context(), START + number * BETWEEN


def _greet(
    peer: Peer,
    live: LiveDocument,
    requests: list[tuple[PolicyContext, datetime]],
    ask: Callable[[tuple[PolicyContext, datetime]], bool],
) -> str:
    told = {
        "policies": "\n".join(map(_cedar_policy, live.policies.ordered)),
        "requests": [_cedar_request(context, at) for context, at in requests],
    }
    answer = peer.ask(told)
    if answer["allowed"] != list(map(ask, requests)):
        raise CannotRun("Bursar and cedarpy do not answer every request alike.")
    return str(answer["version"])


def _cedar_policy(policy: ExternalAgentPolicy) -> str:
    effect = "permit" if policy.effect is PolicyEffect.ALLOW else "forbid"
    tests = " && ".join(f"({_cedar_test(condition)})" for condition in policy.conditions)
    return f'@id("{policy.policy_id}") {effect}(principal, action, resource) when {{ {tests} }};'


def _cedar_test(condition: object) -> str:
    match condition:
        case EnvironmentCondition() | ProviderCondition():
            names = ", ".join(f'"{name}"' for name in sorted(condition.names))
            return f"[{names}].contains(context.{condition.attribute})"
        case LocationCondition():
            return " || ".join(f'context.ip.isInRange(ip("{network}"))' for network in condition.networks)
        case TimeWindowCondition(business_hours=hours) if hours is not None:
            clock = f"context.clock{ZONES.index(hours.timezone)}"
            return " || ".join(f"({clock} >= {begins} && {clock} < {ends})" for begins, ends in hours.spans)
        case _:
            raise TypeError(f"no Cedar for {condition}")


def _cedar_request(context: PolicyContext, at: datetime) -> dict[str, Any]:
    """As kind to Cedar as can be: it has no time zones, so wall clocks are read for it."""
    clocks = {f"clock{index}": week_second(at, zone) for index, zone in enumerate(ZONES)}
    facts = {"environment": context.environment, "provider": context.provider, **clocks}
    return {
        "principal": {"type": "User", "id": context.user_id},
        "action": {"type": "Action", "id": context.action},
        "resource": {"type": "Agent", "id": context.agent_id},
        "context": {**facts, "ip": {"__extn": {"fn": "ip", "arg": context.ip}}},
    }

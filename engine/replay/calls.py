"""Made-up calls in the order of their time, made when they are asked for. Pure: seeded, no clock."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple

from engine.replay.habits import Habit
from engine.replay.people import Person
from engine.replay.rhythm import NIGHT, OFFICE, Span, shares, spans_of_days
from engine.replay.scenario import Scenario, Surge

SHORTEST_BURST = 5
NOISE_LN_SD = 0.08
"""How much one day differs from the next, apart from weekends and growth."""

_at = attrgetter("at_ms")


class MadeUpCall(NamedTuple):
    """Somebody is about to call an agent; nobody known, when it is a surge."""

    at_ms: int
    habit: Habit
    person: Person | None = None
    surge: Surge | None = None


def made_up_calls(scenario: Scenario, zone: str, random_source: random.Random) -> Iterator[MadeUpCall]:
    """Every call of a scenario but its surges', the earliest first. Days are local days of `zone`."""
    days = list(spans_of_days(scenario.start_ms, scenario.until_ms, zone))
    length = scenario.until_ms - scenario.start_ms
    people_total = round(scenario.decisions * (1 - scenario.crowd.machine_share))
    noise = [random_source.lognormvariate(0, NOISE_LN_SD) for _ in days]
    grown = [1 + scenario.growth * (day.start_ms - scenario.start_ms) / length for day in days]
    factors = [each * more for each, more in zip(noise, grown, strict=True)]
    by_people = shares(people_total, [day.size(OFFICE) * more for day, more in zip(days, factors, strict=True)])
    by_machines = shares(
        scenario.decisions - people_total, [day.size(NIGHT) * more for day, more in zip(days, factors, strict=True)]
    )
    for day, people, machines in zip(days, by_people, by_machines, strict=True):
        yield from heapq.merge(
            _of_people(scenario, day, people, random_source),
            _of_machines(scenario, day, machines, random_source),
            key=_at,
        )


def calls_of_surge(surge: Surge, habit: Habit) -> list[MadeUpCall]:
    """The calls that a surge makes unless its budget stands where it should before."""
    if surge.seconds is not None:
        habit = replace(habit, seconds=surge.seconds)
    step = (surge.end_ms - surge.start_ms) / surge.calls
    return [MadeUpCall(surge.start_ms + int(number * step), habit, None, surge) for number in range(surge.calls)]


def request_of(call: MadeUpCall, dice: random.Random) -> dict[str, Any]:
    """The arguments of its `check`, every one of them: callers are looked up faster so."""
    habit, person = call.habit, call.person
    request: dict[str, Any] = {
        "agent_id": habit.agent_id,
        "org_id": None,
        "team_id": None,
        "user_id": person.user_id if person else None,
        "action": "invoke",
        "environment": None,
        "country": person.country if person else "US",
        "ip": person.ip if person else None,
        "tags": None,
        "complexity": person.complexity if person and not habit.by_tokens else "standard",
        "model": habit.model,
    }
    if habit.by_tokens:
        request["input_tokens"] = habit.input_tokens(dice)
        request["output_tokens"] = habit.usual_output_tokens
    return request


def _of_people(scenario: Scenario, day: Span, count: int, random_source: random.Random) -> Iterator[MadeUpCall]:
    crowd, burst_share = scenario.crowd, scenario.burst_share
    made, taken = 0, 0
    later: list[MadeUpCall] = []
    for end_ms, instants in day.instants(OFFICE, count, random_source):
        calls = later
        for at_ms in instants:
            if taken:
                # A burst before has made this call.
                taken -= 1
                continue
            person, habit = crowd.people.draw(random_source)
            calls.append(MadeUpCall(at_ms, habit, person))
            made += 1
            if random_source.random() < burst_share:
                number = random_source.randint(SHORTEST_BURST, max(SHORTEST_BURST, scenario.longest_burst))
                next_ms = at_ms
                for _ in range(min(number, count - made)):
                    next_ms = min(next_ms + int(random_source.expovariate(1.0) * 1_200) + 1, day.end_ms - 1)
                    calls.append(MadeUpCall(next_ms, habit, person))
                    made, taken = made + 1, taken + 1
        # Python's sort is stable: calls of one instant stay in the order in which they were drawn.
        calls.sort(key=_at)
        due = bisect_left(calls, end_ms, key=_at)
        yield from calls[:due]
        later = calls[due:]
    yield from later


def _of_machines(scenario: Scenario, day: Span, count: int, random_source: random.Random) -> Iterator[MadeUpCall]:
    for _, instants in day.instants(NIGHT, count, random_source):
        for at_ms in sorted(instants):
            account, habit = scenario.crowd.machines.draw(random_source)
            yield MadeUpCall(at_ms, habit, account)

"""How made-up calls end: settled, cancelled, settled after they expired, or never. Pure: seeded, no clock."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.decide import PreparedCheck
from engine.pricing.price_list import PriceList
from engine.pricing.usage import Usage
from engine.replay.habits import Habit

LATE_AT_LEAST_MS = 2_000
LATE_AT_MOST_MS = 3 * 3_600_000


class Ending(NamedTuple):
    """What is said of an allowed call in the end: `actual_micros` is `None` when it never left."""

    decision_id: str
    actual_micros: int | None
    success: bool
    body: str


class PlannedEnd(NamedTuple):
    """The ending that comes `after_ms`, if any does. `expires`: not before the hold has expired."""

    ending: Ending | None
    after_ms: int
    expires: bool


def planned_end(
    habit: Habit,
    prepared: PreparedCheck,
    decision_id: str,
    request: Mapping[str, Any],
    prices: PriceList,
    hold_ms: int,
    dice: random.Random,
) -> PlannedEnd:
    """Draw how one allowed call ends. A call priced by tokens is settled by those that it used."""
    chance = dice.random()
    seconds = dice.lognormvariate(0, 0.7) * habit.seconds
    after_ms = min(max(1, int(seconds * 1000)), hold_ms - 1)
    if chance < habit.never_settled:
        return PlannedEnd(None, 0, expires=True)
    if chance < habit.never_settled + habit.cancelled:
        return PlannedEnd(Ending(decision_id, None, False, ""), after_ms, expires=False)
    late = chance < habit.never_settled + habit.cancelled + habit.settled_late
    if late:
        after_ms = hold_ms + LATE_AT_LEAST_MS + int(dice.random() ** 2 * LATE_AT_MOST_MS)
    usage = Usage()
    micros: int = prepared.estimate.estimate_micros
    if habit.by_tokens:
        usage = Usage(request["input_tokens"], habit.output_tokens(dice))
        pricing = prepared.pricing
        of_call = prices.of(pricing.provider, pricing.model, pricing.complexity, pricing.agent_id)
        micros = of_call.actual(usage, pricing.at_ms)
    ending = Ending(
        decision_id,
        habit.billed(micros, dice),
        dice.random() >= habit.failed,
        json.dumps(usage.told(), separators=(",", ":")),
    )
    return PlannedEnd(ending, after_ms, late)

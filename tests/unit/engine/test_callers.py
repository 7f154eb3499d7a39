"""Callers are remembered: the second call of one is answered like the first, and nonsense like nonsense."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.callers import MOST_CALLERS, Callers
from engine.decide import prepare
from engine.document.live import LiveDocument
from engine.document.load import parse_document
from engine.errors import InvalidValue

LIVE = LiveDocument(
    1,
    parse_document(
        {
            "organization": "acme",
            "agents": {"hook": {"provider": "webhook"}, "tagged": {"provider": "webhook", "tags": ["a"]}},
            "policies": [
                {"policy_id": "go", "effect": "allow", "conditions": [{"countries": ["US"]}]},
                {"policy_id": "no", "effect": "deny", "conditions": [{"users": ["eve"], "tags": {"any": ["b"]}}]},
            ],
        },
        "here",
    ),
)
NOON = 1_795_608_000_000
WHOLE: dict[str, Any] = {
    "agent_id": "hook",
    "org_id": None,
    "team_id": None,
    "user_id": "ada",
    "action": "invoke",
    "environment": None,
    "country": "US",
    "ip": None,
    "tags": ("b",),
    "complexity": "standard",
    "model": None,
    "input_tokens": None,
    "output_tokens": None,
    "estimated_cost": None,
}


def fresh() -> Callers:
    return Callers(LIVE.document, LIVE.policies, LIVE.prices)


@pytest.mark.parametrize(
    "changed", [{}, {"user_id": "eve"}, {"country": "DE"}, {"tags": None}, {"agent_id": "tagged", "tags": None}]
)
def test_a_remembered_caller_is_the_one_that_would_be_worked_out_anew(changed: dict[str, Any]) -> None:
    request = WHOLE | changed
    remembered = fresh()
    first = remembered.of(request)
    assert remembered.of(dict(request)) is first
    assert fresh().of(request) == first
    # The same said shortly, or with a list of tags, is the same caller.
    short = {name: value for name, value in request.items() if value is not None}
    assert remembered.of(short) == first
    if request["tags"] is not None:
        assert remembered.of({**request, "tags": list(request["tags"])}) == first
    alone = LIVE.policies.evaluate(first.context, datetime(2026, 11, 25, tzinfo=UTC))
    known = LIVE.policies.evaluate(first.context, datetime(2026, 11, 25, tzinfo=UTC), first.timeless)
    assert known == alone


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", 1),
        ("user_id", True),
        ("user_id", ["ada"]),
        ("action", None),
        ("complexity", None),
        ("tags", "b"),
        ("tags", ("b", 5)),
        ("country", 5),
        ("agent_id", "nobody"),
        ("agent_id", {}),
        ("org_id", "other"),
    ],
)
def test_nonsense_is_refused_also_by_somebody_known(field: str, value: Any) -> None:
    callers = fresh()
    callers.of(WHOLE)
    for _ in range(2):
        with pytest.raises(InvalidValue, match=rf"^{field}: "):
            callers.of({**WHOLE, field: value})


def test_the_memory_of_callers_is_bounded() -> None:
    callers = fresh()
    for number in range(MOST_CALLERS + 10):
        callers.of({**WHOLE, "user_id": f"user-{number}"})
    assert len(callers._known) <= MOST_CALLERS


def test_each_call_has_a_size_and_an_instant_of_its_own() -> None:
    small = prepare(LIVE, NOON, {**WHOLE, "estimated_cost": 1})
    large = prepare(LIVE, NOON, {**WHOLE, "estimated_cost": 2})
    assert (small.estimate.estimate_micros, large.estimate.estimate_micros) == (1_000_000, 2_000_000)
    with pytest.raises(InvalidValue, match=r"^input_tokens: "):
        prepare(LIVE, NOON, {**WHOLE, "input_tokens": -1})

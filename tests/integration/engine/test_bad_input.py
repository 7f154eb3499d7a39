"""What makes no sense is refused by the name of its field, before anything is written anywhere."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import yaml

from engine.document.store import live_version
from engine.errors import DocumentError, InvalidValue
from engine.ledger.tables import metadata

LONG = "a" * 200

AMOUNTS: tuple[Any, ...] = (
    "-1", -0.000001, "nan", float("nan"), Decimal("sNaN"), "inf", float("-inf"), Decimal("Infinity"),
    "1000000000.01", 10**10, "1e400", "", "ten", "0x10", True, [], {},
)  # fmt: skip
TOKENS = (-1, 1.0, 0.5, "5", True, float("nan"), 1_000_000_001, 10**30)
IDS = (LONG, "", "a b", "a|b", "}", "{acme}", "a\n", "ä", 7, b"hook", ["hook"])

BAD_REQUESTS: list[tuple[str, Any]] = [
    *(("estimated_cost", amount) for amount in AMOUNTS),
    *((field, count) for field in ("input_tokens", "output_tokens") for count in TOKENS),
    *((field, name) for field in ("agent_id", "user_id", "action", "idempotency_key") for name in IDS),
    *((field, name) for field in ("team_id", "environment", "model") for name in (LONG, "a b", "}", 7)),
    ("agent_id", "nobody"),
    ("agent_id", None),
    ("org_id", "other"),
    ("org_id", LONG),
    ("team_id", "team-eng"),
    ("environment", "lab"),
    ("complexity", "hard"),
    ("complexity", ["simple"]),
    ("model", "a,b"),
]
BAD_SETTLES: list[dict[str, Any]] = [
    *({"actual_cost": amount} for amount in AMOUNTS),
    *({"input_tokens": count} for count in TOKENS),
    *({"output_tokens": count} for count in (True, 1.5)),
    {"org_id": "other", "actual_cost": 1},
    {"success": "yes", "actual_cost": 1},
]


def everything(acme: Any) -> dict[str, Any]:
    """Every key of the server and every row of the ledger."""
    keys = {key: acme.redis.dump(key) for key in acme.redis.keys("*")}
    return keys | {name: acme.rows(table) for name, table in metadata.tables.items()}


@pytest.fixture
def governed(acme: Any) -> Any:
    acme.write(
        budgets=[{"id": "cap", "per": "user", "monthly_budget_usd": 10}],
        rate_limits=[{"id": "r", "per": "user", "requests_per_minute": 100}],
    )
    return acme


def test_a_senseless_request_is_refused_by_its_field_and_nothing_is_written(governed: Any) -> None:
    service = governed.service()
    before = everything(governed)
    for field, value in BAD_REQUESTS:
        with pytest.raises(InvalidValue, match=rf"^{field}: [^\n]+$") as refused:
            service.check(**{"agent_id": "copilot_hr", "user_id": "ada", field: value})
        assert (refused.value.field, isinstance(refused.value, ValueError)) == (field, True)
        assert len(str(refused.value)) < 300
    assert everything(governed) == before
    # The same service goes on, and nobody's usage has changed.
    decision = service.check("copilot_hr", user_id="ada", estimated_cost=10)
    assert (decision.allowed, decision.rates[0].used) == (True, (0, 0, 0))


def test_one_senseless_request_in_the_middle_of_many_keeps_all_of_them_from_being_made(governed: Any) -> None:
    service = governed.service()
    before = everything(governed)
    good = {"agent_id": "copilot_hr", "user_id": "ada", "idempotency_key": "k"}
    for field, value in BAD_REQUESTS:
        with pytest.raises(InvalidValue, match=rf"^{field}: "):
            service.check_many([good, {**good, field: value}, {"agent_id": "hook"}])
    assert everything(governed) == before
    assert all(decision.allowed for decision in service.check_many([good, {"agent_id": "hook"}]))


def test_a_senseless_settle_or_cancel_is_refused_by_its_field_and_the_hold_stays_as_it_was(governed: Any) -> None:
    service = governed.service()
    decision = service.check("hook", user_id="ada", estimated_cost=1)
    before = everything(governed)
    for arguments in BAD_SETTLES:
        field = next(iter(arguments))
        for which in (decision, decision.id):
            with pytest.raises(InvalidValue, match=rf"^{field}: "):
                service.settle(which, **arguments)
    with pytest.raises(InvalidValue, match=r"^org_id: "):
        service.cancel(decision, org_id="other")
    assert everything(governed) == before
    service.settle(decision, actual_cost=1)


@pytest.mark.parametrize(
    ("field", "parts"),
    [
        ("organization", {"organization": "}"}),
        ("organization", {"organization": LONG}),
        ("organization", {"organization": "a b"}),
        ("budgets.0.id", {"budgets": [{"id": LONG, "per": "org"}]}),
        ("budgets.0.monthly_budget_usd", {"budgets": [{"id": "b", "per": "org", "monthly_budget_usd": -1}]}),
        ("budgets.0.daily_budget_usd", {"budgets": [{"id": "b", "per": "org", "daily_budget_usd": float("nan")}]}),
        ("budgets.0.daily_budget_usd", {"budgets": [{"id": "b", "per": "org", "daily_budget_usd": float("inf")}]}),
        ("budgets.0.daily_budget_usd", {"budgets": [{"id": "b", "per": "org", "daily_budget_usd": 1e10}]}),
        ("rate_limits.0.requests_per_hour", {"rate_limits": [{"id": "r", "per": "org", "requests_per_hour": -1}]}),
        ("agents.}", {"agents": {"}": {"provider": "webhook"}}}),
    ],
)
def test_a_senseless_document_is_refused_by_its_field_and_the_one_before_it_stays_in_force(
    acme: Any, field: str, parts: dict[str, Any]
) -> None:
    acme.write(**parts)
    with pytest.raises(DocumentError) as refused:
        acme.service()
    assert isinstance(refused.value, ValueError)
    assert str(refused.value).startswith(f"{acme.document}, line ")
    assert f": {field}: " in str(refused.value)
    assert acme.redis.keys("*") == []
    with acme.open_database().read() as connection:
        assert live_version(connection, "acme") is None
    good = yaml.safe_load(acme.write().read_text())
    service = acme.service()
    before = everything(acme)
    acme.document.write_text(yaml.safe_dump({**good, **parts}))
    with pytest.raises(DocumentError):
        acme.service()
    assert everything(acme) == before
    assert service.check("hook").document_version == 1
